//! A program for nf_tables, carried out on packets: held against the evaluator, it shows that a plan means what the rules mean.

use std::collections::HashMap;
use std::net::IpAddr;

use fwc::backend::nft::{
    Condition, ConntrackState, Direction as Way, Elements, Program, Rule, Selector, Set, Side, Value, Verdict,
};
use fwc::net::{AddrRange, Family, PacketHeader, Protocol};
use fwc::packet::{Fragment, Packet};
use fwc::ruleset::Hook;
use fwc::spec::{Direction, Fate, State, Tracking};

/// What becomes of a packet: whether it is tracked, and its fate.
pub fn carry_out(program: &Program, tracks: bool, packet: &Packet) -> (Tracking, Fate) {
    let hooks: &[Hook] = match packet.direction {
        Direction::In => &[Hook::RawPrerouting, Hook::Input],
        Direction::Out => &[Hook::RawOutput, Hook::Output],
        Direction::Forward => &[Hook::RawPrerouting, Hook::Forward],
    };
    let tracking = if tracks { Tracking::Tracked } else { Tracking::Untracked };
    let mut run = Run { program, packet, tracking };
    for &hook in hooks {
        for chain in &program.chains {
            if let Some((at, policy)) = chain.base
                && at == hook
                && run.chain(&chain.rules).unwrap_or(policy) == Fate::Drop
            {
                return (run.tracking, Fate::Drop);
            }
        }
    }
    (run.tracking, Fate::Accept)
}

struct Run<'a> {
    program: &'a Program,
    packet: &'a Packet,
    tracking: Tracking,
}

