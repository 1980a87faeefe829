//! FWC105: a key that must be there.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC105",
    severity: Severity::Error,
    title: "missing key",
    explanation: "\
An entry lacks a key that it cannot do without: a service its `listen`, a client or a forward its `to`, a NAT rule its
`out`, `listen` or `to`, a test its `packet` and an assertion.

    services:
      web: {stateless: true}

Add the key that the help line shows.",
};

/// `owner` (service `web`) lacks what `missing` says (`listen`).
pub fn report(owner: &str, missing: &str, help: impl Into<String>, place: Place) -> Diagnostic {
    Diagnostic::new(&FINDING, format!("{owner} has no {missing}"), help).at(place, "")
}
