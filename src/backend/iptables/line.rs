//! One line of an iptables-restore file, and the chains and tables that lines stand in: what iptables can say and no more.

use std::sync::Arc;

use ipnet::IpNet;

use crate::net::{AddrRange, Interface};
use crate::ruleset::{Action, Locality};

/// One rule of iptables. All conditions hold; a line without conditions matches every packet.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    /// The interface; the chain says whether incoming or outgoing.
    pub interface: Option<Link<'a>>,
    pub source: Side,
    pub destination: Side,
    pub locality: Locality,
    /// The number in the IP header.
    pub protocol: Option<u8>,
    pub source_ports: Ports,
    pub destination_ports: Ports,
    pub detail: Detail,
    pub state: State,
    pub target: Target,
    pub comment: Comment<'a>,
}

impl Line<'_> {
    /// A line that matches everything.
    pub fn new(target: Target) -> Self {
        Line {
            interface: None,
            source: Side::Any,
            destination: Side::Any,
            locality: Locality::Anywhere,
            protocol: None,
            source_ports: Ports::Any,
            destination_ports: Ports::Any,
            detail: Detail::None,
            state: State::Any,
            target,
            comment: Comment::None,
        }
    }
}

/// Ports, host byte order.
#[derive(Debug, Clone)]
pub(super) enum Ports {
    Any,
    /// One range, both ends included.
    One([(u16, u16); 1]),
    /// Ranges, sorted and disjoint, at most [`MULTIPORT`] slots.
    List(Arc<[(u16, u16)]>),
}

impl Ports {
    pub fn one(range: (u16, u16)) -> Self {
        Ports::One([range])
    }

    /// The ranges; none at all is any.
    pub fn ranges(&self) -> &[(u16, u16)] {
        match self {
            Ports::Any => &[],
            Ports::One(one) => one,
            Ports::List(list) => list,
        }
    }
}

/// What `multiport` holds: a port takes one slot, a range two (`XT_MULTI_PORTS`).
pub(super) const MULTIPORT: usize = 15;

/// An interface match.
#[derive(Debug, Clone, Copy)]
pub(super) enum Link<'a> {
    /// `-i`.
    In(&'a Interface),
    /// `-o`.
    Out(&'a Interface),
}

/// Source or destination address.
#[derive(Debug, Clone)]
pub(super) enum Side {
    Any,
    Range(AddrRange),
    /// An ipset, by its name.
    Ipset(Arc<str>),
}

/// What a line asks of the headers beyond protocol and ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    None,
    /// Any ports: a later fragment has none and does not match.
    HasPorts,
    /// TCP, but not a SYN without ACK.
    Guarded,
    /// An ICMP or ICMPv6 type.
    Icmp(u8),
    /// IPv4: a fragment with an offset above 0.
    LaterFragment,
    /// IPv6: any fragment.
    Fragment,
    /// IPv6: a fragment with offset 0.
    FirstFragment,
}

/// What a line asks of conntrack.
#[derive(Debug, Clone)]
pub(super) enum State {
    Any,
    New,
    EstablishedOrRelated,
    /// New, and its destination was translated from here. `None` is any.
    Translated(Option<IpNet>, Option<(u16, u16)>),
}

/// What a line does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Do(Action),
    /// Goes through a chain and comes back.
    Jump(Arc<str>),
    /// Goes to a chain; what that chain does not decide goes on behind the last jump.
    Goto(Arc<str>),
    Return,
}

/// Why a line is there, in words.
#[derive(Debug, Clone, Copy)]
pub(super) enum Comment<'a> {
    None,
    Words(&'static str),
    Entry(&'a str),
    /// The number of the item, from 1.
    Nat(u32),
}

/// Where the rules of a chain stand in [`Table::rules`]. They are written as soon as the chain is complete: as lines, all chains together take
/// five times the memory.
pub(super) type Written = std::ops::Range<usize>;

/// A chain that fwc adds.
#[derive(Debug)]
pub(super) struct UserChain {
    pub name: Arc<str>,
    pub rules: Written,
}

/// A chain that the kernel calls.
#[derive(Debug)]
pub(super) struct BuiltinChain {
    pub name: &'static str,
    pub drops: bool,
    pub rules: Written,
}

/// A table, complete.
#[derive(Debug)]
pub(super) struct Table {
    pub name: &'static str,
    pub builtin: Vec<BuiltinChain>,
    pub chains: Vec<UserChain>,
    /// The rules of all chains.
    pub rules: String,
}
