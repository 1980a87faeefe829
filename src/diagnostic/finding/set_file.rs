//! FWC119: a line of a set file that is not an address.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::net::Invalid;
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC119",
    severity: Severity::Error,
    title: "a bad line in a set file",
    explanation: "\
A set file has one address, prefix or `a-b` range a line. `#` starts a comment, blank lines are passed over. Any other line is
refused: a block list with a line left out would let that line's addresses in.

    # blocklist.txt
    198.51.100.7
    198.51.100.300

Correct or remove the line. The first 20 bad lines of a file are shown.",
};

/// A bad line at `place`, in a file that the token at `from` names.
pub fn line(invalid: &Invalid, place: Place, from: Place) -> Diagnostic {
    Diagnostic::new(&FINDING, invalid.message.clone(), invalid.help.clone())
        .at(place, "")
        .at(from, "the file is read for this")
}

/// More bad lines than are shown; `place` is the first that is not.
pub fn more(count: usize, place: Place, from: Place) -> Diagnostic {
    let message = match count {
        1 => "1 more line of this file is not an address".to_string(),
        _ => format!("{count} more lines of this file are not addresses"),
    };
    Diagnostic::new(&FINDING, message, "write one address, prefix or a-b range a line, and `#` before comments")
        .at(place, "the next one")
        .at(from, "the file is read for this")
}

/// More ranges than fwc takes.
pub fn too_many(most: usize, place: Place, from: Place) -> Diagnostic {
    let help = "join neighbouring addresses to prefixes or ranges";
    Diagnostic::new(&FINDING, format!("the file has more than {most} addresses, prefixes and ranges"), help)
        .at(place, "")
        .at(from, "the file is read for this")
}
