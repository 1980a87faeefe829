//! Ports of one entry and address, taken together: iptables matches up to fifteen in one line.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::net::{PortSet, RangeSet};
use crate::policy::EntryId;
use crate::ruleset::{Leg, Match, Origin, Payload, Rule};

/// Ranges of ports, host byte order, sorted and disjoint; none at all is any.
pub(super) type PortList<'a> = Cow<'a, [(u16, u16)]>;

/// A rule with the ports of its like.
pub(super) struct Merged<'a> {
    pub rule: &'a Rule,
    pub source_ports: PortList<'a>,
    pub destination_ports: PortList<'a>,
}

impl<'a> Merged<'a> {
    fn of(rule: &'a Rule) -> Self {
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

/// Takes the rules of an entry's leg together that differ in the server's ports only. An entry's rules stand side by side.
pub(super) fn merge_ports<'a>(rules: &[&'a Rule]) -> Vec<Merged<'a>> {
    let mut all: Vec<Merged> = Vec::with_capacity(rules.len());
    for entry in rules.chunk_by(|a, b| owner(a).is_some() && owner(a) == owner(b)) {
        match entry {
            [rule] => all.push(Merged::of(rule)),
            several => all.extend(merge_entry(several)),
        }
    }
    all
}

fn owner(rule: &Rule) -> Option<EntryId> {
    match rule.origin {
        Origin::Entry(id, ..) => Some(id),
        _ => None,
    }
}

fn merge_entry<'a>(rules: &[&'a Rule]) -> Vec<Merged<'a>> {
    let mut all: Vec<Merged> = Vec::new();
    let mut seen: HashMap<(Leg, Match), usize> = HashMap::new();
    for &rule in rules {
        let new = Merged::of(rule);
        let Some(key) = without_server_ports(rule) else {
            all.push(new);
            continue;
        };
        let leg = key.0;
        let index = *seen.entry(key).or_insert(all.len());
        match (all.get_mut(index), leg) {
            (None, _) => all.push(new),
            (Some(known), Leg::Request) => known.destination_ports.to_mut().extend_from_slice(&new.destination_ports),
            (Some(known), Leg::Reply) => known.source_ports.to_mut().extend_from_slice(&new.source_ports),
        }
    }
    for merged in &mut all {
        for ports in [&mut merged.source_ports, &mut merged.destination_ports] {
            if ports.len() > 1 {
                *ports = RangeSet::from_ranges(ports.iter().copied()).ranges().to_vec().into();
            }
        }
    }
    all
}

fn without_server_ports(rule: &Rule) -> Option<(Leg, Match)> {
    let Origin::Entry(_, leg, _) = rule.origin else { return None };
    let Payload::Ports { protocol, source, destination, guarded } = &rule.matching.payload else { return None };
    let (protocol, guarded) = (*protocol, *guarded);
    let payload = match leg {
        Leg::Request if destination.is_some() => {
            Payload::Ports { protocol, source: source.clone(), destination: None, guarded }
        }
        Leg::Reply if source.is_some() => {
            Payload::Ports { protocol, source: None, destination: destination.clone(), guarded }
        }
        _ => return None,
    };
    Some((leg, Match { payload, ..rule.matching.clone() }))
}
