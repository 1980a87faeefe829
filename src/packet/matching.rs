//! Whether a rule matches a packet.

use super::{Fragment, Packet};
use crate::net::{PacketHeader, Protocol};
use crate::ruleset::{Hook, Locality, Match, Payload, Ruleset, StateMatch};
use crate::spec::{Direction, State, Tracking};

/// Whether all conditions of a match hold for a packet in a hook, where so far it is tracked or not.
#[must_use]
pub fn matches(ruleset: &Ruleset, hook: Hook, matching: &Match, packet: &Packet, tracking: Tracking) -> bool {
    matching.family.is_none_or(|family| family == packet.family())
        && interface(hook, matching, packet)
        && ruleset.sets.contains(matching.source, packet.source)
        && ruleset.sets.contains(matching.destination, packet.destination)
        && locality(matching.locality, packet)
        && payload(&matching.payload, packet)
        && state(ruleset, &matching.state, packet, tracking)
}

/// A packet's interface is where it comes in, or where it leaves for what this host sends. A forwarded packet's outgoing
/// interface is not known here.
fn interface(hook: Hook, matching: &Match, packet: &Packet) -> bool {
    let known = hook.matches_outgoing() == (packet.direction == Direction::Out);
    matching.interfaces.is_empty()
        || (known && packet.interface.as_ref().is_some_and(|interface| matching.interfaces.contains(interface)))
}

fn locality(asked: Locality, packet: &Packet) -> bool {
    match asked {
        Locality::Anywhere => true,
        Locality::Local => packet.is_to_own_address(),
        Locality::NotLocal => !packet.is_to_own_address(),
    }
}

fn protocol(header: PacketHeader) -> Option<Protocol> {
    match header {
        PacketHeader::Tcp(..) => Some(Protocol::TCP),
        PacketHeader::Ports(protocol, ..) | PacketHeader::Plain(protocol) => Some(protocol),
        PacketHeader::Icmp(_) => None,
    }
}

fn payload(asked: &Payload, packet: &Packet) -> bool {
    let whole = packet.fragment != Fragment::Later;
    match asked {
        Payload::Any => true,
        Payload::Protocol(wanted) => protocol(packet.header) == Some(*wanted),
        Payload::LaterFragment(wanted) => !whole && protocol(packet.header) == Some(*wanted),
        Payload::Icmp(types) => whole && matches!(packet.header, PacketHeader::Icmp(kind) if types.contains(&kind)),
        Payload::Ports { protocol: wanted, source, destination, guarded } => {
            let (from, to, bare_syn) = match packet.header {
                PacketHeader::Tcp(from, to, flags) => (from, to, flags.is_bare_syn()),
                PacketHeader::Ports(_, from, to) => (from, to, false),
                PacketHeader::Plain(_) | PacketHeader::Icmp(_) => return false,
            };
            whole
                && protocol(packet.header) == Some(*wanted)
                && source.as_ref().is_none_or(|ports| ports.contains(from))
                && destination.as_ref().is_none_or(|ports| ports.contains(to))
                && !(*guarded && bare_syn)
        }
    }
}

/// An untracked packet is neither new nor established: conntrack says nothing of it.
fn state(ruleset: &Ruleset, asked: &StateMatch, packet: &Packet, tracking: Tracking) -> bool {
    let says = |states: &[State]| tracking == Tracking::Tracked && states.contains(&packet.state);
    match asked {
        StateMatch::Any => true,
        StateMatch::New => says(&[State::New]),
        StateMatch::EstablishedOrRelated => says(&[State::Established, State::Related]),
        StateMatch::Translated { destination, ports } => {
            says(&[State::New])
                && packet.translated_from.is_some_and(|(address, port)| {
                    ruleset.sets.contains(**destination, address)
                        && ports.as_ref().is_none_or(|ports| port.is_some_and(|port| ports.contains(port)))
                })
        }
    }
}
