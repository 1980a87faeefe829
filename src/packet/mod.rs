//! The evaluator: what a packet meets on its way. Small and pure; the definition of what the rules mean.
//!
//! [`evaluate`] leads a [`Packet`] through the chains of the hooks that it passes and tells the deciding rule of each, whether the packet is
//! tracked, and its fate. Translation itself is not carried out: a packet that was translated says so in [`Packet::translated_from`].

mod matching;
mod untracked;

use std::net::IpAddr;

use crate::net::{Family, Interface, PacketHeader, PacketText, TcpFlags};
use crate::ruleset::{Action, Chain, Hook, Rule, Ruleset};
use crate::spec::{Direction, Fate, State, Tracking};

pub use matching::matches;
pub use untracked::Untracked;

/// Which part of an IP packet this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fragment {
    /// Not a fragment.
    Whole,
    /// The first one: the header behind the IP header is there.
    First,
    /// A later one: only the protocol is known.
    Later,
}

/// A packet with all that rules can ask of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The header behind the IP header.
    pub header: PacketHeader,
    /// Whether the header is there.
    pub fragment: Fragment,
    /// Where it goes.
    pub direction: Direction,
    /// Where it comes in, or for [`Direction::Out`] where it leaves. `None`: an interface that no rule names.
    pub interface: Option<Interface>,
    /// What conntrack says if it looks.
    pub state: State,
    /// The destination, and port, before a destination NAT.
    pub translated_from: Option<(IpAddr, Option<u16>)>,
}

impl Packet {
    /// A packet as a test writes it, on its way in this direction.
    #[must_use]
    pub fn new(text: PacketText, direction: Direction) -> Self {
        Packet {
            source: text.source,
            destination: text.destination,
            header: text.header,
            fragment: Fragment::Whole,
            direction,
            interface: None,
            state: State::New,
            translated_from: None,
        }
    }

    /// Its family.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.source)
    }

    /// The packet that answers this one, on its way back. TCP: SYN and ACK; ICMP echo requests: the reply.
    #[must_use]
    pub fn mirrored(&self) -> Packet {
        let header = match self.header {
            PacketHeader::Tcp(from, to, _) => PacketHeader::Tcp(to, from, TcpFlags::SYN_ACK),
            PacketHeader::Ports(protocol, from, to) => PacketHeader::Ports(protocol, to, from),
            PacketHeader::Icmp(8) if self.family() == Family::V4 => PacketHeader::Icmp(0),
            PacketHeader::Icmp(128) if self.family() == Family::V6 => PacketHeader::Icmp(129),
            other => other,
        };
        let direction = match self.direction {
            Direction::In => Direction::Out,
            Direction::Out => Direction::In,
            Direction::Forward => Direction::Forward,
        };
        Packet {
            source: self.destination,
            destination: self.source,
            header,
            direction,
            state: State::Established,
            translated_from: None,
            ..self.clone()
        }
    }

    fn hooks(&self) -> &'static [Hook] {
        match self.direction {
            Direction::In => &[Hook::RawPrerouting, Hook::Input],
            Direction::Out => &[Hook::RawOutput, Hook::Output],
            Direction::Forward => &[Hook::RawPrerouting, Hook::Forward],
        }
    }

    /// Whether its destination is an address of this host.
    fn is_to_this_host(&self) -> bool {
        self.direction == Direction::In
    }
}

/// One chain on the way.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The chain's hook.
    pub hook: Hook,
    /// The rule that marked the packet as untracked, if one did.
    pub untracked_by: Option<&'a Rule>,
    /// The rule that ended the chain; `None`: its policy did.
    pub decided_by: Option<&'a Rule>,
    /// How it ended.
    pub fate: Fate,
}

/// The whole way.
#[derive(Debug, Clone)]
pub struct Journey<'a> {
    /// The chains, in order, up to the one that drops.
    pub steps: Vec<Step<'a>>,
    /// Whether conntrack follows the packet's flow.
    pub tracking: Tracking,
    /// What becomes of it.
    pub fate: Fate,
}

/// Leads a packet through the rules.
#[must_use]
pub fn evaluate<'a>(ruleset: &'a Ruleset, packet: &Packet) -> Journey<'a> {
    let mut tracking = if ruleset.tracks { Tracking::Tracked } else { Tracking::Untracked };
    let mut steps = Vec::new();
    let mut fate = Fate::Accept;
    for &hook in packet.hooks() {
        let Some(chain) = ruleset.chains.iter().find(|chain| chain.hook == hook) else { continue };
        let step = walk(ruleset, chain, packet, &mut tracking);
        fate = step.fate;
        steps.push(step);
        if fate == Fate::Drop {
            break;
        }
    }
    Journey { steps, tracking, fate }
}

fn walk<'a>(ruleset: &Ruleset, chain: &'a Chain, packet: &Packet, tracking: &mut Tracking) -> Step<'a> {
    let mut step = Step { hook: chain.hook, untracked_by: None, decided_by: None, fate: chain.policy };
    for rule in &chain.rules {
        if !matches(ruleset, chain.hook, &rule.matching, packet, *tracking) {
            continue;
        }
        match rule.action {
            Action::Notrack => {
                *tracking = Tracking::Untracked;
                step.untracked_by = step.untracked_by.or(Some(rule));
                continue;
            }
            Action::Drop => step.fate = Fate::Drop,
            Action::Accept | Action::Masquerade | Action::Snat(_) | Action::Dnat(..) | Action::Redirect(_) => {
                step.fate = Fate::Accept;
            }
        }
        step.decided_by = Some(rule);
        break;
    }
    step
}
