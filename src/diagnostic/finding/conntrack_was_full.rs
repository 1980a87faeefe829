//! FWC421 (warning): the conntrack table has been full.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC421",
    severity: Severity::Warning,
    title: "the conntrack table has been full",
    explanation: "\
The table has room now, but it was full before: the kernel counted packets that it dropped for want of room (`drop`) or entries that it threw out
before their time (`early_drop`), or its log has lines `table full`. The counters say nothing of when; the log does, as long as it is kept.

It will be full again with the next burst. See `fwc explain FWC420` for what to do. The counters begin at 0 again when the host is started anew.
",
};

/// What the counters and the log say.
pub fn report(dropped: u64, thrown_out: u64, lines: u64, ago: Option<u64>, help: &str) -> Diagnostic {
    let mut said = Vec::new();
    if dropped > 0 {
        said.push(format!("{dropped} packets dropped"));
    }
    if thrown_out > 0 {
        said.push(format!("{thrown_out} entries thrown out before their time"));
    }
    if lines > 0 {
        let last = ago.map_or(String::new(), |ago| format!(", the last {ago} s ago"));
        said.push(format!("`table full` in the kernel's log {lines} times{last}"));
    }
    Diagnostic::new(&FINDING, format!("the conntrack table has been full: {}", said.join("; ")), help)
}
