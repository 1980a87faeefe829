//! The rules of a hook, sorted while they come.
//!
//! What a rule of an entry says is kept in two parts: what it asks for besides an endpoint, which many rules share, and the endpoint. So a hundred
//! thousand rules need not be in memory as rules.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::owners::{Owners, Section};
use crate::net::{Family, Interfaces, PortSet, Protocol};
use crate::policy::{AddressSets, Addresses, EntryId};
use crate::ruleset::{Action, Leg, Locality, Origin, Payload, Rule, StateMatch};
use crate::source::Place;

/// What tells groups of rules apart however many entries there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Base {
    pub(super) action: Action,
    pub(super) section: Section,
    pub(super) leg: Leg,
    pub(super) tracked: bool,
    pub(super) locality: Locality,
    pub(super) guarded: bool,
    pub(super) kind: Kind,
    pub(super) family: Option<Family>,
}

/// What an endpoint has besides its address and protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// Ports.
    Ports,
    /// Nothing.
    Plain,
    /// Nothing: of its packets, the fragments that are not the first.
    Fragments,
}

/// What a class asks for besides the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Restriction {
    pub(super) interfaces: Interfaces,
    pub(super) peer: Addresses,
    pub(super) peer_ports: Option<PortSet>,
    /// A set of server addresses that is too large to be multiplied by the ports.
    pub(super) server: Addresses,
}

impl Restriction {
    pub(super) const NONE: &Restriction =
        &Restriction { interfaces: Interfaces::NONE, peer: Addresses::Any, peer_ports: None, server: Addresses::Any };
}

/// What rules ask for besides the endpoint.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) base: Base,
    pub(super) restriction: Restriction,
    /// Where the first of them comes from.
    pub(super) place: Place,
}

/// A rule of an entry in its two parts.
struct Parts<'r> {
    base: Base,
    interfaces: &'r Interfaces,
    peer: &'r Addresses,
    peer_ports: Option<&'r PortSet>,
    /// The server's addresses, if they are too many to be multiplied by the ports.
    apart: &'r Addresses,
    place: Place,
    server: &'r Addresses,
    protocol: Protocol,
    ports: Option<&'r PortSet>,
    entry: EntryId,
}

/// The endpoint of a rule.
#[derive(Debug)]
pub(super) struct Item {
    /// What the rule asks for besides: its place in [`Staged::asked`].
    pub(super) asked: usize,
    /// The server's address; `Any` where the restriction has it.
    pub(super) server: Addresses,
    pub(super) protocol: Protocol,
    pub(super) ports: Option<PortSet>,
    pub(super) entry: EntryId,
}

/// Rules with the same action that stand side by side. They may be taken in any order: what decides most packets comes first.
pub(super) struct Run {
    action: Action,
    pub(super) stages: BTreeMap<Stage, Staged>,
}

/// When a rule gets its turn among others with the same action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Loopback,
    Stateless,
    Established,
    Tracked,
    Translated,
    Host,
    Fragments,
}

/// The rules of one stage.
#[derive(Default)]
pub(super) struct Staged {
    /// Those that become elements, in order.
    pub(super) items: Vec<Item>,
    /// In the order in which the items have come to ask for it. The same may stand there twice.
    pub(super) asked: Vec<Asked>,
    /// By the hash of what is asked for, the place in `asked`.
    known: HashMap<u64, usize>,
    /// Those that stay rules.
    pub(super) others: Vec<Rule>,
}

/// The rules of a hook so far.
pub(super) struct Sorted<'a> {
    pub(super) sets: &'a AddressSets,
    pub(super) owners: &'a Owners,
    pub(super) runs: Vec<Run>,
}

impl Extend<Rule> for Sorted<'_> {
    fn extend<I: IntoIterator<Item = Rule>>(&mut self, rules: I) {
        for rule in rules {
            self.take(rule);
        }
    }
}

