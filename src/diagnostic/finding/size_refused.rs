//! FWC434: the kernel refused a part of `conntrack`.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC434",
    severity: Severity::Error,
    title: "the kernel refused the size of the conntrack table",
    explanation: "\
`fwc apply` writes the values of `conntrack` before it loads the rules. The kernel refused one, for example because it has no memory for so many buckets.
What was written before it has been put back, and no rule was loaded.
",
};

/// A value that was refused; `error` names the file and the reason.
pub fn report(key: &str, error: &str, place: Place) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!(
            "the kernel refused `conntrack.{key}`: {error}; what was set before it is put back, and nothing was loaded"
        ),
        "ask for less, or take it out of the spec",
    )
    .at(place, "refused")
}
