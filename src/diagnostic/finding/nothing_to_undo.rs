//! FWC512: there is no apply to undo.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC512",
    severity: Severity::Error,
    title: "there is nothing to undo",
    explanation: "\
`fwc rollback` puts back what stood there before the last apply, once. There is nothing to put back when nothing was applied since the last rollback or
`fwc remove`, or when the state directory is another one than at the time of the apply (`--netns NAME` has one of its own, and FWC_STATE_DIR names one).
",
};

/// There is none, according to this directory.
pub fn report(directory: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("there is nothing to undo: {directory} knows of no apply since the last rollback"),
        "apply the spec that you want, or delete what fwc loaded with `fwc remove`",
    )
}
