//! What the nat hooks do to a packet: to the first of a flow by rules, to the answer by undoing it.

use super::{Journey, Packet, Side, Step, Translation, matches};
use crate::net::{Interfaces, PacketHeader};
use crate::policy::Addresses;
use crate::ruleset::{Action, Chain, Hook, Leg, Match, Origin, Rule, Ruleset};
use crate::spec::{Direction, Fate, Tracking};
use std::net::IpAddr;

/// A chain's first rule that matches the first packet of a tracked flow, carried out.
pub(super) fn first<'a>(ruleset: &Ruleset, chain: &'a Chain, packet: &mut Packet) -> Step<'a> {
    let mut step = Step::new(chain.hook, Fate::Accept);
    let holds = |matching: &Match| matches(ruleset, chain.hook, matching, packet, Tracking::Tracked);
    if chain.hook == Hook::NatPostrouting && !leaves_by_known(packet) {
        let anywhere = |rule: &&Rule| holds(&Match { interfaces: Interfaces::default(), ..rule.matching.clone() });
        step.depends = chain.rules.iter().filter(anywhere).collect();
        return step;
    }
    if let Some(rule) = chain.rules.iter().find(|rule| holds(&rule.matching)) {
        step.decided_by = Some(rule);
        step.translation = carry_out(ruleset, rule.action, packet);
    }
    step
}

/// Whether it is known by which interface a packet leaves.
fn leaves_by_known(packet: &Packet) -> bool {
    packet.direction == Direction::Out && packet.interface.is_some()
}

fn carry_out(ruleset: &Ruleset, action: Action, packet: &mut Packet) -> Option<Translation> {
    let (address, port) = match action {
        Action::Accept | Action::Drop | Action::Notrack => return None,
        Action::Masquerade => return Some(Translation::Source { from: source(packet), to: None }),
        Action::Snat(to) => {
            let from = source(packet);
            packet.source = to;
            return Some(Translation::Source { from, to: Some(source(packet)) });
        }
        Action::Dnat(to, port) => (to, port),
        Action::Redirect(port) => (packet.destination, Some(port)),
    };
    let from = destination(packet);
    let stays = matches!(action, Action::Redirect(_)) || is_ours(ruleset, packet, address);
    packet.direction = if stays { Direction::In } else { Direction::Forward };
    set_destination(packet, (address, port.or(from.1)));
    packet.translated_from = Some(from);
    Some(Translation::Destination { from, to: destination(packet) })
}

/// Whether a new destination is this host, as far as a spec tells: the packet's own destination on its way in, loopback, or an address that a service
/// listens on. Any other address is taken for another host's.
fn is_ours(ruleset: &Ruleset, packet: &Packet, address: IpAddr) -> bool {
    let listens = |rule: &Rule| {
        matches!(rule.origin, Origin::Entry(_, Leg::Request, _))
            && matches!(rule.matching.destination, Addresses::Range(range) if range.as_host() == Some(address))
    };
    let mut input = ruleset.chains.iter().filter(|chain| chain.hook == Hook::Input);
    address.is_loopback()
        || (packet.direction == Direction::In && packet.destination == address)
        || input.any(|chain| chain.rules.iter().any(listens))
}

/// What conntrack does to the answer: the opposite of what rules did to the first packet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Undo {
    /// The source before source NAT: where the answer goes.
    destination: Option<Side>,
    /// The destination before destination NAT: where the answer seems to come from.
    source: Option<Side>,
}

impl Undo {
    /// For the answer to a packet that made this journey.
    pub(super) fn of(packet: &Packet, journey: &Journey<'_>) -> Self {
        journey.steps.iter().fold(Undo::default(), |undo, step| match step.translation {
            Some(Translation::Source { .. }) => Undo { destination: Some(source(packet)), ..undo },
            Some(Translation::Destination { from, .. }) => Undo { source: Some(from), ..undo },
            None => undo,
        })
    }

    /// Destinations change in prerouting, sources in postrouting.
    pub(super) fn carry_out(self, hook: Hook, packet: &mut Packet) -> Option<Step<'static>> {
        let translation = match hook {
            Hook::NatPrerouting => {
                let from = destination(packet);
                set_destination(packet, self.destination?);
                Translation::Destination { from, to: destination(packet) }
            }
            Hook::NatPostrouting => {
                let from = source(packet);
                set_source(packet, self.source?);
                Translation::Source { from, to: Some(source(packet)) }
            }
            _ => return None,
        };
        Some(Step { translation: Some(translation), ..Step::new(hook, Fate::Accept) })
    }
}

fn ports(header: PacketHeader) -> Option<(u16, u16)> {
    match header {
        PacketHeader::Tcp(from, to, _) | PacketHeader::Ports(_, from, to) => Some((from, to)),
        PacketHeader::Plain(_) | PacketHeader::Icmp(_) => None,
    }
}

fn source(packet: &Packet) -> Side {
    (packet.source, ports(packet.header).map(|(from, _)| from))
}

fn destination(packet: &Packet) -> Side {
    (packet.destination, ports(packet.header).map(|(_, to)| to))
}

fn set_source(packet: &mut Packet, (address, port): Side) {
    packet.source = address;
    if let (PacketHeader::Tcp(from, ..) | PacketHeader::Ports(_, from, _), Some(port)) = (&mut packet.header, port) {
        *from = port;
    }
}

fn set_destination(packet: &mut Packet, (address, port): Side) {
    packet.destination = address;
    if let (PacketHeader::Tcp(_, to, _) | PacketHeader::Ports(_, _, to), Some(port)) = (&mut packet.header, port) {
        *to = port;
    }
}
