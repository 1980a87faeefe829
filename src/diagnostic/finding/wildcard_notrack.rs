//! FWC708: a NOTRACK rule without an address meets routed flows.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC708",
    severity: Severity::Warning,
    title: "routed flows are half untracked",
    explanation: "\
PREROUTING sees what is routed as well. `-p tcp --dport 80 -j CT --notrack` meant for a service of this host also untracks the requests of
others' flows through it, and not their replies.

Add `-m addrtype --dst-type LOCAL` (nft: `fib daddr type local`), or the service's address.
",
};

/// `rule` untracks one leg of routed flows.
pub fn report(rule: Place, packet: &str, nft: bool) -> Diagnostic {
    let words = if nft { "fib daddr type local" } else { "-m addrtype --dst-type LOCAL" };
    let message = format!("this host routes, and of a routed flow this untracks one leg only: {packet}");
    Diagnostic::new(&FINDING, message, format!("add `{words}`, or the address of the service"))
        .at(rule, "meets what is routed, too")
}
