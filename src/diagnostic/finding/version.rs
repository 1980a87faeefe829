//! FWC107: a version of the language that this fwc does not speak.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC107",
    severity: Severity::Error,
    title: "unknown version",
    explanation: "\
`version` names the version of the spec language, not of fwc or of your spec. This fwc understands version 1. The key may be
left out, which means 1.

    version: 2

Write `version: 1`, or leave the key out.",
};

/// A version other than 1.
pub fn report(text: &str, place: Place) -> Diagnostic {
    let message = format!("version `{text}` of the spec language is not known: this fwc understands version 1");
    Diagnostic::new(&FINDING, message, "write `version: 1`, without quotes").at(place, "")
}
