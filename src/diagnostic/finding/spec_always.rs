//! FWC752: a spec accepts what every host needs.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC752",
    severity: Severity::Warning,
    title: "what a spec always does",
    explanation: "\
A spec always accepts loopback, ICMP errors, neighbour discovery and multicast listener messages, and DHCP replies, and it never accepts what
conntrack calls invalid for a tracked service. The imported ruleset does otherwise. These are the rules without which hosts lose their path MTU,
their neighbours or their addresses, so the difference mostly is a gain; but it is one.
",
};

/// The spec's own rules for `what` decide about `packet` otherwise than the ruleset does at `place`.
pub fn report(place: Place, what: &str, packet: &str, accepts: bool) -> Diagnostic {
    let (spec, file) = if accepts { ("accepts", "does not") } else { ("does not accept", "does") };
    let message = format!("a spec {spec} {what}, and this ruleset {file}: {packet}");
    Diagnostic::new(&FINDING, message, "nothing, if you agree; otherwise keep the ruleset's rule in a table of its own")
        .at(place, "")
}
