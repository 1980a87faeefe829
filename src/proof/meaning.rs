//! What a policy means, as sets of packets: said once more, from the contract and not from the rules, so that the two can be held against each
//! other.
//!
//! Each function is a sentence of the contract. No order of rules, no chains: only which packets are untracked, which are accepted.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::bdd::{Result, Set};
use super::condition::{Conditions, Moment};
use super::names::LOOPBACK;
use super::space::{Field, Space};
use super::way::Path;
use crate::dump::{Condition, Hook, InterfacePattern, Parts, Side, States, Test, Translation, Way};
use crate::net::{AddressSet, Family, PortSet, Protocol, RangeSet};
use crate::policy::{AddressSetId, Addresses, Entry, Policy, Role, Server, TranslationKind, Transport};
use crate::ruleset::Leg;
use crate::spec::{Fate, NatConflict, Tracking};

/// fe80::/10.
pub const LINK_LOCAL: (u128, u128) =
    (0xfe80_0000_0000_0000_0000_0000_0000_0000, 0xfebf_ffff_ffff_ffff_ffff_ffff_ffff_ffff);

/// ICMP messages that are accepted without being asked for: errors, and what IPv6 needs on a link.
const ERRORS_V4: [u8; 3] = [3, 11, 12];
const ERRORS_V6: [u8; 4] = [1, 2, 3, 4];
const LINK_V6: [u8; 9] = [130, 131, 132, 133, 134, 135, 136, 137, 143];

/// An ICMPv6 redirect is followed like any other message.
const REDIRECT_V6: u8 = 137;

