//! The rules, hook by hook: the one truth that every backend, the evaluator and the tests read.
//!
//! A packet goes through the chains of the hooks that it passes. In each it is held against the rules from the first to the last. The first
//! rule that matches with a verdict ends the chain; `Notrack` marks the packet and goes on. Where no rule decides, the chain's policy does.
//! A backend may choose how to make this fast (sets, verdict maps, dispatch), but never what it means. Rules that stand side by side and
//! have the same verdict may be taken together or in another order.

use std::net::IpAddr;
use std::sync::Arc;

use crate::net::{Family, Interfaces, Name, PortSet, Protocol};
use crate::policy::{AddressSets, Addresses, EntryId};
use crate::source::Place;
use crate::spec::Fate;

/// All chains, with what they refer to.
#[derive(Debug, Clone)]
pub struct Ruleset {
    /// The address sets that matches refer to.
    pub sets: Arc<AddressSets>,
    /// Who the entries are, by [`EntryId`].
    pub owners: Vec<Owner>,
    /// The chains that are needed, in the order of [`Hook`]. A hook without a chain is not touched.
    pub chains: Vec<Chain>,
    /// Whether any rule looks at conntrack. Where none does, the kernel never starts tracking.
    pub tracks: bool,
}

/// An entry of the spec as users of the rules need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its section: `services`, `clients` or `forward`.
    pub section: &'static str,
    /// Its name, unique within the section.
    pub name: Name,
    /// The key's token in the spec.
    pub place: Place,
}

/// Where in the kernel a chain is hooked in, in the order in which a packet meets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Prerouting at priority raw (-300): before conntrack (-200), after its reassembly of fragments (-400).
    RawPrerouting,
    /// Output at priority raw (-300).
    RawOutput,
    /// Prerouting at priority dstnat (-100), a nat chain.
    NatPrerouting,
    /// Input at priority filter (0).
    Input,
    /// Forward at priority filter (0).
    Forward,
    /// Output at priority filter (0).
    Output,
    /// Postrouting at priority srcnat (100), a nat chain.
    NatPostrouting,
}

impl Hook {
    /// Whether a chain stands there also without rules: its policy decides.
    #[must_use]
    pub fn has_policy(self) -> bool {
        matches!(self, Hook::Input | Hook::Forward | Hook::Output)
    }

    /// Whether interface matches in this hook mean the outgoing interface.
    #[must_use]
    pub fn matches_outgoing(self) -> bool {
        matches!(self, Hook::RawOutput | Hook::Output | Hook::NatPostrouting)
    }
}

/// The rules of one hook.
#[derive(Debug, Clone)]
pub struct Chain {
    /// Where.
    pub hook: Hook,
    /// What happens when no rule decides.
    pub policy: Fate,
    /// In order.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which packets.
    pub matching: Match,
    /// What happens to them.
    pub action: Action,
    /// Why it is there.
    pub origin: Origin,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Ends the chain; the packet goes on to the next hook.
    Accept,
    /// Ends the packet.
    Drop,
    /// Marks the packet as untracked and goes on.
    Notrack,
    /// Source NAT to the outgoing interface's address.
    Masquerade,
    /// Source NAT to this address.
    Snat(IpAddr),
    /// Destination NAT to this address, and port if given (host byte order).
    Dnat(IpAddr, Option<u16>),
    /// Destination NAT to this host, to this port (host byte order).
    Redirect(u16),
}

/// Which of a flow's two directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leg {
    /// From the client to the server.
    Request,
    /// From the server to the client.
    Reply,
}

/// Why a rule is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Traffic of the host with itself.
    Loopback,
    /// ICMP errors: path MTU discovery lives on them.
    IcmpError,
    /// IPv6 neighbour discovery and router messages.
    NeighbourDiscovery,
    /// IPv6 multicast listener messages.
    MulticastListener,
    /// DHCP and DHCPv6, by which a host keeps its addresses.
    Dhcp,
    /// `icmp.ping`.
    Ping,
    /// Packets of connections that conntrack knows.
    Established,
    /// `block`.
    Block,
    /// A leg of an entry. The place is the endpoint's token.
    Entry(EntryId, Leg, Place),
    /// An item of `nat`, by its number from 0. The place is the item's key token.
    Nat(u32, Place),
}

/// Which packets a rule matches: all conditions hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Match {
    /// Only this family.
    pub family: Option<Family>,
    /// Incoming or (see [`Hook::matches_outgoing`]) outgoing interface: one of these; empty is any.
    pub interfaces: Interfaces,
    /// Source address.
    pub source: Addresses,
    /// Destination address.
    pub destination: Addresses,
    /// Whether the destination is an address of this host.
    pub locality: Locality,
    /// The protocol and its header.
    pub payload: Payload,
    /// What conntrack says.
    pub state: StateMatch,
}

impl Default for Match {
    fn default() -> Self {
        Match {
            family: None,
            interfaces: Interfaces::default(),
            source: Addresses::Any,
            destination: Addresses::Any,
            locality: Locality::Anywhere,
            payload: Payload::Any,
            state: StateMatch::Any,
        }
    }
}

/// Whether a destination is this host's, by its routing table (`fib daddr type local`, `-m addrtype --dst-type LOCAL`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Locality {
    /// Does not matter.
    Anywhere,
    /// An address of this host.
    Local,
    /// Anything else.
    NotLocal,
}

/// What a rule asks of the protocol and its header.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Payload {
    /// Nothing.
    Any,
    /// A protocol, whatever its header.
    Protocol(Protocol),
    /// A protocol with ports. A later fragment has no ports and never matches.
    Ports {
        /// The protocol.
        protocol: Protocol,
        /// Source ports; `None` is any.
        source: Option<PortSet>,
        /// Destination ports; `None` is any.
        destination: Option<PortSet>,
        /// The flag guard of reply legs: TCP packets with SYN and without ACK do not match. Other protocols are not affected.
        guarded: bool,
    },
    /// ICMP (in IPv4) or ICMPv6 (in IPv6) of one of these types. The rule's `family` is set.
    Icmp(&'static [u8]),
    /// A fragment that is not the first (offset above 0) of a packet of this protocol.
    LaterFragment(Protocol),
}

/// What a rule asks of conntrack. Anything but `Any` makes the kernel track.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateMatch {
    /// Nothing.
    Any,
    /// `new`.
    New,
    /// `established,related`.
    EstablishedOrRelated,
    /// A new flow whose destination was translated (`ct status dnat`) from this address and port.
    Translated {
        /// Destination before the translation. On the heap, because it is rare and rules are many.
        destination: Box<Addresses>,
        /// Destination ports before the translation; `None` for a protocol without ports.
        ports: Option<PortSet>,
    },
}
