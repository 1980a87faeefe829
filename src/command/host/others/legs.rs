//! What the spec promises: the packets of its flows, leg by leg, as they come in ordinary life.

use crate::dump::{InterfacePattern, Parts, Side, States, Way};
use crate::net::{AddrRange, AddressSet, Family, RangeSet};
use crate::policy::{Entry, Policy, Role, Server};
use crate::proof::Survey;
use crate::proof::bdd::{Result, Set};
use crate::proof::meaning::Reader;
use crate::proof::space::{Field, Space};
use crate::proof::way::Path;
use crate::ruleset::Leg;
use crate::spec::Tracking;

/// One leg of an endpoint's flows.
pub(super) struct Promised<'a> {
    pub(super) entry: &'a Entry,
    pub(super) server: &'a Server,
    pub(super) leg: Leg,
    pub(super) path: Path,
    /// Never empty.
    pub(super) packets: Set,
}

impl Promised<'_> {
    pub(super) fn is_stateless(&self) -> bool {
        self.entry.tracking == Tracking::Untracked
    }
}

/// Every leg of every entry.
pub(super) fn all<'a>(space: &Space, policy: &'a Policy) -> Result<Vec<Promised<'a>>> {
    let reader = Reader::new(space, policy);
    let ordinary: Vec<(Path, Set)> =
        Path::ALL.into_iter().map(|path| Ok((path, ordinary(space, path)?))).collect::<Result<_>>()?;
    let usual = [(Leg::Request, usual(space, Leg::Request)?), (Leg::Reply, usual(space, Leg::Reply)?)];
    let block = policy.block.map(|block| match block {
        crate::policy::Addresses::Range(range) => {
            space.address(Field::Address(Side::Source), &[range].into_iter().collect())
        }
        crate::policy::Addresses::Set(id) => space.address(Field::Address(Side::Source), policy.sets.get(id)),
        crate::policy::Addresses::Any => Ok(space.engine.all()),
    });
    let blocked = block.unwrap_or_else(|| Ok(space.engine.none()))?;
    let mut found = Vec::new();
    for entry in &policy.entries {
        for server in &entry.servers {
            for (leg, usual) in &usual {
                let (path, packets) = reader.leg(entry, server, *leg)?;
                let Some((_, ordinary)) = ordinary.iter().find(|(known, _)| *known == path) else { continue };
                let mut packets = packets.and(ordinary)?.and(usual)?.minus(&with_itself(space, policy, server)?)?;
                if !matches!(entry.role, Role::Client { .. }) {
                    packets = packets.minus(&odd_peer_port(space, *leg)?)?;
                }
                if path != Path::Out {
                    packets = packets.minus(&blocked)?;
                }
                if !packets.is_empty() {
                    found.push(Promised { entry, server, leg: *leg, path, packets });
                }
            }
        }
    }
    Ok(found)
}

/// The ports from which the clients of a service come: those of every usual system.
const PEERS: (u16, u16) = (32768, u16::MAX);

/// Packets with another port on the client's side. A rule against a port of this host meets the replies to a client that has the same port; nobody
/// wants to be told.
fn odd_peer_port(space: &Space, leg: Leg) -> Result<Set> {
    let side = if leg == Leg::Request { Side::Source } else { Side::Destination };
    space.has_ports()?.minus(&space.port(side, &RangeSet::range(PEERS.0, PEERS.1))?)
}

/// How many hosts of a server's endpoint are told apart from their peers.
const HOSTS: usize = 64;

/// Packets from a host of a server's endpoint to itself: no other host sends or gets them. Of a range of addresses nothing is said; hosts of one set
/// do talk with each other.
fn with_itself(space: &Space, policy: &Policy, server: &Server) -> Result<Set> {
    let ranges = Family::BOTH.into_iter().filter_map(|family| policy.sets.ranges(server.addresses, family)).flatten();
    let hosts = ranges.filter(|range| range.as_host().is_some()).take(HOSTS).map(|host| {
        let host: AddressSet = [host].into_iter().collect();
        space
            .address(Field::Address(Side::Source), &host)?
            .and(&space.address(Field::Address(Side::Destination), &host)?)
    });
    space.engine.any(hosts.collect::<Result<Vec<Set>>>()?)
}

