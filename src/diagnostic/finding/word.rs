//! FWC118: a word that is not one of those that can stand there.

use crate::diagnostic::{Diagnostic, Finding, Severity, choice, nearest};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC118",
    severity: Severity::Error,
    title: "not one of the words",
    explanation: "\
A key takes one of a few words, and the value is none of them.

    policy: {input: deny}

The help line names the words. A policy is `accept` or `drop`; a test's `direction` is `in`, `out` or `forward`, its `state`
`new`, `established`, `related` or `invalid`, its `tracking` `tracked` or `untracked`.",
};

/// `what` must be one of `words`.
pub fn report(what: &str, text: &str, words: &[&str], place: Place) -> Diagnostic {
    let help = match nearest(text, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write {}", choice(words)),
    };
    Diagnostic::new(&FINDING, format!("{what} cannot be `{text}`"), help).at(place, "")
}

/// `conntrack` is a word other than `disabled`.
pub fn conntrack(text: &str, place: Place) -> Diagnostic {
    let help = "write `disabled`, or the table's size below it: `max`, `buckets` and `timeouts`";
    Diagnostic::new(&FINDING, format!("`conntrack` cannot be `{text}`"), help).at(place, "")
}
