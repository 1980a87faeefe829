//! FWC210 (warning): a block list that covers what the host lives on.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC210",
    severity: Severity::Warning,
    title: "a block list that covers too much",
    explanation: "\
`block` drops every packet of these sources before anything else: replies to the host's own requests and ICMP errors too. Loopback and IPv6
neighbour discovery are exempt. Public lists of unroutable networks often contain the private ranges that a host lives in
(10.0.0.0/8, 192.168.0.0/16) or link-local addresses (169.254.0.0/16, fe80::/10), from which routers and DHCP servers answer.

Take out of the list what your own network uses.
",
};

/// The block list at `place` covers `what`.
pub fn report(place: Place, what: &str, why: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("the block list covers {what}: {why}"),
        "take it out of the list unless you are sure that nothing of yours lives there",
    )
    .at(place, format!("contains {what}"))
}
