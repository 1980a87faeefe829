//! FWC515: the process that would roll back did not start.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC515",
    severity: Severity::Error,
    title: "the rollback could not be armed",
    explanation: "\
`fwc apply --confirm-within` first starts a process that rolls back when the time is over: with systemd a transient unit (`fwc-rollback-N`), else a session of
its own, so that it outlives the ssh session, the shell and the apply itself. Only when that process has said that it is ready are the rules loaded. It
did not say so, so nothing was loaded.
",
};

/// It did not start, and why.
pub fn report(why: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("the rollback could not be armed: {why}; nothing was loaded"),
        "see that new processes can be started and that the state directory can be written, then apply again",
    )
}
