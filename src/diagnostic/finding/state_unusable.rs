//! FWC513: the state directory cannot be used.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC513",
    severity: Severity::Error,
    title: "the state directory cannot be used",
    explanation: "\
fwc loads nothing that it could not undo. Before an apply changes anything, the former table and the spec's texts are written to the state directory,
/var/lib/fwc or what FWC_STATE_DIR names. When that fails (a full disk, a read-only file system, another fwc at work, a directory that others may write
to), nothing is loaded.

The directory must belong to root or to the user who runs fwc, and nobody else may write to it: what is in it is loaded into the kernel. `fwc rollback`
and the rollback after `--confirm-within` go ahead on a disk that became full or read-only; only their account of it is then written later.
",
};

/// It cannot be used, and what became of the rules.
pub fn report(why: &str, consequence: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("the state directory cannot be used: {why}; {consequence}"),
        "make room, or name another directory in FWC_STATE_DIR that only you can write to",
    )
}
