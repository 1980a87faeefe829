//! FWC707: IPv6 neighbour discovery counts as untracked.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC707",
    severity: Severity::Warning,
    title: "neighbour discovery is dropped",
    explanation: "\
The kernel never tracks IPv6 neighbour discovery. A rule that drops untracked packets drops it too, and after a while nobody finds the host's
address any more.

Accept ICMPv6 types 133 to 137 (and 130, 131, 132 and 143, by which multicast is joined) before the rule.
",
};

/// `rule` drops neighbour discovery.
pub fn report(rule: Place) -> Diagnostic {
    let message = "this drops untracked packets, and IPv6 neighbour discovery is always untracked";
    let help = "accept ICMPv6 types 130-137 and 143 before this rule";
    Diagnostic::new(&FINDING, message, help).at(rule, "drops neighbour discovery")
}
