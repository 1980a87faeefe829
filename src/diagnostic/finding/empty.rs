//! FWC120: nothing where something belongs.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC120",
    severity: Severity::Error,
    title: "empty",
    explanation: "\
A key has no value, a list or mapping has nothing in it, or the spec is empty. Often a value has slipped to the wrong
indentation. Nothing is guessed: an empty `from` could mean anyone or no one.

    services:
      web:
      listen: 203.0.113.5:80

Here `web` is empty and `listen` became the name of a second service. Indent `listen` below `web`; leave out a key that is
not needed.",
};

/// `what` (`from`, set `bad`) has nothing in it.
pub fn report(what: &str, place: Place) -> Diagnostic {
    let help = "write a value, indented below its key if it is not on the same line, or leave the key out";
    Diagnostic::new(&FINDING, format!("{what} is empty"), help).at(place, "")
}

/// A spec without any key.
pub fn spec(place: Place) -> Diagnostic {
    let help = "start with\nservices:\n  web:\n    listen: 203.0.113.5:80\n    stateless: true";
    Diagnostic::new(&FINDING, "the spec is empty", help).at(place, "")
}

/// A set file without an address.
pub fn set_file(name: &str, place: Place) -> Diagnostic {
    let message = format!("`{name}` has no address in it");
    Diagnostic::new(&FINDING, message, "write one address, prefix or a-b range a line, or remove the set").at(place, "")
}
