//! FWC431: a conntrack table that would take too much of the host's memory.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC431",
    severity: Severity::Error,
    title: "the conntrack table would not fit into memory",
    explanation: "\
An entry of the conntrack table takes about 320 bytes of kernel memory, which cannot be swapped out, and a bucket 8. Before it sets `conntrack.max` or
`conntrack.buckets`, `fwc apply` reckons what the table takes when it is full. More than half of the host's memory is refused: whoever floods the table
would take the host down with it. More than a quarter is a warning (FWC432).

Ask for less, shorten the timeouts, or make the busy service stateless, which takes no entry at all. `fwc apply --force FWC431` sets it in spite of this.
",
};

/// The table takes `table` of `memory` bytes; `fits` entries would take a quarter.
pub fn report(table: u64, memory: u64, fits: u64, place: Place) -> Diagnostic {
    let (table, memory) = (megabytes(table), megabytes(memory));
    Diagnostic::new(
        &FINDING,
        format!("a full conntrack table would take {table} MB of the {memory} MB that this host has, and none of it can be swapped out"),
        format!("ask for at most {fits} entries, which take a quarter, or apply with `--force FWC431`"),
    )
    .at(place, "more than half of the memory")
}

pub(super) fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}
