//! Block lists that cover what hosts live on.

use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::block_too_wide;
use crate::net::{AddrRange, AddressSet};
use crate::policy::model::Policy;
use crate::policy::sets::Addresses;
use crate::spec::Spec;

/// Ranges that a host's own network uses, and what is lost with them.
const OWN: [(&str, &str); 6] = [
    ("10.0.0.0/8", "private networks use it, yours perhaps too"),
    ("172.16.0.0/12", "private networks use it, yours perhaps too"),
    ("192.168.0.0/16", "private networks use it, yours perhaps too"),
    ("169.254.0.0/16", "cloud metadata and DHCP fall-back addresses are in it"),
    ("fe80::/10", "routers and DHCPv6 servers answer from it"),
    ("fc00::/7", "private networks use it, yours perhaps too"),
];

pub(super) fn check(spec: &Spec, policy: &Policy) -> Vec<Diagnostic> {
    let (Some(block), Some(addresses)) = (&spec.block, policy.block) else { return Vec::new() };
    OWN.iter()
        .filter(|&&(text, _)| text.parse().is_ok_and(|range| covers(policy, addresses, range)))
        .map(|&(text, why)| block_too_wide::report(block.place, text, why))
        .collect()
}

/// Whether all of `range` is among `addresses`.
fn covers(policy: &Policy, addresses: Addresses, range: AddrRange) -> bool {
    match addresses {
        Addresses::Any => false,
        Addresses::Range(all) => AddressSet::from_iter([all]).covers(range),
        Addresses::Set(id) => policy.sets.get(id).covers(range),
    }
}
