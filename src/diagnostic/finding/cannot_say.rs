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
a spec has words for. Rules that log, or change a packet on its way, are named too: they decide nothing, and a spec does not have them.

Decide whether the spec is right without it. A rule that must stay can stay in a table of its own, beside fwc's.
",
};

const HELP: &str = "keep it in a table of its own beside fwc's, or do without it";

/// The rule, or the policy, at `place` makes something else of `packet` than the spec. `why` says what the spec lacks.
pub fn report(place: Place, packet: &str, file: &str, spec: &str, why: Option<&str>) -> Diagnostic {
    let reason = why.map_or(String::new(), |why| format!(" ({why})"));
    let message = format!("a spec cannot say this{reason}; {file} here, and {spec} by the spec: {packet}");
    Diagnostic::new(&FINDING, message, HELP).at(place, format!("{file} here"))
}

/// The rule does more than to decide, and the spec does not do that.
pub fn left_out(place: Place, what: &str) -> Diagnostic {
    Diagnostic::new(&FINDING, format!("a spec does not have this: {what}"), HELP).at(place, "")
}

/// The line was not understood, so that nothing is proven about it.
pub fn unread(place: Place, why: &str) -> Diagnostic {
    let message = format!("this is not understood, so nothing is proven about it: {why}");
    Diagnostic::new(&FINDING, message, HELP).at(place, "")
}
