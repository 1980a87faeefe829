//! FWC703: NAT rules stand beside NOTRACK rules.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC703",
    severity: Severity::Warning,
    title: "NAT beside NOTRACK",
    explanation: "\
NAT translates tracked flows only. Where a NAT rule would match an untracked flow, nothing happens and nobody says so: a redirect ends in
`connection refused`, and with source NAT packets leave with the address that should have been hidden.

Take the flows out of NOTRACK or out of NAT. If all of them must be translated, they must all be tracked: make the table larger instead
(`net.netfilter.nf_conntrack_max`).
",
};

/// `notrack` takes flows away from the NAT rule.
pub fn overlaps(notrack: Place, nat: Option<Place>, packet: &str) -> Diagnostic {
    let message = format!("NAT never sees what this untracks: {packet} is not translated");
    let help = "leave these flows tracked, or limit the NAT rule to others";
    let found = Diagnostic::new(&FINDING, message, help).at(notrack, "untracked here");
    match nat {
        Some(nat) => found.at(nat, "would be translated here"),
        None => found,
    }
}

/// NAT and NOTRACK are about different flows.
pub fn apart(notrack: Place, nat: Place) -> Diagnostic {
    let help = "nothing to do while they stay apart; in a spec this is `nat_conflict: overlap`";
    Diagnostic::new(&FINDING, "there are NAT rules beside NOTRACK rules; no flow meets both", help)
        .at(nat, "translates")
        .at(notrack, "untracks")
}
