//! Packets that lie at the edges of a ruleset's matches: where a wrong bound or a lost rule shows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fwc::net::{AddrRange, Family, PacketHeader, PortSet, Protocol, TcpFlags};
use fwc::packet::{Fragment, Packet};
use fwc::policy::Addresses;
use fwc::ruleset::{Hook, Payload, Rule, Ruleset, StateMatch};
use fwc::spec::{Direction, State};

/// A small generator of numbers (splitmix64): the seed is proptest's.
pub struct Dice(pub u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() % limit as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// A packet that meets a rule of the ruleset, or just misses it.
pub fn packet(ruleset: &Ruleset, dice: &mut Dice) -> Packet {
    let rules: Vec<(Hook, &Rule)> = ruleset
        .chains
        .iter()
        .filter(|chain| !matches!(chain.hook, Hook::NatPrerouting | Hook::NatPostrouting))
        .flat_map(|chain| chain.rules.iter().map(move |rule| (chain.hook, rule)))
        .collect();
    let (hook, rule) = dice.pick(&rules);
    let family = rule.matching.family.unwrap_or_else(|| dice.pick(&Family::BOTH));
    // Now and then a part of another rule: a packet between two.
    let part = |dice: &mut Dice| if dice.one_in(5) { dice.pick(&rules).1 } else { rule };
    let (from, to, header) = (part(dice), part(dice), part(dice));
    let interfaces = ["lo", "eth0", "eth1"].map(|name| Some(name.parse().unwrap()));
    Packet {
        source: address(ruleset, from.matching.source, family, dice),
        destination: address(ruleset, to.matching.destination, family, dice),
        header: self::header(&header.matching.payload, dice),
        fragment: dice.pick(&[
            Fragment::Whole,
            Fragment::Whole,
            Fragment::Whole,
            Fragment::Whole,
            Fragment::First,
            Fragment::Later,
        ]),
        direction: direction(hook, dice),
        interface: if dice.one_in(2) { None } else { interfaces[dice.below(3)].clone() },
        state: dice.pick(&[State::New, State::New, State::Established, State::Related, State::Invalid]),
        translated_from: None,
    }
    .translated(ruleset, rule, dice)
    .possible()
}

trait Possible {
    fn possible(self) -> Packet;
}

impl Possible for Packet {
    /// Conntrack follows no neighbour discovery that is sound: of the states, only invalid can be one's.
    fn possible(self) -> Packet {
        match self.header {
            PacketHeader::Icmp(130..=136 | 143) if self.family() == Family::V6 => {
                Packet { state: State::Invalid, ..self }
            }
            // The number of an extension header of IPv6 is not that of a protocol.
            PacketHeader::Plain(protocol) if !protocol.exists_in(self.family()) => {
                Packet { header: PacketHeader::Plain("gre".parse().unwrap()), ..self }
            }
            _ => self,
        }
    }
}

trait Translated {
    fn translated(self, ruleset: &Ruleset, rule: &Rule, dice: &mut Dice) -> Packet;
}

impl Translated for Packet {
    /// Translation happens to the first packet of a flow.
    fn translated(self, ruleset: &Ruleset, rule: &Rule, dice: &mut Dice) -> Packet {
        let StateMatch::Translated { destination, ports } = &rule.matching.state else { return self };
        let from = address(ruleset, **destination, self.family(), dice);
        let port = ports.as_ref().map(|ports| port(Some(ports), dice));
        Packet { state: State::New, translated_from: Some((from, port)), ..self }
    }
}

fn direction(hook: Hook, dice: &mut Dice) -> Direction {
    match hook {
        Hook::RawPrerouting => dice.pick(&[Direction::In, Direction::Forward]),
        Hook::RawOutput | Hook::Output => Direction::Out,
        Hook::Forward => Direction::Forward,
        Hook::Input | Hook::NatPrerouting | Hook::NatPostrouting => Direction::In,
    }
}

fn address(ruleset: &Ruleset, addresses: Addresses, family: Family, dice: &mut Dice) -> IpAddr {
    let anywhere = match family {
        Family::V4 => AddrRange::host(Ipv4Addr::new(198, 51, 100, 7).into()),
        Family::V6 => AddrRange::host(Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 7).into()),
    };
    let ranges = ruleset.sets.ranges(addresses, family).filter(|ranges| !ranges.is_empty());
    let range = dice.pick(&ranges.unwrap_or_else(|| vec![anywhere]));
    let (first, last) = match range {
        AddrRange::V4(first, last) => (u128::from(first), u128::from(last)),
        AddrRange::V6(first, last) => (first, last),
    };
    let value = dice.pick(&[first, first, last, last, first.saturating_sub(1), last.saturating_add(1)]);
    match family {
        Family::V4 => Ipv4Addr::from_bits(u32::try_from(value).unwrap_or(u32::MAX)).into(),
        Family::V6 => Ipv6Addr::from_bits(value).into(),
    }
}

fn port(ports: Option<&PortSet>, dice: &mut Dice) -> u16 {
    let Some(ports) = ports else { return dice.pick(&[1, 53, 40_000, 65_535]) };
    let (first, last) = dice.pick(ports.ranges());
    dice.pick(&[first, first, last, last, first.saturating_sub(1).max(1), last.saturating_add(1)])
}

fn header(payload: &Payload, dice: &mut Dice) -> PacketHeader {
    let other = [Protocol::TCP, Protocol::UDP, "sctp".parse().unwrap()];
    match payload {
        Payload::Icmp(types) => PacketHeader::Icmp(dice.pick(types).wrapping_add(u8::from(dice.one_in(4)))),
        Payload::Any => with_ports(dice.pick(&other), None, None, dice),
        Payload::Protocol(protocol) | Payload::LaterFragment(protocol) if protocol.has_ports() => {
            with_ports(*protocol, None, None, dice)
        }
        Payload::Protocol(protocol) | Payload::LaterFragment(protocol) => PacketHeader::Plain(*protocol),
        Payload::Ports { protocol, source, destination, .. } => {
            let protocol = if dice.one_in(8) { dice.pick(&other) } else { *protocol };
            with_ports(protocol, source.as_ref(), destination.as_ref(), dice)
        }
    }
}

fn with_ports(protocol: Protocol, from: Option<&PortSet>, to: Option<&PortSet>, dice: &mut Dice) -> PacketHeader {
    let (from, to) = (port(from, dice), port(to, dice));
    if protocol == Protocol::TCP {
        // SYN, SYN and ACK, ACK, RST, SYN and FIN, SYN and ECE, all, none.
        return PacketHeader::Tcp(from, to, TcpFlags(dice.pick(&[2, 18, 16, 4, 3, 66, 255, 0])));
    }
    PacketHeader::Ports(protocol, from, to)
}
