//! FWC709: no packet comes to match the rule.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC709",
    severity: Severity::Warning,
    title: "a rule that never matches",
    explanation: "\
Either the rule's conditions contradict each other, or rules before it have decided about every packet that it asks for, or it names an
interface that its hook does not know: OUTPUT has no incoming interface, INPUT has no outgoing one. Proven over all packets.
",
};

/// No packet meets `rule`: rules before it decide about all that it asks for, one of them at `before`.
pub fn shadowed(rule: Place, before: Option<Place>) -> Diagnostic {
    let help = "remove it, or move it before the rule that takes its packets";
    let found =
        Diagnostic::new(&FINDING, "this rule never matches: what it asks for is decided before it", help).at(rule, "");
    match before {
        Some(before) => found.at(before, "decides about them"),
        None => found,
    }
}

/// The rule's conditions contradict each other.
pub fn contradicted(rule: Place) -> Diagnostic {
    let message = "this rule never matches: no packet meets all of its conditions";
    Diagnostic::new(&FINDING, message, "correct the conditions, or remove the rule").at(rule, "")
}

/// The rule asks for an interface that its hook does not know.
pub fn interface(rule: Place, name: &str, hook: &str) -> Diagnostic {
    let (has, lacks) =
        if matches!(hook, "OUTPUT" | "POSTROUTING") { ("outgoing", "incoming") } else { ("incoming", "outgoing") };
    let message = format!("this rule never matches: in {hook} no packet has an {lacks} interface");
    Diagnostic::new(&FINDING, message, format!("ask for the {has} interface `{name}`")).at(rule, "")
}
