//! FWC503: what is loaded is not what was sent.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC503",
    severity: Severity::Error,
    title: "the loaded table differs",
    explanation: "\
After it has loaded, fwc reads the table back and compares it with what it sent. They differ: somebody changed the table in the same moment, or the
kernel understood something else. The table in the kernel may not mean what the spec says.

Apply again. If it happens again, please report it with the output of `nft list table inet fwc`.
",
};

/// The difference in words.
pub fn report(difference: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("the rules are loaded, but the table that was read back is not the one that was sent: {difference}"),
        "apply again; if it stays, report it with the output of `nft list table inet fwc`",
    )
}
