//! FWC519: something that a crash left behind was put right.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC519",
    severity: Severity::Warning,
    title: "an interrupted apply was put right",
    explanation: "\
The last apply or rollback did not come to its end: it was killed, the host restarted, or a pending apply was not confirmed in time and the process that
rolls back was killed. The kernel had the old rules or the new ones, never anything between, and fwc has now made its account agree with the kernel, or
finished the rollback. Every command that changes anything looks for this first; the file `log` in the state directory has a line about it.
",
};

/// What happened, in words.
pub fn report(words: &str) -> Diagnostic {
    Diagnostic::new(&FINDING, words, "see with `fwc status` what is loaded now")
}
