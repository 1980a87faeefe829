//! FWC616: a proof needs more memory than it may have.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC616",
    severity: Severity::Error,
    title: "the proof is too large",
    explanation: "\
`fwc verify` keeps sets of packets as decision diagrams. Their size depends on how many different answers the rules give, not on how many
rules there are; millions of services, or thousands of rules that are not understood, can still be too many. Nothing is proven then, and
nothing is disproven.

Verify parts of the spec by themselves: split it into files that make sense alone.
",
};

/// Nothing could be proven.
pub fn report(place: Place) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        "the proof needs more memory or time than it may have",
        "verify parts of the spec by themselves",
    )
    .at(place, "")
}
