//! FWC432 (warning): a conntrack table that would take much of the host's memory.

use super::table_too_large::megabytes;
use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC432",
    severity: Severity::Warning,
    title: "the conntrack table would take much of the memory",
    explanation: "\
When it is full, the table that `conntrack` asks for takes between a quarter and a half of the host's memory: about 320 bytes an entry and 8 a bucket, which
cannot be swapped out. It is set. On a host that does nothing else, such as a router, that may be what you want; else the services on it may run out of
memory during a flood.

Ask for less, shorten the timeouts, or make the busy service stateless, which takes no entry at all.
",
};

/// The table takes `table` of `memory` bytes; `fits` entries would take a quarter.
pub fn report(table: u64, memory: u64, fits: u64, place: Place) -> Diagnostic {
    let (table, memory) = (megabytes(table), megabytes(memory));
    Diagnostic::new(
        &FINDING,
        format!("a full conntrack table would take {table} MB of the {memory} MB that this host has"),
        format!("ask for at most {fits} entries if something else runs on this host"),
    )
    .at(place, "more than a quarter of the memory")
}
