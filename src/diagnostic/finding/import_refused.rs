//! FWC753: the ruleset means what fwc refuses.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC753",
    severity: Severity::Warning,
    title: "the imported spec is refused",
    explanation: "\
The ruleset was read and a spec made of it, but that spec has errors: fwc refuses what the ruleset does. Half-tracked services and NAT beside
stateless flows are the usual reasons. `fwc lint` tells more about them. The spec is printed all the same; correct it by hand.
",
};

/// The spec has an error.
pub fn report(place: Place, code: &str, message: &str, help: &str) -> Diagnostic {
    Diagnostic::new(&FINDING, format!("fwc refuses the spec that this ruleset makes ({code}): {message}"), help)
        .at(place, "")
}
