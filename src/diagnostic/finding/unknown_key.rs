//! FWC103: a key that the language does not have.

use crate::diagnostic::{Diagnostic, Finding, Severity, nearest};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC103",
    severity: Severity::Error,
    title: "unknown key",
    explanation: "\
A mapping has a key that the language does not have. It is refused and not passed over, because a mistyped restriction
that is passed over lets everybody in.

    services:
      ssh: {listen: \"*:22\", form: 192.0.2.0/24}

The help line names the nearest key, or all that are known there. `fwc schema` prints a JSON schema with which editors complete
keys and mark unknown ones while you type.",
};

/// An unknown key `key` of `owner` (service `web`), which may have the keys `known`.
pub fn report(key: &str, owner: &str, known: &[&str], place: Place) -> Diagnostic {
    let help = match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.len() == 1 => format!("the only key here is `{}`", known.join("")),
        None => format!("the keys here are {}", known.join(", ")),
    };
    Diagnostic::new(&FINDING, format!("unknown key `{key}` in {owner}"), help).at(place, "")
}

/// The merge key of YAML 1.1.
pub fn merge_key(place: Place) -> Diagnostic {
    let help = "write the keys out; an alias may stand for a whole value: `from: *office`";
    Diagnostic::new(&FINDING, "`<<` does not merge mappings in YAML 1.2", help).at(place, "")
}
