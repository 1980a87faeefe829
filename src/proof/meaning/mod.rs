//! What a policy means, as sets of packets: said once more, from the contract and not from the rules, so that the two can be held against each
//! other.
//!
//! Each function is a sentence of the contract. No order of rules, no chains: only which packets are untracked, which are accepted.

mod admission;
mod flow;
mod nat;
mod tracking;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use self::flow::is_host;
use super::bdd::{Result, Set};
use super::condition::{Conditions, Moment};
use super::names::LOOPBACK;
use super::space::{Field, Space};
use super::way::Path;
use crate::dump::{Condition, Hook, InterfacePattern, Side, States, Test, Translation, Way};
use crate::net::{AddressSet, Family, Protocol, RangeSet};
use crate::policy::{AddressSetId, Addresses, Entry, Policy, Role, Server};
use crate::ruleset::Leg;
use crate::spec::Tracking;

/// What IPv6 needs on a link.
const LINK_V6: [u8; 9] = [130, 131, 132, 133, 134, 135, 136, 137, 143];

/// An ICMPv6 redirect is followed like any other message.
const REDIRECT_V6: u8 = 137;

/// What a policy means on one path.
#[derive(Debug, Clone)]
pub struct Meaning {
    /// Packets that `block` does not stop.
    pub entered: Set,
    /// Packets that are marked as untracked.
    pub untracked: Set,
    /// Packets that are accepted.
    pub accepted: Set,
    /// Packets that the spec calls tracked as well as untracked.
    pub contradictions: Set,
    /// What is translated, and how.
    pub translations: BTreeMap<(Hook, Translation), Set>,
    /// Packets that can come by at all.
    pub possible: Set,
    /// Packets that may open a flow: requests of entries, what a destination NAT leads here, and whatever the policy lets pass.
    pub openers: Set,
}

/// Reads a policy.
pub struct Reader<'a> {
    space: &'a Space,
    policy: &'a Policy,
    conditions: Conditions<'a>,
    /// The sets of the policy that have been asked for.
    sets: RefCell<HashMap<AddressSetId, Arc<AddressSet>>>,
}

impl<'a> Reader<'a> {
    /// Of a policy, in a space that has surveyed it.
    #[must_use]
    pub fn new(space: &'a Space, policy: &'a Policy) -> Self {
        Reader { space, policy, conditions: Conditions::new(space, false), sets: RefCell::default() }
    }

    /// What it means on a path. `None` where fwc does not touch the hook.
    pub fn path(&self, path: Path) -> Result<Meaning> {
        let space = self.space;
        let domain = self.domain(path)?;
        let entered = domain.minus(&self.blocked(path)?)?;
        let marked = self.untracked(path)?.and(&entered)?;
        // A translated flow was held against raw under its old destination, and is tracked.
        let translated =
            if path == Path::Out { space.engine.none() } else { space.translated(Side::Destination)?.and(&domain)? };
        let untracked = marked.minus(&translated)?;
        let (openers, accepted) = self.accepted(path, &untracked)?;
        let reach = entered.or(&translated)?;
        let accepted = accepted.and(&reach)?;
        Ok(Meaning {
            translations: self.translations(path, &reach, &accepted, &untracked)?,
            untracked: untracked.and(&entered)?,
            accepted,
            openers: openers.and(&reach)?,
            contradictions: self.contradictions(path)?,
            possible: self.possible(path)?,
            entered,
        })
    }

    /// The packets of one leg of an endpoint's flows that the spec accepts, wherever they come from, and the path on which they go.
    pub fn leg(&self, entry: &Entry, server: &Server, leg: Leg) -> Result<(Path, Set)> {
        let path = flow::passes(&entry.role, leg);
        Ok((path, self.any(&[self.admitted(entry, server, leg, path)])?))
    }

    fn domain(&self, path: Path) -> Result<Set> {
        let lo = [InterfacePattern::exact(LOOPBACK)];
        let all = self.space.engine.all();
        match path {
            Path::In | Path::Out => Ok(all),
            Path::Forward => {
                all.minus(&self.space.interface(Way::In, &lo)?)?.minus(&self.space.interface(Way::Out, &lo)?)
            }
        }
    }

    /// Sources in `block`, except over loopback and what IPv6 needs on a link.
    fn blocked(&self, path: Path) -> Result<Set> {
        match self.policy.block {
            Some(block) if path != Path::Out => {
                let from = self.addresses(Side::Source, block)?;
                from.minus(&self.loopback(path)?)?.minus(&self.icmp(Family::V6, &LINK_V6)?)
            }
            _ => Ok(self.space.engine.none()),
        }
    }

