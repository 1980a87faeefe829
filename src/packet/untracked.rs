//! Which flows are untracked, asked very often: for each entry of a large conntrack table.
//!
//! The same rules as [`super::evaluate`] reads, sorted by what most of them have: a host, a protocol and a port.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{Packet, matches};
use crate::net::{PacketHeader, Protocol};
use crate::policy::Addresses;
use crate::ruleset::{Action, Hook, Match, Payload, Ruleset};
use crate::spec::{Direction, Tracking};

/// The untracking rules of a ruleset, ready to be asked.
#[derive(Debug)]
pub struct Untracked<'a> {
    ruleset: &'a Ruleset,
    incoming: Rules<'a>,
    outgoing: Rules<'a>,
}

/// The server's side of a match: whether it is the source, its address, protocol and port.
type Key = (bool, IpAddr, Protocol, u16);

#[derive(Debug, Default)]
struct Rules<'a> {
    by_server: HashMap<Key, Vec<&'a Match>>,
    others: Vec<&'a Match>,
}

impl<'a> Untracked<'a> {
    /// Sorts the rules.
    #[must_use]
    pub fn of(ruleset: &'a Ruleset) -> Self {
        let rules = |hook: Hook| {
            let chain = ruleset.chains.iter().find(|chain| chain.hook == hook);
            let untracking = chain.into_iter().flat_map(|chain| &chain.rules);
            untracking.filter(|rule| rule.action == Action::Notrack).fold(Rules::default(), |mut rules, rule| {
                match server(&rule.matching) {
                    Some(key) => rules.by_server.entry(key).or_default().push(&rule.matching),
                    None => rules.others.push(&rule.matching),
                }
                rules
            })
        };
        Untracked { ruleset, incoming: rules(Hook::RawPrerouting), outgoing: rules(Hook::RawOutput) }
    }

    /// Whether a packet is marked as untracked on its way.
    #[must_use]
    pub fn covers(&self, packet: &Packet) -> bool {
        let (hook, rules) = match packet.direction {
            Direction::Out => (Hook::RawOutput, &self.outgoing),
            Direction::In | Direction::Forward => (Hook::RawPrerouting, &self.incoming),
        };
        let keyed = keys(packet).into_iter().flatten().filter_map(|key| rules.by_server.get(&key)).flatten();
        keyed.chain(&rules.others).any(|matching| matches(self.ruleset, hook, matching, packet, Tracking::Tracked))
    }
}

fn server(matching: &Match) -> Option<Key> {
    let host = |addresses: Addresses| match addresses {
        Addresses::Range(range) => range.as_host(),
        Addresses::Any | Addresses::Set(_) => None,
    };
    let Payload::Ports { protocol, source, destination, .. } = &matching.payload else { return None };
    let single = |ports: &Option<crate::net::PortSet>| ports.as_ref().and_then(crate::net::PortSet::as_single);
    match (host(matching.source), host(matching.destination)) {
        (Some(address), None) => Some((true, address, *protocol, single(source)?)),
        (None, Some(address)) => Some((false, address, *protocol, single(destination)?)),
        _ => None,
    }
}

fn keys(packet: &Packet) -> [Option<Key>; 2] {
    let (protocol, source, destination) = match packet.header {
        PacketHeader::Tcp(source, destination, _) => (Protocol::TCP, source, destination),
        PacketHeader::Ports(protocol, source, destination) => (protocol, source, destination),
        PacketHeader::Plain(_) | PacketHeader::Icmp(_) => return [None, None],
    };
    [Some((true, packet.source, protocol, source)), Some((false, packet.destination, protocol, destination))]
}
