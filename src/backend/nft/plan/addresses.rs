//! Addresses of a rule as conditions: written in place, or looked up in a set of their own.

use super::Planner;
use crate::backend::nft::program::{Condition, Elements, Selector, Set, SetId, Side};
use crate::net::{AddrRange, Family, Scalar};
use crate::policy::{AddressSetId, Addresses};

/// Which address of a packet is meant.
#[derive(Debug, Clone, Copy)]
pub(super) enum Where {
    /// One in its header.
    Header(Side),
    /// The destination that it had before a translation.
    Original,
}

/// Up to this many ranges, hosts and prefixes share one interval set. Beyond it the hosts move to a hash set, which is faster to look up
/// and to load.
const MIXED: usize = 256;

impl Planner<'_> {
    /// The ways in which a packet of this family can meet `addresses`: one rule for each. No way where the family has none of them;
    /// a way without a condition where any address will do.
    pub(super) fn ways(&mut self, at: Where, addresses: Addresses, family: Family) -> Vec<Option<Condition>> {
        match addresses {
            Addresses::Any => vec![None],
            Addresses::Range(range) if range.family() != family => Vec::new(),
            Addresses::Range(range) if is_whole(range) => vec![Some(Condition::Family(family))],
            Addresses::Range(range) => vec![Some(match at {
                Where::Header(side) => Condition::Address(side, range),
                Where::Original => Condition::OriginalDestination(range),
            })],
            Addresses::Set(id) => {
                if self.policy_sets.get(id).ranges(family).next().is_some_and(is_whole) {
                    return vec![Some(Condition::Family(family))];
                }
                let selector = match at {
                    Where::Header(side) => Selector::Address(family, side),
                    Where::Original => Selector::OriginalDestination(family),
                };
                self.address_sets(id, family).into_iter().map(|set| Some(Condition::In(vec![selector], set))).collect()
            }
        }
    }

    /// One family of an address set as sets of the program.
    fn address_sets(&mut self, id: AddressSetId, family: Family) -> Vec<SetId> {
        if let Some(known) = self.addresses.get(&(id, family)) {
            return known.clone();
        }
        let set = self.policy_sets.get(id);
        let parts = match family {
            Family::V4 => parts(set.v4.ranges()).map(|part| part.map(Elements::V4)),
            Family::V6 => parts(set.v6.ranges()).map(|part| part.map(Elements::V6)),
        };
        let label = self.policy_sets.label(id);
        let both = parts.iter().flatten().count() == 2;
        let mut ids = Vec::new();
        for (elements, interval) in parts.into_iter().zip([false, true]) {
            let Some(elements) = elements else { continue };
            let kind = if both && interval { "_ranges" } else { "" };
            let name = self.names.unique(&format!("{label}{kind}{}", suffix(Some(family))));
            ids.push(self.add(Set { name, interval, counted: false, elements, place: None }));
        }
        self.addresses.insert((id, family), ids.clone());
        ids
    }
}

/// The ranges that go to a hash set and those that go to an interval set.
fn parts<T: Scalar>(ranges: &[(T, T)]) -> [Option<Vec<(T, T)>>; 2] {
    let hosts = ranges.iter().filter(|(first, last)| first == last).count();
    let some = |part: Vec<(T, T)>| (!part.is_empty()).then_some(part);
    if hosts == ranges.len() {
        return [some(ranges.to_vec()), None];
    }
    if hosts == 0 || ranges.len() <= MIXED {
        return [None, some(ranges.to_vec())];
    }
    let (hosts, wide) = ranges.iter().partition(|(first, last)| first == last);
    [some(hosts), some(wide)]
}

/// The end of a set's name.
pub(super) fn suffix(family: Option<Family>) -> &'static str {
    match family {
        Some(Family::V4) => "_v4",
        Some(Family::V6) => "_v6",
        None => "",
    }
}

fn is_whole(range: AddrRange) -> bool {
    matches!(range, AddrRange::V4(0, u32::MAX) | AddrRange::V6(0, u128::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_leave_a_large_mixed_set() {
        let hosts: Vec<(u32, u32)> = (0..300).map(|n| (n * 8, n * 8)).collect();
        assert_eq!(parts(&hosts), [Some(hosts.clone()), None]);
        let mut mixed = hosts.clone();
        mixed.push((5000, 6000));
        assert_eq!(parts(&mixed), [Some(hosts), Some(vec![(5000, 6000)])]);
        let small = [(1, 1), (5, 9)];
        assert_eq!(parts::<u32>(&small), [None, Some(small.to_vec())]);
    }
}
