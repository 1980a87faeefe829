//! FWC706: the host cannot reach its own service.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC706",
    severity: Severity::Warning,
    title: "a NOTRACK pair without loopback",
    explanation: "\
Over loopback both legs of a connection pass OUTPUT. A pair of NOTRACK rules, one by destination port in PREROUTING and one by source port in
OUTPUT, leaves the request tracked there and the reply untracked: under a stateful filter a request of the host to its own service times out,
and even where everything over loopback is accepted each request leaves an entry in SYN_SENT behind. A rule for `lo` in PREROUTING does not help, because the packet has been tracked by then.
",
};

/// Over loopback, `rule` untracks one leg only. `missing` is the rule that helps. `passes`: the filter accepts everything over loopback.
pub fn report(rule: Place, packet: &str, missing: &str, passes: bool) -> Diagnostic {
    let end =
        if passes { "each such flow leaves an entry without an answer" } else { "the host cannot speak to itself so" };
    let message = format!("over loopback this untracks {packet}, but what answers it is tracked: {end}");
    Diagnostic::new(&FINDING, message, format!("add to OUTPUT of raw: {missing}"))
        .at(rule, "untracks one leg over loopback")
}
