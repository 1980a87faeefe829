//! FWC753: no proven spec can be made.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC753",
    severity: Severity::Error,
    title: "the ruleset cannot be imported",
    explanation: "\
Either nothing of what was given is a ruleset, or a spec was made of it that fwc refuses: half-tracked services and NAT beside stateless flows
are the usual reasons, and `fwc lint` tells more about them. A spec that is refused is printed all the same, so that it can be corrected by hand;
nothing is proven about it.
",
};

/// The spec has an error at `place`.
pub fn refused(place: Place, code: &str, message: &str, help: &str) -> Diagnostic {
    let message = format!("fwc refuses the spec that this ruleset makes ({code}): {message}");
    Diagnostic::new(&FINDING, message, help).at(place, "in the spec")
}

/// What was given is no ruleset, or not one.
pub fn unreadable(place: Place, why: &str) -> Diagnostic {
    let help = "give what iptables-save, ip6tables-save, ipset save or nft -j list ruleset print";
    Diagnostic::new(&FINDING, why, help).at(place, "")
}
