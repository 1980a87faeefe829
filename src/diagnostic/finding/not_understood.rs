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

/// Part of a rule is not understood.
pub fn part(place: Place, text: &str) -> Diagnostic {
    let message = format!("`{text}` is not understood");
    Diagnostic::new(&FINDING, message, "findings about packets that come here hold for either answer").at(place, "")
}
