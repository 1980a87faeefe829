//! FWC121: more mistakes than are listed.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC121",
    severity: Severity::Error,
    title: "more mistakes than are listed",
    explanation: "\
The spec has more than 1000 mistakes. The first 1000 that were found are listed; this one stands for the rest. So many mostly
have one cause: the wrong file, or a mistake in the program that wrote it.",
};

/// More than `most` mistakes; `place` is that of the first that is not listed.
pub fn report(most: usize, place: Place) -> Diagnostic {
    let message = format!("there are more than {most} mistakes, and the rest are not listed");
    Diagnostic::new(&FINDING, message, "cure the first ones, then run again").at(place, "the next one")
}