const SYN: u8 = 2;
const ACK: u8 = 16;

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

    /// Tracking belongs to the server's endpoint, and a client's local ports: both legs, wherever they pass.
    fn untracked(&self, path: Path) -> Result<Set> {
        let mut sets = vec![
            self.legs(path, Tracking::Untracked, Leg::Request, |_| true)?,
            self.legs(path, Tracking::Untracked, Leg::Reply, |_| true)?,
        ];
        match path {
            Path::In => sets.push(self.space.came_untracked()?.and(&self.loopback(path)?)?),
            Path::Out => sets.push(self.untracked_loopback()?),
            Path::Forward => {}
        }
        self.space.engine.any(sets)
    }

    /// One leg of the entries with a tracking, as the raw chain on a path sees it.
    fn legs(&self, path: Path, tracking: Tracking, leg: Leg, role: impl Fn(&Role) -> bool) -> Result<Set> {
        let mut lists = Vec::new();
        for entry in self.entries(tracking).filter(|entry| role(&entry.role)) {
            if meets_raw(passes(&entry.role, leg), path) {
                for server in &entry.servers {
                    let mut list = self.flow(entry, server, leg);
                    list.extend(where_it_belongs(entry, server, leg, path));
                    lists.push(list);
                }
            }
        }
        self.any(&lists)
    }

    /// The packets that meet one of the lists. None of them asks conntrack.
    fn any(&self, lists: &[Vec<Condition>]) -> Result<Set> {
        let none = self.space.engine.none();
        let moment = Moment { hook: Hook::Forward, after_conntrack: true, untracked: none.clone(), never: none };
        self.conditions.any(lists.iter().map(Vec::as_slice), &moment)
    }

    /// Packets that the spec calls tracked as well as untracked. There should be none: server endpoints do not overlap, and no tracked service has
    /// one of a stateless client's local ports.
    ///
    /// A flow between two server endpoints, with a server's port as the client's, is the request of one and the reply of the other, and no contradiction.
    fn contradictions(&self, path: Path) -> Result<Set> {
        let is_service = |role: &Role| matches!(role, Role::Service { .. });
        let is_client = |role: &Role| matches!(role, Role::Client { .. });
        let both = |tracked: Set, untracked: Set| tracked.and(&untracked);
        let mut sets = Vec::new();
        for leg in [Leg::Request, Leg::Reply] {
            let other = if leg == Leg::Request { Leg::Reply } else { Leg::Request };
            sets.push(both(
                self.legs(path, Tracking::Tracked, leg, |_| true)?,
                self.legs(path, Tracking::Untracked, leg, |_| true)?,
            )?);
            sets.push(both(
                self.legs(path, Tracking::Tracked, leg, is_service)?,
                self.legs(path, Tracking::Untracked, other, is_client)?,
            )?);
        }
        self.space.engine.any(sets)?.minus(&self.loopback(path)?)?.and(&self.possible(path)?)
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

    /// Once anything is stateless, loopback is untracked; under `nat_conflict: overlap` only the stateless services' own flows are.
    fn untracked_loopback(&self) -> Result<Set> {
        let lo = self.loopback(Path::Out)?;
        if !self.policy.has_stateless() {
            return Ok(self.space.engine.none());
        }
        if self.policy.nat_conflict == NatConflict::Any {
            return Ok(lo);
        }
        let mut lists = Vec::new();
        for entry in self.entries(Tracking::Untracked).filter(|entry| matches!(entry.role, Role::Service { .. })) {
            lists.extend(entry.servers.iter().map(|server| self.flow(entry, server, Leg::Request)));
        }
        self.any(&lists)?.and(&lo)
    }

    /// Who may open a flow, and everything that is accepted.
    fn accepted(&self, path: Path, untracked: &Set) -> Result<(Set, Set)> {
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
    fn follows(&self, path: Path) -> bool {
        let routed = self.entries(Tracking::Tracked).any(|entry| matches!(entry.role, Role::Forward { .. }));
        let dnat = self.policy.nat.iter().any(|item| matches!(item.kind, TranslationKind::Dnat { .. }));
        self.policy.tracks && (path != Path::Forward || routed || dnat)
    }

    /// Errors, neighbour discovery, multicast listeners, ping, and the host's own addresses.
    fn needed(&self, path: Path) -> Result<Set> {
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
    fn translated(&self, path: Path) -> Result<Set> {
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

    /// What the items of `nat` do to the first packet of a tracked flow: the first item that is about it. Destination NAT in prerouting to what comes
    /// in, source NAT in postrouting to what is let out.
    fn translations(
        &self,
        path: Path,
        reach: &Set,
        accepted: &Set,
        untracked: &Set,
    ) -> Result<BTreeMap<(Hook, Translation), Set>> {
        let new = self.state(States { new: true, ..States::default() }, untracked)?;
        let mut open = BTreeMap::from([
            (Hook::Prerouting, if path == Path::Out { self.space.engine.none() } else { reach.and(&new)? }),
            (Hook::Postrouting, if path == Path::In { self.space.engine.none() } else { accepted.and(&new)? }),
        ]);
        let mut found: BTreeMap<(Hook, Translation), Set> = BTreeMap::new();
        for item in &self.policy.nat {
            let (hook, translation, about) = self.item(&item.kind)?;
            let Some(left) = open.get_mut(&hook) else { continue };
            let set = about.and(left)?;
            *left = left.minus(&set)?;
            let known = found.remove(&(hook, translation.clone())).unwrap_or_else(|| self.space.engine.none());
            found.insert((hook, translation), known.or(&set)?);
        }
        Ok(found)
    }

    /// Where an item of `nat` has its place, what it does, and to which packets.
    fn item(&self, kind: &TranslationKind) -> Result<(Hook, Translation, Set)> {
        use crate::dump::TranslationKind as Kind;
        let one = |to: IpAddr| Some((to, to));
        let port = |port: u16| Some((port, port));
        let does = |kind, address, ports| Translation { kind, address, ports };
        Ok(match kind {
            TranslationKind::Dnat { listen, to, port: new } => {
                let set = self.listening(listen)?.and(&self.space.family(Family::of(*to))?)?;
                (Hook::Prerouting, does(Kind::Dnat, one(*to), new.and_then(port)), set)
            }
            TranslationKind::Redirect { listen, port: new } => {
                (Hook::Prerouting, does(Kind::Redirect, None, port(*new)), self.listening(listen)?)
            }
            TranslationKind::Masquerade { out, from } => {
                (Hook::Postrouting, does(Kind::Masquerade, None, None), self.leaving(out.as_str(), *from)?)
            }
            TranslationKind::Snat { out, from, to } => {
                let set = self.leaving(out.as_str(), *from)?.and(&self.space.family(Family::of(*to))?)?;
                (Hook::Postrouting, does(Kind::Snat, one(*to), None), set)
            }
        })
    }

    /// Packets to one of these endpoints. `*`, prefixes and sets mean this host's addresses.
    fn listening(&self, listen: &[Server]) -> Result<Set> {
        let lists = listen.iter().map(|server| {
            let mut list = vec![protocol(server.transport.protocol())];
            list.extend(self.among(Side::Destination, server.addresses));
            if let Transport::Ports(_, ports) = &server.transport {
                list.push(Condition::is(Test::Port(Side::Destination, numbers(ports))));
            }
            if !is_host(server) {
                list.push(Condition::is(Test::Local(Side::Destination)));
            }
            list
        });
        self.any(&lists.collect::<Vec<_>>())
    }

    /// Packets that leave by an interface, from these sources.
    fn leaving(&self, out: &str, from: Addresses) -> Result<Set> {
        self.space.interface(Way::Out, &[InterfacePattern::exact(out)])?.and(&self.addresses(Side::Source, from)?)
    }

    /// Where nothing is tracked, nothing is reassembled: later fragments of stateless flows come without ports. IPv6 in input, both in forward.
    fn later_fragments(&self, path: Path) -> Result<Set> {
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

    /// The packets of a leg by what decides tracking: protocol, the server's address and port, a client's local ports.
    fn flow(&self, entry: &Entry, server: &Server, leg: Leg) -> Vec<Condition> {
        let (server_side, peer_side) = sides(leg);
        let mut list = vec![protocol(server.transport.protocol())];
        list.extend(self.among(server_side, server.addresses));
        if !server.transport.exists_in(Family::V6) {
            list.push(Condition::is(Test::Family(Family::V4)));
        }
        if let Transport::Ports(_, ports) = &server.transport {
            list.push(Condition::is(Test::Port(server_side, numbers(ports))));
            if let Role::Client { local_ports } = &entry.role {
                list.push(Condition::is(Test::Port(peer_side, numbers(local_ports))));
            }
        }
        list
    }

    /// The packets of a leg that are admitted: from or towards those who may, requests on the entry's interfaces, replies never with SYN alone.
    fn admitted(&self, entry: &Entry, server: &Server, leg: Leg, path: Path) -> Vec<Condition> {
        let mut list = self.flow(entry, server, leg);
        list.extend(self.peers(entry, leg, path));
        let is_tcp = server.transport.protocol() == Protocol::TCP;
        if leg == Leg::Reply && is_tcp && matches!(server.transport, Transport::Ports(..)) {
            list.push(Condition::not(Test::TcpFlags { mask: SYN | ACK, value: SYN }));
        }
        list
    }

    /// Server address, accepted peers, interfaces.
    fn ends(&self, entry: &Entry, server: &Server, leg: Leg, path: Path) -> Vec<Condition> {
        let mut list = self.peers(entry, leg, path);
        list.extend(self.among(sides(leg).0, server.addresses));
        list
    }

    /// Accepted peers and interfaces.
    fn peers(&self, entry: &Entry, leg: Leg, path: Path) -> Vec<Condition> {
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

/// In prerouting a router sees other hosts' flows as well. `*`, prefixes and sets of a service, and a client's replies, mean this host's
/// addresses; a forwarded flow goes to none of them.
fn where_it_belongs(entry: &Entry, server: &Server, leg: Leg, path: Path) -> Option<Condition> {
    let local = Test::Local(Side::Destination);
    match entry.role {
        _ if path == Path::Out => None,
        Role::Service { .. } if leg == Leg::Request && is_host(server) => None,
        Role::Service { .. } | Role::Client { .. } => Some(Condition::is(local)),
        Role::Forward { .. } => Some(Condition::not(local)),
    }
}

fn protocol(protocol: Protocol) -> Condition {
    Condition::is(Test::Protocol(RangeSet::single(protocol.number())))
}

/// The path of a leg.
fn passes(role: &Role, leg: Leg) -> Path {
    match (role, leg) {
        (Role::Service { .. }, Leg::Request) | (Role::Client { .. }, Leg::Reply) => Path::In,
        (Role::Service { .. }, Leg::Reply) | (Role::Client { .. }, Leg::Request) => Path::Out,
        (Role::Forward { .. }, _) => Path::Forward,
    }
}

/// Whether a packet on `path` passes the raw chain in which a leg on `leg` is looked for: prerouting serves what comes in and what is routed.
fn meets_raw(leg: Path, path: Path) -> bool {
    (leg == Path::Out) == (path == Path::Out)
}

/// The server's side and the peer's.
fn sides(leg: Leg) -> (Side, Side) {
    match leg {
        Leg::Request => (Side::Destination, Side::Source),
        Leg::Reply => (Side::Source, Side::Destination),
    }
}

fn is_host(server: &Server) -> bool {
    matches!(server.addresses, Addresses::Range(range) if range.as_host().is_some())
}

fn numbers(ports: &PortSet) -> RangeSet<u16> {
    RangeSet::from_ranges(ports.ranges().iter().copied())
}
