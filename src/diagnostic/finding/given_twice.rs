//! FWC104: something that may be given once and stands twice.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC104",
    severity: Severity::Error,
    title: "given twice",
    explanation: "\
A key or a name stands twice, in one file or in two files of a directory. Most YAML readers silently take the last one;
fwc does not choose.

    services:
      web: {listen: 203.0.113.5:80}
      web: {listen: 203.0.113.5:443}

Remove one of the two, give one another name, or join them: `listen: [203.0.113.5:80, 203.0.113.5:443]`. In a directory,
the mappings of all files are merged and the lists `block`, `nat` and `tests` are joined; everything else is given once.",
};

/// `what` (key `listen`, service `web`) stands at `first` and again at `second`.
pub fn report(what: &str, help: &str, first: Place, second: Place) -> Diagnostic {
    Diagnostic::new(&FINDING, format!("{what} is given twice"), help)
        .at(second, "again here")
        .at(first, "first given here")
}