    fn loopback(&self, path: Path) -> Result<Set> {
        let lo = [InterfacePattern::exact(LOOPBACK)];
        match path {
            Path::In => self.space.interface(Way::In, &lo),
            Path::Out => self.space.interface(Way::Out, &lo),
            Path::Forward => Ok(self.space.engine.none()),
        }
    }

    /// The packets that meet one of the lists. None of them asks conntrack.
    fn any(&self, lists: &[Vec<Condition>]) -> Result<Set> {
        let none = self.space.engine.none();
        let moment = Moment { hook: Hook::Forward, after_conntrack: true, untracked: none.clone(), never: none };
        self.conditions.any(lists.iter().map(Vec::as_slice), &moment)
    }

    /// Packets that can come by on a path: what is sent to the address of a service comes to this host, and is never routed through it.
    pub fn possible(&self, path: Path) -> Result<Set> {
        let hosts = self.policy.entries.iter().filter(|entry| matches!(entry.role, Role::Service { .. }));
        let hosts = hosts.flat_map(|entry| &entry.servers).filter_map(|server| match server.addresses {
            Addresses::Range(range) if is_host(server) => Some(range),
            _ => None,
        });
        let own: AddressSet = hosts.collect();
        let mut possible = self.domain(path)?;
        for side in [Side::Source, Side::Destination] {
            let own = self.space.address(Field::Address(side), &own)?;
            possible = possible.minus(&own.minus(&self.space.local(side)?)?)?;
            if path == Path::Forward {
                possible = possible.minus(&self.space.local(side)?)?;
            }
        }
        Ok(possible)
    }

    fn among(&self, side: Side, addresses: Addresses) -> Option<Condition> {
        let set = match addresses {
            Addresses::Any => return None,
            Addresses::Range(range) => Arc::new([range].into_iter().collect()),
            Addresses::Set(id) => {
                let mut sets = self.sets.borrow_mut();
                Arc::clone(sets.entry(id).or_insert_with(|| Arc::new(self.policy.sets.get(id).clone())))
            }
        };
        Some(Condition::is(Test::Address(side, set)))
    }

    fn entries(&self, tracking: Tracking) -> impl Iterator<Item = &'a Entry> {
        self.policy.entries.iter().filter(move |entry| entry.tracking == tracking)
    }

    fn addresses(&self, side: Side, addresses: Addresses) -> Result<Set> {
        self.in_field(Field::Address(side), addresses)
    }

    fn original(&self, addresses: Addresses) -> Result<Set> {
        self.in_field(Field::OriginalAddress, addresses)
    }

    fn in_field(&self, field: Field, addresses: Addresses) -> Result<Set> {
        match addresses {
            Addresses::Any => Ok(self.space.engine.all()),
            Addresses::Range(range) => self.space.address(field, &[range].into_iter().collect()),
            Addresses::Set(id) => self.space.address(field, self.policy.sets.get(id)),
        }
    }

    fn icmp(&self, family: Family, types: &[u8]) -> Result<Set> {
        let types = RangeSet::from_ranges(types.iter().map(|&kind| (kind, kind)));
        self.space.icmp(family, &types, &RangeSet::all())
    }

    fn udp(&self, from: u16, to: u16) -> Result<Set> {
        let ports = self.space.port(Side::Source, &RangeSet::single(from))?;
        let ports = ports.and(&self.space.port(Side::Destination, &RangeSet::single(to))?)?;
        ports.and(&self.space.protocol(&RangeSet::single(Protocol::UDP.number()))?)
    }

    /// Neighbour discovery and multicast listener messages: conntrack follows none that is sound.
    fn never_tracked(&self) -> Result<Set> {
        let invalid = self.space.state(States { invalid: true, ..States::default() })?;
        let types: Vec<u8> = LINK_V6.into_iter().filter(|kind| *kind != REDIRECT_V6).collect();
        self.icmp(Family::V6, &types)?.minus(&invalid)
    }

    /// What conntrack says of packets that are not marked.
    fn state(&self, states: States, untracked: &Set) -> Result<Set> {
        let never = self.never_tracked()?;
        let moment = Moment { hook: Hook::Input, after_conntrack: true, untracked: untracked.clone(), never };
        let condition = Condition::is(Test::State(states));
        self.conditions.all(&[condition], &moment)
    }
}
