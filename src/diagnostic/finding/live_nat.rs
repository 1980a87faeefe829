//! FWC302: NAT rules on the live host, and a spec with stateless entries.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC302",
    severity: Severity::Error,
    title: "NAT on the live host",
    explanation: "\
NAT is done by conntrack: a flow that is not tracked is not translated, and nothing says so. `fwc apply` looks for NAT rules in every nf_tables
family (iptables-nft is among them) and in legacy iptables and ip6tables, and refuses a spec with stateless entries where it finds one. An
empty nat table does not matter.

Each rule is named, with whether it may touch a stateless flow, and why. If none does, `nat_conflict: overlap` at the top of the spec lets them through;
then the report of the apply names each rule with the reason. A condition of a rule that fwc does not follow counts as met.
Otherwise remove the rules if they are leftovers, or make the entries tracked and enlarge the table (see `fwc explain FWC301`).

`fwc apply --force FWC302` loads in spite of it.
",
};

/// One live NAT rule. `rule` is its text, `touched` the stateless entry whose flows it may touch, `why` the reason of the verdict.
pub fn report(rule: &str, touched: Option<&str>, entry: &str, why: &str, place: Place, advice: &str) -> Diagnostic {
    let (message, relief) = match touched {
        Some(entry) => (format!("this host has a NAT rule that may touch the flows of `{entry}`: {rule}"), ""),
        None => (
            format!("this host has a NAT rule that touches no stateless flow: {rule}"),
            "write `nat_conflict: overlap` in the spec to live with it; ",
        ),
    };
    let help = format!(
        "{relief}remove the rule if nothing needs it, or make the stateless entries tracked and enlarge the table: {advice}"
    );
    Diagnostic::new(&FINDING, message, help).at(place, format!("`{entry}` is stateless; {why}"))
}
