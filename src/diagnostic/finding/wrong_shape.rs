//! FWC106: a mapping, list or value where something else belongs.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC106",
    severity: Severity::Error,
    title: "wrong shape",
    explanation: "\
A value has the wrong shape: a mapping where a list belongs, a list where one value belongs, a word where `true` or `false`
belongs.

    services:
      web: {listen: 203.0.113.5:80, stateless: yes}

Only `true` and `false`, without quotes, are truth values; `yes`, `no`, `on` and `off` mean one thing to some YAML readers and
another to the rest. A value that may be a list may also stand alone: `protocol: udp` is `protocol: [udp]`.",
};

/// `what` should be `expected` and is `found`.
pub fn report(what: &str, expected: &str, found: &str, help: impl Into<String>, place: Place) -> Diagnostic {
    Diagnostic::new(&FINDING, format!("{what} must be {expected}, not {found}"), help).at(place, "")
}

/// `what` should be `true` or `false`; `meant` where that can be told.
pub fn not_a_bool(what: &str, text: &str, meant: Option<bool>, place: Place) -> Diagnostic {
    let help = match meant {
        Some(meant) => format!("write {meant}, without quotes"),
        None => "write true or false".to_string(),
    };
    Diagnostic::new(&FINDING, format!("{what} must be true or false, not `{text}`"), help).at(place, "")
}

/// Two kinds in one `nat` item.
pub fn two_kinds(first: (&str, Place), second: (&str, Place)) -> Diagnostic {
    let message = format!("a `nat` item is one rule, not both `{}` and `{}`", first.0, second.0);
    Diagnostic::new(&FINDING, message, "start each rule with a `- ` of its own").at(second.1, "").at(first.1, "")
}
