//! FWC720: part of a ruleset was not understood.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC720",
    severity: Severity::Warning,
    title: "a rule that is not understood",
    explanation: "\
fwc did not understand this line, or a part of it. A condition that it does not understand may hold or not, and a target that it does not
follow may let a packet pass or not: what is said about the ruleset holds for either. A line that could not be read at all is not part of what
was looked at.
",
};

/// A line could not be read.
pub fn unread(place: Place, why: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("this line was left out: {why}"),
        "what is said about the ruleset does not hold for it",
    )
    .at(place, "")
}

/// Rules ask or do something that is not understood.
pub fn part(text: &str, places: &[Place]) -> Diagnostic {
    let message = match places.len() {
        0 | 1 => format!("`{text}` is not understood"),
        count => format!("`{text}` is not understood; {count} rules have it"),
    };
    let found =
        Diagnostic::new(&FINDING, message, "what is found about packets that come here holds for either answer");
    places.iter().fold(found, |found, &place| found.at(place, ""))
}
