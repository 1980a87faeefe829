//! Ports of one entry and address, taken together: iptables matches up to fifteen in one line.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::net::{Family, Interface, PortSet, Protocol, RangeSet};
use crate::policy::{Addresses, EntryId};
use crate::ruleset::{Leg, Locality, Origin, Payload, Rule, StateMatch};

/// Ranges of ports, host byte order, sorted and disjoint; none at all is any.
pub(super) type PortList<'a> = Cow<'a, [(u16, u16)]>;

/// A rule with the ports of its like.
pub(super) struct Merged<'a> {
    pub rule: &'a Rule,
    pub source_ports: PortList<'a>,
    pub destination_ports: PortList<'a>,
}

impl<'a> Merged<'a> {
    pub fn of(rule: &'a Rule) -> Self {
        let (source_ports, destination_ports) = match &rule.matching.payload {
            Payload::Ports { source, destination, .. } => (ranges(source.as_ref()), ranges(destination.as_ref())),
            _ => (ranges(None), ranges(None)),
        };
        Merged { rule, source_ports, destination_ports }
    }
}

fn ranges(ports: Option<&PortSet>) -> PortList<'_> {
    Cow::Borrowed(ports.map_or(&[], PortSet::ranges))
}

/// Whether two rules are of one entry. An entry's rules stand side by side.
pub(super) fn same_entry(a: &Rule, b: &Rule) -> bool {
    owner(a).is_some() && owner(a) == owner(b)
}

fn owner(rule: &Rule) -> Option<EntryId> {
    match rule.origin {
        Origin::Entry(id, ..) => Some(id),
        _ => None,
    }
}

/// Takes the rules of an entry's leg together that differ in the server's ports only.
pub(super) fn merge_ports<'a>(rules: impl Iterator<Item = &'a Rule>) -> Vec<Merged<'a>> {
    let mut all: Vec<Merged> = Vec::new();
    let mut seen: HashMap<AllButPorts, usize> = HashMap::new();
    for rule in rules {
        let new = Merged::of(rule);
        let Some(key) = AllButPorts::of(rule) else {
            all.push(new);
            continue;
        };
        let leg = key.leg;
        let index = *seen.entry(key).or_insert(all.len());
        match (all.get_mut(index), leg) {
            (None, _) => all.push(new),
            (Some(known), Leg::Request) => known.destination_ports.to_mut().extend_from_slice(&new.destination_ports),
            (Some(known), Leg::Reply) => known.source_ports.to_mut().extend_from_slice(&new.source_ports),
        }
    }
    for merged in &mut all {
        for ports in [&mut merged.source_ports, &mut merged.destination_ports] {
            // What was not put together is in order already.
            if matches!(ports, Cow::Owned(_)) {
                *ports = RangeSet::from_ranges(ports.iter().copied()).ranges().to_vec().into();
            }
        }
    }
    all
}

/// What an entry's rule matches, but for the server's ports.
#[derive(PartialEq, Eq, Hash)]
struct AllButPorts<'a> {
    leg: Leg,
    family: Option<Family>,
    interfaces: &'a [Interface],
    source: Addresses,
    destination: Addresses,
    locality: Locality,
    protocol: Protocol,
    client_ports: Option<&'a PortSet>,
    guarded: bool,
    state: &'a StateMatch,
}

impl<'a> AllButPorts<'a> {
    /// `None` where the server has no ports.
    fn of(rule: &'a Rule) -> Option<Self> {
        let Origin::Entry(_, leg, _) = rule.origin else { return None };
        let matching = &rule.matching;
        let Payload::Ports { protocol, source, destination, guarded } = &matching.payload else { return None };
        let (server_ports, client_ports) = match leg {
            Leg::Request => (destination, source),
            Leg::Reply => (source, destination),
        };
        server_ports.as_ref().map(|_| AllButPorts {
            leg,
            family: matching.family,
            interfaces: &matching.interfaces,
            source: matching.source,
            destination: matching.destination,
            locality: matching.locality,
            protocol: *protocol,
            client_ports: client_ports.as_ref(),
            guarded: *guarded,
            state: &matching.state,
        })
    }
}
