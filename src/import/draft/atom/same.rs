//! Which atoms are about the same server.

use super::Atom;
use crate::net::{AddressSet, RangeSet};

/// Whether an entry for the same server is there already.
pub(super) fn same_server(one: &Atom, other: &Atom) -> bool {
    same_address(one, other) && one.ports == other.ports
}

/// The same whatever its ports.
pub(super) fn same_address(one: &Atom, other: &Atom) -> bool {
    one.section == other.section
        && one.stateless == other.stateless
        && one.family == other.family
        && one.protocols == other.protocols
        && one.local_ports == other.local_ports
        && one.targets == other.targets
}

/// Whether all of `other` are among these; `None` is anybody.
pub(super) fn covers(one: Option<&AddressSet>, other: Option<&AddressSet>) -> bool {
    match (one, other) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(one), Some(other)) => {
            one.v4.intersection(&other.v4) == other.v4 && one.v6.intersection(&other.v6) == other.v6
        }
    }
}

/// Whether each port of a reply is one of these requests'.
pub(super) fn are_answered<'r>(reply: &Atom, mut requests: impl Iterator<Item = &'r Atom>) -> bool {
    match &reply.ports {
        None => requests.next().is_some(),
        Some(ports) => {
            let asked = requests.filter_map(|one| one.ports.as_ref());
            let asked = asked.fold(None, |sum: Option<RangeSet<u16>>, ports| {
                Some(sum.map_or_else(|| ports.clone(), |sum| sum.union(ports)))
            });
            asked.is_some_and(|asked| asked.intersection(ports) == *ports)
        }
    }
}
