//! FWC422 (warning): the conntrack table will soon be full.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC422",
    severity: Severity::Warning,
    title: "the conntrack table will soon be full",
    explanation: "\
Four fifths of the table are in use, or it will be full within ten minutes if it goes on growing as it did between the two looks of `fwc doctor`
(`--interval`; a longer one is less moved by chance).

See `fwc explain FWC420` for what a full table means and what to do.
",
};

/// `soon`: seconds until it is full.
pub fn report(count: u64, max: u64, percent: u64, soon: Option<u64>, help: &str) -> Diagnostic {
    let when = soon.map_or(String::new(), |seconds| format!("; at the present rate it is full in {seconds} s"));
    Diagnostic::new(&FINDING, format!("the conntrack table is {percent}% full: {count} of {max} entries{when}"), help)
}
