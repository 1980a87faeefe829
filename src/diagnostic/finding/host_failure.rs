//! FWC505: the conversation with the kernel failed.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC505",
    severity: Severity::Error,
    title: "the kernel did not answer as it should",
    explanation: "\
fwc talks to the kernel over netlink and reads files in /proc. One of these failed in a way that has no diagnostic of its own: a network namespace that does
not exist, a socket that could not be made, an answer that made no sense. Nothing was changed unless the message says so.
",
};

/// What failed, in words.
pub fn report(message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
    Diagnostic::new(&FINDING, message, help)
}
