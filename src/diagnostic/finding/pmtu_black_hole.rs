//! FWC704: errors about untracked flows are dropped.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC704",
    severity: Severity::Warning,
    title: "path MTU black hole",
    explanation: "\
ICMP errors about an untracked flow are `invalid` for conntrack, never `related`. Where invalid packets are dropped before ICMP errors are
accepted, or where only known states are accepted, \"fragmentation needed\" and \"packet too big\" are lost: the host goes on sending packets that
are too large. Measured: HTTP 200, and then 0 of 400 kB.

Accept ICMP types 3, 11 and 12 and ICMPv6 types 1 to 4 before anything that looks at the state.
",
};

/// `packet` is dropped by the rule, or the policy, at `place`.
pub fn report(place: Place, by_rule: bool, packet: &str, v6: bool) -> Diagnostic {
    let help = if v6 {
        "accept ICMPv6 types 1, 2, 3 and 4 before it, whatever their state"
    } else {
        "accept ICMP types 3, 11 and 12 before it, whatever their state"
    };
    let message = format!("an error about an untracked flow is dropped, and path MTU discovery with it: {packet}");
    Diagnostic::new(&FINDING, message, help)
        .at(place, if by_rule { "dropped here" } else { "no rule accepts it, so the policy drops it" })
}
