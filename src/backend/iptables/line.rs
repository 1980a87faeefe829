//! One line of an iptables-restore file: what iptables can say and no more.

use std::sync::Arc;

use ipnet::IpNet;

use super::address::Span;
use crate::net::Interface;
use crate::ruleset::{Action, Locality};

/// One rule of iptables. All conditions hold; a line without conditions matches every packet. `'a` is the ruleset: what else a line refers to
/// need not last, since a line is written as soon as it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'l, 'a, A> {
    /// The interface; the chain says whether incoming or outgoing.
    pub interface: Option<Link<'a>>,
    pub source: Side<'a, A>,
    pub destination: Side<'a, A>,
    pub locality: Locality,
    /// The number in the IP header.
    pub protocol: Option<u8>,
    pub source_ports: Ports<'l>,
    pub destination_ports: Ports<'l>,
    pub detail: Detail,
    pub state: State,
    pub target: &'l Target,
    pub comment: Comment<'a>,
}

/// Ranges of ports, host byte order, both ends included, sorted and disjoint, at most [`MULTIPORT`] slots; none at all is any.
pub(super) type Ports<'l> = &'l [(u16, u16)];

impl<'l, A> Line<'l, '_, A> {
    /// A line that matches everything.
    pub fn new(target: &'l Target) -> Self {
        Line {
            interface: None,
            source: Side::Any,
            destination: Side::Any,
            locality: Locality::Anywhere,
            protocol: None,
            source_ports: &[],
            destination_ports: &[],
            detail: Detail::None,
            state: State::Any,
            target,
            comment: Comment::None,
        }
    }
}

impl<'a, A: Copy> Line<'_, 'a, A> {
    /// What of the line refers to nothing but the ruleset.
    pub fn without_ports(&self) -> Line<'static, 'a, A> {
        Line {
            interface: self.interface,
            source: self.source,
            destination: self.destination,
            locality: self.locality,
            protocol: self.protocol,
            source_ports: &[],
            destination_ports: &[],
            detail: self.detail,
            state: self.state,
            target: &Target::Return,
            comment: self.comment,
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
#[derive(Debug, Clone, Copy)]
pub(super) enum Side<'a, A> {
    Any,
    Range(Span<A>),
    /// An ipset, by its name.
    Ipset(&'a Arc<str>),
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
#[derive(Debug, Clone, Copy)]
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
