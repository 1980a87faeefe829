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

A damaged account (`account.json`) is not guessed at: no command that loads anything goes on until somebody has moved it away. Then fwc starts anew: the
rules stay as they are, and what was applied before cannot be undone. A rollback that is pending then happens all the same, from the memory of the process
that waits for it. `fwc remove` works with a damaged account too.

The directory must belong to root or to the user who runs fwc, and nobody else may write to it: what is in it is loaded into the kernel. `fwc rollback`
and the rollback after `--confirm-within` go ahead on a disk that became full or read-only; only their account of it is then written later.
",
};

/// It cannot be used, what became of the rules, and what helps.
pub fn report(why: &str, consequence: &str, help: String) -> Diagnostic {
    Diagnostic::new(&FINDING, format!("the state directory cannot be used: {why}; {consequence}"), help)
}

/// It cannot be used, and the table was removed all the same. `later` says what that may lead to.
pub fn in_spite(why: &str, later: &str) -> Diagnostic {
    let message = format!("the table is removed, though the state directory cannot be used: {why}");
    Diagnostic::new(&FINDING, message, later)
}
