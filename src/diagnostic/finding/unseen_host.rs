//! FWC404 (warning): a part of the live host that could not be looked at.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC404",
    severity: Severity::Warning,
    title: "part of the host could not be read",
    explanation: "\
Before it loads, `fwc apply` looks for NAT rules and for ssh. What it could not read, it says, and goes on with what it could. Usually more rights help:
run it as root.
",
};

/// `what` could not be read, because of `why`.
pub fn report(what: &str, why: &str) -> Diagnostic {
    Diagnostic::new(&FINDING, format!("{what} could not be read: {why}"), "run fwc as root to have it checked")
}
