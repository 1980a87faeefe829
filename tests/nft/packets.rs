//! Packets that lie on the edges of a ruleset's matches.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fwc::net::{AddrRange, Family, Interface, PacketHeader, PortSet, Protocol, TcpFlags};
use fwc::packet::{Fragment, Packet};
use fwc::policy::{AddressSets, Addresses};
use fwc::ruleset::{Match, Payload, Rule, Ruleset, StateMatch};
use fwc::spec::{Direction, State};
use proptest::prelude::RngExt;
use proptest::test_runner::TestRng;

/// A packet around one of the ruleset's rules: each of its properties is one that the rule asks for, one beside it, or any.
pub fn packet(ruleset: &Ruleset, rng: &mut TestRng) -> Packet {
    let rules: Vec<&Rule> = ruleset.chains.iter().flat_map(|chain| &chain.rules).collect();
    let asked = &rules[rng.random_range(0..rules.len())].matching;
    let family = asked.family.unwrap_or(if rng.random_bool(0.5) { Family::V4 } else { Family::V6 });
    let direction = pick(rng, &[Direction::In, Direction::Out, Direction::Forward]);
    let state = match asked.state {
        StateMatch::New if rng.random_bool(0.7) => State::New,
        _ => pick(rng, &[State::New, State::Established, State::Related, State::Invalid]),
    };
    let lo = rng.random_bool(0.05);
    let names: Vec<&str> = asked.interfaces.iter().map(Interface::as_str).chain(["eth7"]).collect();
    let interface = if lo { "lo" } else { pick(rng, &names) };
    Packet {
        source: address(&ruleset.sets, asked.source, family, rng),
        destination: address(&ruleset.sets, asked.destination, family, rng),
        header: header(asked, rng),
        fragment: if rng.random_bool(0.1) { Fragment::Later } else { Fragment::Whole },
        direction,
        interface: interface.parse().ok(),
        state,
        translated_from: translated(&ruleset.sets, asked, family, rng).filter(|_| state == State::New),
    }
}

fn pick<T: Copy>(rng: &mut TestRng, items: &[T]) -> T {
    items[rng.random_range(0..items.len())]
}

fn translated(sets: &AddressSets, asked: &Match, family: Family, rng: &mut TestRng) -> Option<(IpAddr, Option<u16>)> {
    let StateMatch::Translated { destination, ports } = &asked.state else { return None };
    Some((address(sets, **destination, family, rng), ports.as_ref().map(|ports| port(Some(ports), rng))))
}

fn address(sets: &AddressSets, asked: Addresses, family: Family, rng: &mut TestRng) -> IpAddr {
    let ranges = sets.ranges(asked, family).unwrap_or_default();
    if ranges.is_empty() || rng.random_bool(0.05) {
        return match family {
            Family::V4 => Ipv4Addr::from_bits(rng.random()).into(),
            Family::V6 => Ipv6Addr::from_bits(rng.random()).into(),
        };
    }
    let beside = rng.random_range(0..8);
    match pick(rng, &ranges) {
        AddrRange::V4(first, last) => Ipv4Addr::from_bits(match beside {
            0 => first.saturating_sub(1),
            1 => last.saturating_add(1),
            2..=4 => first,
            _ => last,
        })
        .into(),
        AddrRange::V6(first, last) => Ipv6Addr::from_bits(match beside {
            0 => first.saturating_sub(1),
            1 => last.saturating_add(1),
            2..=4 => first,
            _ => last,
        })
        .into(),
    }
}

fn port(asked: Option<&PortSet>, rng: &mut TestRng) -> u16 {
    let Some(asked) = asked else { return rng.random() };
    let (first, last) = pick(rng, asked.ranges());
    match rng.random_range(0..8) {
        0 => first.saturating_sub(1),
        1 => last.saturating_add(1),
        2..=4 => first,
        _ => last,
    }
}

fn header(asked: &Match, rng: &mut TestRng) -> PacketHeader {
    let flags = TcpFlags(pick(rng, &[2, 16, 18, 17, 0, 6]));
    match &asked.payload {
        Payload::Ports { protocol, source, destination, .. } => {
            let (from, to) = (port(source.as_ref(), rng), port(destination.as_ref(), rng));
            let other = rng.random_bool(0.1);
            match if other { Protocol::UDP } else { *protocol } {
                Protocol::TCP => PacketHeader::Tcp(from, to, flags),
                protocol => PacketHeader::Ports(protocol, from, to),
            }
        }
        Payload::Icmp(types) => PacketHeader::Icmp(pick(rng, &[types, &[5][..]].concat())),
        Payload::Protocol(protocol) | Payload::LaterFragment(protocol) if *protocol == Protocol::TCP => {
            PacketHeader::Tcp(rng.random(), rng.random(), flags)
        }
        Payload::Protocol(protocol) | Payload::LaterFragment(protocol) if protocol.has_ports() => {
            PacketHeader::Ports(*protocol, rng.random(), rng.random())
        }
        Payload::Protocol(protocol) | Payload::LaterFragment(protocol) => PacketHeader::Plain(*protocol),
        Payload::Any => PacketHeader::Tcp(rng.random(), rng.random(), flags),
    }
}
