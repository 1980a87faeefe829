//! FWC435 (warning): a conntrack table that is full as soon as it is set.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC435",
    severity: Severity::Warning,
    title: "the conntrack table holds more than it may",
    explanation: "\
`conntrack.max` is less than the number of entries that the table holds now. The kernel keeps them, but takes no new one until enough are gone: tracked
services drop new connections for as long. Entries of flows that become stateless are deleted right after the load, which may be enough.

Ask for more, or wait for a quieter time.
",
};

/// The table holds `count` entries, and may hold `max`.
pub fn report(count: u64, max: u32, place: Place) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("the conntrack table holds {count} entries, and `conntrack.max` allows {max}: new connections are dropped until enough are gone"),
        format!("ask for more than {count}"),
    )
    .at(place, "less than there are")
}
