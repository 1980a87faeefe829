//! FWC702: whoever picks this source port reaches every port.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC702",
    severity: Severity::Warning,
    title: "let in by source port alone",
    explanation: "\
The source port is chosen by the sender. A rule that accepts replies by their source port alone lets new connections in as well: with
`tcp sport 443 accept`, a peer that bound port 443 reached the SSH server on port 22.

Let replies in by state, or guard them: TCP packets with SYN and without ACK open a connection and are no replies (`! --syn`, in nft
`tcp flags & (syn | ack) != syn`), and replies of any protocol come to a local port of the ephemeral range (32768-60999).
",
};

/// `rule` lets `packet` in.
pub fn report(rule: Place, packet: &str, tcp: bool) -> Diagnostic {
    hole(packet, tcp).at(rule, "accepts by source port alone")
}

/// `rule` untracks `packet`, which the filter lets in because it is untracked.
pub fn untracked(rule: Place, packet: &str, tcp: bool) -> Diagnostic {
    hole(packet, tcp).at(rule, "untracks by source port alone, and what is untracked is accepted")
}

fn hole(packet: &str, tcp: bool) -> Diagnostic {
    let help = if tcp {
        "accept established packets by state, or add `! --syn` (nft: `tcp flags & (syn | ack) != syn`) and the local ports 32768-60999"
    } else {
        "accept established packets by state, or limit the rule to the local ports 32768-60999"
    };
    Diagnostic::new(
        &FINDING,
        format!("anybody who sends from this port reaches every port of the host: {packet}"),
        help,
    )
}