impl Sorted<'_> {
    fn take(&mut self, rule: Rule) {
        let parts = self.parts(&rule);
        if self.runs.last().is_none_or(|run| run.action != rule.action) {
            self.runs.push(Run { action: rule.action, stages: BTreeMap::new() });
        }
        let Some(run) = self.runs.last_mut() else { return };
        let staged = run.stages.entry(Stage::of(&rule)).or_default();
        match parts {
            Some(parts) => staged.take(&parts),
            None => staged.others.push(rule),
        }
    }

    /// The parts of a rule that can become elements.
    fn parts<'r>(&self, rule: &'r Rule) -> Option<Parts<'r>> {
        let Origin::Entry(entry, leg, place) = rule.origin else { return None };
        let matching = &rule.matching;
        let tracked = match matching.state {
            StateMatch::Any => false,
            StateMatch::New => true,
            StateMatch::EstablishedOrRelated | StateMatch::Translated { .. } => return None,
        };
        let (protocol, source_ports, destination_ports, kind, guarded) = match &matching.payload {
            Payload::Ports { protocol, source, destination, guarded } => {
                (*protocol, source.as_ref(), destination.as_ref(), Kind::Ports, *guarded)
            }
            Payload::Protocol(protocol) => (*protocol, None, None, Kind::Plain, false),
            // Each family has its own kind of fragment.
            Payload::LaterFragment(protocol) if matching.family.is_some() => {
                (*protocol, None, None, Kind::Fragments, false)
            }
            Payload::LaterFragment(_) | Payload::Any | Payload::Icmp(_) => return None,
        };
        let (server, peer, ports, peer_ports) = match leg {
            Leg::Request => (&matching.destination, &matching.source, destination_ports, source_ports),
            Leg::Reply => (&matching.source, &matching.destination, source_ports, destination_ports),
        };
        if kind == Kind::Ports && ports.is_none() {
            return None;
        }
        let base = Base {
            action: rule.action,
            section: self.owners.section(entry),
            leg,
            tracked,
            locality: matching.locality,
            guarded: guarded && protocol == Protocol::TCP,
            kind,
            family: matching.family,
        };
        let is_large = matches!(server, Addresses::Set(_)) && multiplied(self.sets, *server, ports) > MULTIPLIED;
        let (apart, server) = if is_large { (server, &Addresses::Any) } else { (&Addresses::Any, server) };
        let interfaces = &matching.interfaces;
        Some(Parts { base, interfaces, peer, peer_ports, apart, place, server, protocol, ports, entry })
    }
}

impl Staged {
    fn take(&mut self, parts: &Parts<'_>) {
        // Neighbours mostly ask for the same: then nothing has to be looked up.
        let last = self.items.last().map_or(0, |item| item.asked);
        let asked = match self.asked.get(last) {
            Some(asked) if parts.ask_for(asked) => last,
            _ => self.place(parts),
        };
        let &Parts { server, protocol, ports, entry, .. } = parts;
        self.items.push(Item { asked, server: *server, protocol, ports: ports.cloned(), entry });
    }

    fn place(&mut self, parts: &Parts<'_>) -> usize {
        let next = self.asked.len();
        let known = *self.known.entry(parts.hash()).or_insert(next);
        if self.asked.get(known).is_some_and(|asked| parts.ask_for(asked)) {
            return known;
        }
        let restriction = Restriction {
            interfaces: parts.interfaces.clone(),
            peer: *parts.peer,
            peer_ports: parts.peer_ports.cloned(),
            server: *parts.apart,
        };
        self.asked.push(Asked { base: parts.base, restriction, place: parts.place });
        next
    }
}

impl Parts<'_> {
    /// Of what is asked for. The same for what is the same.
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.base, self.interfaces, self.peer, self.peer_ports, self.apart).hash(&mut hasher);
        hasher.finish()
    }

    fn ask_for(&self, Asked { base, restriction, .. }: &Asked) -> bool {
        self.base == *base
            && (self.peer, self.apart) == (&restriction.peer, &restriction.server)
            && self.peer_ports == restriction.peer_ports.as_ref()
            && *self.interfaces == restriction.interfaces
    }
}

impl Stage {
    fn of(rule: &Rule) -> Stage {
        match rule.origin {
            Origin::Loopback => Stage::Loopback,
            Origin::Established => Stage::Established,
            Origin::Nat(..) => Stage::Translated,
            Origin::Entry(..) if matches!(rule.matching.payload, Payload::LaterFragment(_)) => Stage::Fragments,
            Origin::Entry(..) if rule.matching.state == StateMatch::Any => Stage::Stateless,
            Origin::Entry(..) => Stage::Tracked,
            Origin::IcmpError
            | Origin::NeighbourDiscovery
            | Origin::MulticastListener
            | Origin::Dhcp
            | Origin::Ping
            | Origin::Block => Stage::Host,
        }
    }
}

/// Elements that one rule of an entry may become.
pub(super) const MULTIPLIED: usize = 1024;

/// Elements that addresses and ports make together.
pub(super) fn multiplied(sets: &AddressSets, addresses: Addresses, ports: Option<&PortSet>) -> usize {
    let addresses = match addresses {
        Addresses::Any | Addresses::Range(_) => 1,
        Addresses::Set(id) => sets.get(id).v4.ranges().len() + sets.get(id).v6.ranges().len(),
    };
    addresses.saturating_mul(ports.map_or(1, |ports| ports.ranges().len()))
}
