//! The evaluator: what a packet meets on its way. Small and pure; the definition of what the rules mean.
//!
//! [`evaluate`] leads a [`Packet`] through the chains of the hooks that it passes and tells the deciding rule of each, what is translated,
//! whether the packet is tracked, and its fate. [`answer`] does the same for the packet that comes back. [`assertion`] holds a spec's tests
//! against both.
//!
//! - `matching`: whether a rule matches a packet.
//! - `way`: which hooks a packet passes, in which order.
//! - `nat`: what the nat hooks do to it.

pub mod assertion;
pub mod failure;
mod matching;
mod nat;
mod untracked;
mod way;
pub mod why;

use std::net::{IpAddr, SocketAddr};

use crate::net::{Family, Interface, PacketHeader, PacketText, TcpFlags};
use crate::ruleset::{Hook, Rule};
use crate::spec::{Direction, Fate, State, Test, Tracking};

pub use matching::matches;
pub use untracked::Untracked;
pub use way::{answer, evaluate, evaluate_as_is};

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

/// An address with its port, where the protocol has ports.
pub type Side = (IpAddr, Option<u16>);

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
    /// Where it comes in, or for [`Direction::Out`] where it leaves. `None`: an interface that no rule names. What comes in or leaves over `lo`
    /// does both.
    pub interface: Option<Interface>,
    /// What conntrack says if it looks. Only a new packet is translated by rules: write one of a known connection as the filter chains see it.
    pub state: State,
    /// The destination, and port, before a destination NAT.
    pub translated_from: Option<Side>,
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

    /// The packet of a test.
    #[must_use]
    pub fn of_test(test: &Test) -> Self {
        let interface = test.interface.as_ref().map(|interface| interface.value.clone());
        Packet { interface, state: test.state, ..Packet::new(test.packet.value, test.direction) }
    }

    /// As a test writes it.
    #[must_use]
    pub fn text(&self) -> PacketText {
        PacketText { source: self.source, destination: self.destination, header: self.header }
    }

    /// Its family.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.source)
    }

    /// The packet that answers this one, on its way back. TCP: SYN and ACK; ICMP echo requests: the reply. It belongs to the connection that this
    /// one opened, unless this one fits none. Translations are not looked at: see [`answer`].
    #[must_use]
    pub fn mirrored(&self) -> Packet {
        let header = match self.header {
            PacketHeader::Tcp(from, to, _) => PacketHeader::Tcp(to, from, TcpFlags::SYN_ACK),
            PacketHeader::Ports(protocol, from, to) => PacketHeader::Ports(protocol, to, from),
            PacketHeader::Icmp(8) if self.family() == Family::V4 => PacketHeader::Icmp(0),
            PacketHeader::Icmp(128) if self.family() == Family::V6 => PacketHeader::Icmp(129),
            other => other,
        };
        let (direction, interface) = match self.direction {
            Direction::In => (Direction::Out, self.interface.clone()),
            Direction::Out => (Direction::In, self.interface.clone()),
            // Where the answer comes in is where this one leaves, which is not known.
            Direction::Forward => (Direction::Forward, None),
        };
        let state = if self.state == State::Invalid { State::Invalid } else { State::Established };
        Packet {
            source: self.destination,
            destination: self.source,
            header,
            direction,
            interface,
            state,
            translated_from: None,
            ..*self
        }
    }

    /// Whether its destination is an address of this host.
    fn is_to_this_host(&self) -> bool {
        self.direction == Direction::In
    }

    /// The first packet of a flow that conntrack has not seen, whole, from one end to the other. The ports are those of `header`.
    #[must_use]
    pub fn opening(
        (from, to): (SocketAddr, SocketAddr),
        header: PacketHeader,
        direction: Direction,
        interface: Option<Interface>,
    ) -> Self {
        Packet {
            source: from.ip(),
            destination: to.ip(),
            header,
            fragment: Fragment::Whole,
            direction,
            interface,
            state: State::New,
            translated_from: None,
        }
    }

    /// It, and what answers it.
    #[must_use]
    pub fn with_answer(self) -> [Self; 2] {
        let answer = self.mirrored();
        [self, answer]
    }

    /// Whether it is sent to an address that this host has. Multicast and the broadcast to everybody are received, but are nobody's address
    /// (`fib daddr type local` does not hold); the broadcast address of a network cannot be told from a host's.
    #[must_use]
    pub fn is_to_own_address(&self) -> bool {
        let to_everybody = self.destination == std::net::Ipv4Addr::BROADCAST || self.destination.is_multicast();
        self.is_to_this_host() && !to_everybody
    }
}

/// One chain on the way.
#[derive(Debug, Clone)]
pub struct Step<'a> {
    /// The chain's hook.
    pub hook: Hook,
    /// The rule that marked the packet as untracked, if one did.
    pub untracked_by: Option<&'a Rule>,
    /// The rule that ended the chain; `None`: its policy did.
    pub decided_by: Option<&'a Rule>,
    /// How it ended.
    pub fate: Fate,
    /// What a nat hook did. Without `decided_by`, conntrack undid it for the answer.
    pub translation: Option<Translation>,
    /// The source NAT rules that match if the packet leaves by their interface, where that is not known. Never changes the fate.
    pub depends: Vec<&'a Rule>,
}

/// What a nat hook does to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Translation {
    /// Another destination.
    Destination {
        /// Before.
        from: Side,
        /// After. A redirect leads to the address of the incoming interface, for which the destination as it was stands here.
        to: Side,
    },
    /// Another source.
    Source {
        /// Before.
        from: Side,
        /// After; `None`: the address of the outgoing interface.
        to: Option<Side>,
    },
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
    /// The packet as it is at the end of its way.
    pub arrived: Packet,
}

impl<'a> Journey<'a> {
    /// The step that decided: the one that dropped it, or the last filter chain that accepted it. `None` where no chain of fwc's was passed.
    #[must_use]
    pub fn decision(&self) -> Option<&Step<'a>> {
        let filters = |step: &&Step<'_>| matches!(step.hook, Hook::Input | Hook::Forward | Hook::Output);
        self.steps.iter().rfind(|step| step.fate == Fate::Drop).or_else(|| self.steps.iter().rfind(filters))
    }

    /// The rule that untracked it.
    #[must_use]
    pub fn untracked_by(&self) -> Option<&'a Rule> {
        self.steps.iter().find_map(|step| step.untracked_by)
    }
}
