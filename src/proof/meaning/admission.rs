//! What is accepted.

use super::flow::{numbers, passes, protocol, sides};
use super::{LINK_V6, Reader};
use crate::dump::{Condition, InterfacePattern, Parts, Side, States, Test, Way};
use crate::net::{AddressSet, Family, Protocol, RangeSet};
use crate::policy::{Entry, Role, Server, TranslationKind, Transport};
use crate::proof::bdd::{Result, Set};
use crate::proof::space::Field;
use crate::proof::survey::LINK_LOCAL;
use crate::proof::way::Path;
use crate::ruleset::Leg;
use crate::spec::{Fate, Tracking};

/// ICMP errors, which are accepted without being asked for.
const ERRORS_V4: [u8; 3] = [3, 11, 12];
const ERRORS_V6: [u8; 4] = [1, 2, 3, 4];

const SYN: u8 = 2;
const ACK: u8 = 16;

impl Reader<'_> {
    /// Who may open a flow, and everything that is accepted.
    pub(super) fn accepted(&self, path: Path, untracked: &Set) -> Result<(Set, Set)> {
        let space = self.space;
        let policy = match path {
            Path::In => self.policy.input,
            Path::Out => self.policy.output,
            Path::Forward => self.policy.forward.unwrap_or(Fate::Accept),
        };
        if policy == Fate::Accept {
            return Ok((space.engine.all(), space.engine.all()));
        }
        let new = self.state(States { new: true, ..States::default() }, untracked)?;
        let (mut requests, mut tracked, mut replies) = (Vec::new(), Vec::new(), Vec::new());
        for entry in &self.policy.entries {
            let untracked = entry.tracking == Tracking::Untracked;
            for server in &entry.servers {
                if passes(&entry.role, Leg::Request) == path {
                    let request = self.admitted(entry, server, Leg::Request, path);
                    if untracked { &mut requests } else { &mut tracked }.push(request);
                }
                if untracked && passes(&entry.role, Leg::Reply) == path {
                    replies.push(self.admitted(entry, server, Leg::Reply, path));
                }
            }
        }
        let mut openers = vec![self.loopback(path)?, self.needed(path)?, self.any(&requests)?];
        openers.push(self.any(&tracked)?.and(&new)?);
        let mut others = vec![self.any(&replies)?];
        openers.push(self.translated(path)?.and(&new)?);
        if self.follows(path) {
            let states = States { established: true, related: true, ..States::default() };
            others.push(self.state(states, untracked)?);
        }
        if !self.policy.tracks && path != Path::Out {
            others.push(self.later_fragments(path)?);
        }
        let openers = space.engine.any(openers)?;
        others.push(openers.clone());
        Ok((openers, space.engine.any(others)?))
    }

    /// Whether packets of known connections are accepted: where the spec has tracked flows that pass here.
    pub(super) fn follows(&self, path: Path) -> bool {
        let routed = self.entries(Tracking::Tracked).any(|entry| matches!(entry.role, Role::Forward { .. }));
        let dnat = self.policy.nat.iter().any(|item| matches!(item.kind, TranslationKind::Dnat { .. }));
        self.policy.tracks && (path != Path::Forward || routed || dnat)
    }

    /// Errors, neighbour discovery, multicast listeners, ping, and the host's own addresses.
    pub(super) fn needed(&self, path: Path) -> Result<Set> {
        let mut sets = vec![self.icmp(Family::V4, &ERRORS_V4)?, self.icmp(Family::V6, &ERRORS_V6)?];
        if path != Path::Forward {
            sets.push(self.icmp(Family::V6, &LINK_V6)?);
            let (from, to) = if path == Path::In { ((67, 547), (68, 546)) } else { ((68, 546), (67, 547)) };
            sets.push(self.udp(from.0, to.0)?.and(&self.space.family(Family::V4)?)?);
            let link = AddressSet { v4: RangeSet::default(), v6: RangeSet::range(LINK_LOCAL.0, LINK_LOCAL.1) };
            sets.push(self.udp(from.1, to.1)?.and(&self.space.address(Field::Address(Side::Source), &link)?)?);
        }
        if self.policy.ping && path != Path::Forward {
            let (v4, v6) = if path == Path::In { (8, 128) } else { (0, 129) };
            sets.push(self.icmp(Family::V4, &[v4])?);
            sets.push(self.icmp(Family::V6, &[v6])?);
        }
        self.space.engine.any(sets)
    }

    /// What destination NAT lets in: a dnat wherever it leads, a redirect to this host.
    pub(super) fn translated(&self, path: Path) -> Result<Set> {
        let mut sets = Vec::new();
        for item in &self.policy.nat {
            let listen = match &item.kind {
                TranslationKind::Dnat { listen, .. } if path != Path::Out => listen,
                TranslationKind::Redirect { listen, .. } if path == Path::In => listen,
                _ => continue,
            };
            for server in listen {
                let mut set = self.space.protocol(&RangeSet::single(server.transport.protocol().number()))?;
                set = set.and(&self.original(server.addresses)?)?;
                if let Transport::Ports(_, ports) = &server.transport {
                    set = set.and(&self.space.original_port(&numbers(ports))?)?;
                }
                sets.push(set.and(&self.space.translated(Side::Destination)?)?);
            }
        }
        self.space.engine.any(sets)
    }

    /// Where nothing is tracked, nothing is reassembled: later fragments of stateless flows come without ports. IPv6 in input, both in forward.
    pub(super) fn later_fragments(&self, path: Path) -> Result<Set> {
        let mut lists = Vec::new();
        for entry in self.entries(Tracking::Untracked) {
            for leg in [Leg::Request, Leg::Reply] {
                for server in entry.servers.iter().filter(|_| passes(&entry.role, leg) == path) {
                    if matches!(server.transport, Transport::Ports(..)) {
                        let mut list = self.ends(entry, server, leg, path);
                        list.push(protocol(server.transport.protocol()));
                        list.push(Condition::is(Test::Fragment(Parts::LATER)));
                        lists.push(list);
                    }
                }
            }
        }
        let all = self.any(&lists)?;
        if path == Path::In { all.and(&self.space.family(Family::V6)?) } else { Ok(all) }
    }

    /// The packets of a leg that are admitted: from or towards those who may, requests on the entry's interfaces, replies never with SYN alone.
    pub(super) fn admitted(&self, entry: &Entry, server: &Server, leg: Leg, path: Path) -> Vec<Condition> {
        let mut list = self.flow(entry, server, leg);
        list.extend(self.peers(entry, leg, path));
        let is_tcp = server.transport.protocol() == Protocol::TCP;
        if leg == Leg::Reply && is_tcp && matches!(server.transport, Transport::Ports(..)) {
            list.push(Condition::not(Test::TcpFlags { mask: SYN | ACK, value: SYN }));
        }
        list
    }

    /// Server address, accepted peers, interfaces.
    pub(super) fn ends(&self, entry: &Entry, server: &Server, leg: Leg, path: Path) -> Vec<Condition> {
        let mut list = self.peers(entry, leg, path);
        list.extend(self.among(sides(leg).0, server.addresses));
        list
    }

    /// Accepted peers and interfaces.
    pub(super) fn peers(&self, entry: &Entry, leg: Leg, path: Path) -> Vec<Condition> {
        let mut list = Vec::new();
        if let Role::Service { from, .. } | Role::Forward { from } = entry.role {
            list.extend(self.among(sides(leg).1, from));
        }
        if let (Role::Service { interfaces, .. }, Leg::Request) = (&entry.role, leg)
            && !interfaces.is_empty()
        {
            let way = if path == Path::Out { Way::Out } else { Way::In };
            let names = interfaces.iter().map(|name| InterfacePattern::exact(name.as_str())).collect();
            list.push(Condition::is(Test::Interface(way, names)));
        }
        list
    }
}
