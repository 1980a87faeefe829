//! FWC751: a rule that no spec stands for.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC751",
    severity: Severity::Warning,
    title: "what a spec cannot say",
    explanation: "\
`fwc import` proves over all packets that the spec which it prints means the same as the ruleset. Where it does not, each rule that decides
about a packet otherwise than the spec is named, with such a packet. Rate limits, marks, and drops between accepts, for example, are nothing that
a spec has words for.

Decide whether the spec is right without it. A rule that must stay can stay in a table of its own, beside fwc's.
",
};

/// The rule, or the policy, at `place` decides about `packet` otherwise than the spec.
pub fn report(place: Place, what: &str, packet: &str) -> Diagnostic {
    let help = "keep it in a table of its own beside fwc's, or do without it";
    Diagnostic::new(&FINDING, format!("the spec does not have this: {packet} {what}"), help)
        .at(place, "decides otherwise")
}

/// The rule was not taken over, for this reason.
pub fn left_out(place: Place, why: &str) -> Diagnostic {
    let help = "keep it in a table of its own beside fwc's, or do without it";
    Diagnostic::new(&FINDING, format!("a spec cannot say this: {why}"), help).at(place, "")
}