impl Run<'_> {
    /// `None`: the end, or a return.
    fn chain(&mut self, rules: &[Rule]) -> Option<Fate> {
        for rule in rules {
            if !rule.conditions.iter().all(|condition| self.holds(condition)) {
                continue;
            }
            match &rule.verdict {
                Verdict::Notrack => self.tracking = Tracking::Untracked,
                Verdict::Return => return None,
                Verdict::Drop => return Some(Fate::Drop),
                Verdict::Jump(name) => {
                    let chain = self.program.chains.iter().find(|chain| chain.name == *name).expect("the chain");
                    if let Some(fate) = self.chain(&chain.rules) {
                        return Some(fate);
                    }
                }
                Verdict::Accept | Verdict::Masquerade | Verdict::Snat(_) | Verdict::Dnat(..) | Verdict::Redirect(_) => {
                    return Some(Fate::Accept);
                }
            }
        }
        None
    }

    fn holds(&self, condition: &Condition) -> bool {
        let packet = self.packet;
        match condition {
            Condition::Loopback(way) => self.interface(*way).is_some_and(|name| name == "lo"),
            Condition::Interfaces(way, names) => {
                self.interface(*way).is_some_and(|name| names.iter().any(|one| one.as_str() == name))
            }
            Condition::Family(family) => packet.family() == *family,
            Condition::Address(side, range) => within(*range, self.address(*side)),
            Condition::Protocol(protocol) => self.protocol() == protocol.number(),
            Condition::Ports(protocol, side, ports) => {
                protocol.is_none_or(|protocol| self.protocol() == protocol.number())
                    && self.port(*side).is_some_and(|port| ports.iter().any(|&(a, b)| a <= port && port <= b))
            }
            Condition::Icmp(family, types) => {
                packet.family() == *family
                    && self.whole()
                    && matches!(packet.header, PacketHeader::Icmp(kind) if types.contains(&kind))
            }
            Condition::BareSyn(wanted) => {
                self.whole()
                    && matches!(packet.header, PacketHeader::Tcp(_, _, flags) if flags.is_bare_syn() == *wanted)
            }
            Condition::LocalDestination(wanted) => packet.is_to_own_address() == *wanted,
            Condition::State(state) => {
                self.tracking == Tracking::Tracked
                    && match state {
                        ConntrackState::New => packet.state == State::New,
                        ConntrackState::EstablishedOrRelated => {
                            matches!(packet.state, State::Established | State::Related)
                        }
                    }
            }
            Condition::Translated => self.tracking == Tracking::Tracked && packet.translated_from.is_some(),
            Condition::OriginalDestination(range) => {
                packet.translated_from.is_some_and(|(address, _)| within(*range, address))
            }
            Condition::OriginalPorts(first, last) => {
                packet.translated_from.and_then(|(_, port)| port).is_some_and(|port| *first <= port && port <= *last)
            }
            Condition::LaterFragment(family) => packet.family() == *family && !self.whole(),
            Condition::In(selectors, set) => self.found(selectors, &self.program.sets[set.0]),
            Condition::NotIn(selectors, set) => {
                selectors.iter().all(|selector| self.has(*selector))
                    && !self.found(selectors, &self.program.sets[set.0])
            }
            Condition::AnyPort(protocol, side) => {
                self.protocol() == protocol.number() && self.port(*side).is_some_and(|port| port != 0)
            }
        }
    }

    fn whole(&self) -> bool {
        self.packet.fragment != Fragment::Later
    }

    fn interface(&self, way: Way) -> Option<&str> {
        let known = match way {
            Way::In => self.packet.direction != Direction::Out,
            Way::Out => self.packet.direction == Direction::Out,
        };
        self.packet.interface.as_ref().filter(|_| known).map(|name| name.as_str())
    }

    fn address(&self, side: Side) -> IpAddr {
        match side {
            Side::Source => self.packet.source,
            Side::Destination => self.packet.destination,
        }
    }

    fn protocol(&self) -> u8 {
        match self.packet.header {
            PacketHeader::Tcp(..) => Protocol::TCP.number(),
            PacketHeader::Ports(protocol, ..) | PacketHeader::Plain(protocol) => protocol.number(),
            PacketHeader::Icmp(_) if self.packet.family() == Family::V4 => 1,
            PacketHeader::Icmp(_) => 58,
        }
    }

    fn port(&self, side: Side) -> Option<u16> {
        let (from, to) = match self.packet.header {
            PacketHeader::Tcp(from, to, _) | PacketHeader::Ports(_, from, to) => (from, to),
            PacketHeader::Plain(_) | PacketHeader::Icmp(_) => return None,
        };
        self.whole().then_some(if side == Side::Source { from } else { to })
    }

    /// Whether the packet has the field: where it has not, the kernel breaks off before the lookup.
    fn has(&self, selector: Selector) -> bool {
        match selector {
            Selector::Address(family, _) => self.packet.family() == family,
            Selector::Port(side) => self.port(side).is_some(),
            Selector::OriginalDestination(_) => self.packet.translated_from.is_some(),
            Selector::Protocol | Selector::Interface(_) => true,
        }
    }

    fn found(&self, selectors: &[Selector], set: &Set) -> bool {
        let hits = |test: &dyn Fn(&[Value<'_>]) -> bool| match &set.elements {
            Elements::Keys(keys) => keys.iter().any(|element| test(&element.values().collect::<Vec<_>>())),
            Elements::V4(ranges) => ranges.iter().any(|&(a, b)| test(&[Value::Addresses(AddrRange::V4(a, b))])),
            Elements::V6(ranges) => ranges.iter().any(|&(a, b)| test(&[Value::Addresses(AddrRange::V6(a, b))])),
        };
        hits(&|key| {
            assert_eq!(key.len(), selectors.len(), "{}", set.name);
            selectors.iter().zip(key).all(|(selector, value)| self.meets(*selector, value))
        })
    }

    fn meets(&self, selector: Selector, value: &Value<'_>) -> bool {
        match (selector, value) {
            (Selector::Interface(way), Value::Interface(name)) => {
                self.interface(way).is_some_and(|other| other == *name)
            }
            (Selector::Address(_, side), Value::Addresses(range)) => within(*range, self.address(side)),
            (Selector::Protocol, Value::Protocol(protocol)) => self.protocol() == protocol.number(),
            (Selector::Port(side), Value::Ports(first, last)) => {
                self.port(side).is_some_and(|port| *first <= port && port <= *last)
            }
            (Selector::OriginalDestination(_), Value::Addresses(range)) => {
                self.packet.translated_from.is_some_and(|(address, _)| within(*range, address))
            }
            _ => panic!("{selector:?} is compared with {value:?}"),
        }
    }
}

fn within(range: AddrRange, address: IpAddr) -> bool {
    Family::of(address) == range.family() && range.first() <= address && address <= range.last()
}

/// What the kernel would refuse, or count wrongly, in a program.
pub fn sound(program: &Program) {
    let mut names = HashMap::new();
    for set in &program.sets {
        assert_eq!(names.insert(&set.name, ()), None, "two sets are called {}", set.name);
        assert!(!set.elements.is_empty(), "{} is empty", set.name);
    }
    for rule in program.chains.iter().flat_map(|chain| &chain.rules) {
        let counted = |condition: &Condition| match condition {
            Condition::In(_, set) => program.sets[set.0].counted,
            _ => false,
        };
        let before = rule.conditions.split_last().map_or(&[][..], |(_, before)| before);
        assert!(!before.iter().any(counted), "{rule:?} counts packets that it may not accept");
        assert!(rule.conditions.iter().any(counted) <= (rule.verdict == Verdict::Accept), "{rule:?}");
    }
}
