//! FWC752: a spec accepts what every host needs.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC752",
    severity: Severity::Warning,
    title: "what a spec always does",
    explanation: "\
A spec always accepts loopback, ICMP errors, neighbour discovery and multicast listener messages, and DHCP replies, and answers of what is
tracked. It never accepts what conntrack calls invalid for a tracked service, and once anything is stateless, loopback is untracked. The
imported ruleset does otherwise. These are the rules without which hosts lose their path MTU, their neighbours or their addresses, so the
difference mostly is a gain; but it is one.
",
};

const HELP: &str = "nothing, if you agree; otherwise keep the ruleset's rule in a table of its own";

/// The spec's own rule for `what`, which no entry asks for, makes something else of `packet` than the ruleset does at `place`.
pub fn report(place: Place, what: &str, packet: &str, file: &str, spec: &str) -> Diagnostic {
    let message = format!("{what}: {spec} by the spec, and {file} by this ruleset: {packet}");
    Diagnostic::new(&FINDING, message, HELP).at(place, format!("{file} here"))
}

/// What conntrack calls invalid is accepted at `place`, and never by a spec's tracked entry.
pub fn invalid(place: Place, packet: &str) -> Diagnostic {
    let message = format!("a tracked entry accepts new flows only, and this rule accepts {packet}");
    Diagnostic::new(&FINDING, message, HELP).at(place, "accepted here")
}