/// Addresses that no packet from or to another host has: rules against them are nobody's loss. Also those of 6to4 that stand for such ones
/// (RFC 3964), against which firewalld has rules.
fn martians() -> AddressSet {
    let v4 = [(0, 0), (127, 127), (224, 255)].map(|(first, last): (u32, u32)| (first << 24, last << 24 | 0xff_ffff));
    // IPv4 in IPv6 (::/96 and ::ffff:0:0/96), multicast.
    let v6 = [(0, 0xffff_ffff), (0xffff << 32, (0xffff << 32) | 0xffff_ffff), (0xff << 120, u128::MAX)];
    let hidden = [(0, 8), (0x0a00_0000, 8), (0x7f00_0000, 8), (0xa9fe_0000, 16), (0xac10_0000, 12), (0xc0a8_0000, 16)];
    let hidden = hidden.into_iter().chain([(0xe000_0000, 3)]).map(|(address, length): (u128, u32)| {
        let first = (0x2002 << 112) | (address << 80);
        (first, first | (u128::MAX >> (16 + length)))
    });
    let v4 = v4.into_iter().map(|(first, last)| AddrRange::V4(first, last));
    v4.chain(v6.into_iter().chain(hidden).map(|(first, last)| AddrRange::V6(first, last))).collect()
}

/// Takes in what [`all`] asks for.
pub(super) fn survey(survey: &mut Survey) {
    survey.addresses(&martians());
    survey.ports.push((PEERS.0.into(), PEERS.1.into()));
}

/// Whole packets between this host and another one, or between two others, that nobody translates.
fn ordinary(space: &Space, path: Path) -> Result<Set> {
    let lo = [InterfacePattern::exact("lo")];
    let mut set = space.parts(Parts { whole: true, first: false, later: false })?;
    for way in [Way::In, Way::Out] {
        set = set.minus(&space.interface(way, &lo)?)?;
    }
    for side in [Side::Source, Side::Destination] {
        let here = matches!((path, side), (Path::In, Side::Destination) | (Path::Out, Side::Source));
        let local = space.local(side)?;
        set = if here { set.and(&local)? } else { set.minus(&local)? };
        if !here {
            set = set.minus(&space.address(Field::Address(side), &martians())?)?;
        }
        set = set.minus(&space.translated(side)?)?;
    }
    set.minus(&space.came_untracked()?)
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// What a leg looks like from the first packet to the last, and what conntrack says of it where it looks.
fn usual(space: &Space, leg: Leg) -> Result<Set> {
    let first = if leg == Leg::Request { SYN } else { SYN | ACK };
    let later = [ACK, PSH | ACK, FIN | ACK, FIN | PSH | ACK, RST, RST | ACK];
    let later: Vec<Set> = later.into_iter().map(|flags| space.flags(0xff, flags)).collect::<Result<_>>()?;
    let new = space.state(States { new: true, ..States::default() })?;
    let known = space.state(States { established: true, ..States::default() })?;
    let opening = if leg == Leg::Request { &new } else { &known };
    let tcp = space.flags(0xff, first)?.and(opening)?.or(&space.engine.any(later)?.and(&known)?)?;
    let others = space.protocol(&RangeSet::single(6))?.not()?.and(&known.or(opening)?)?;
    tcp.or(&others)
}

/// The families of a leg's packets.
pub(super) fn families(space: &Space, packets: &Set) -> Result<Vec<(Family, Set)>> {
    let mut found = Vec::new();
    for family in Family::BOTH {
        let part = packets.and(&space.family(family)?)?;
        if !part.is_empty() {
            found.push((family, part));
        }
    }
    Ok(found)
}
