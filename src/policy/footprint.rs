//! Which packets a NAT rule could touch, and whether a stateless flow is among them.
//!
//! Used for the NAT rules of a spec and for those found on the live host. What is not known is taken for "any": a rule that cannot be
//! understood overlaps.

pub mod why;

use super::model::{Entry, Policy, Role, Server, Transport};
use super::sets::Addresses;
use crate::net::{AddressSet, Family, Protocol, RangeSet};
use crate::spec::Tracking;

/// Which hook a NAT rule hangs in, as far as it tells the legs apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NatHook {
    /// Packets that come in: destination NAT.
    Prerouting,
    /// Packets that this host sends: destination NAT.
    Output,
    /// Packets that leave: source NAT.
    Postrouting,
    /// Packets to this host: source NAT.
    Input,
}

impl NatHook {
    /// Where nothing is known: all of them.
    pub const ALL: &'static [NatHook] = &[NatHook::Prerouting, NatHook::Output, NatHook::Postrouting, NatHook::Input];
}

/// The packets that a NAT rule could match. `None` is any.
#[derive(Debug, Clone)]
pub struct Footprint {
    /// The hooks that it may hang in; none where it matches no packet at all.
    pub hooks: &'static [NatHook],
    /// The family.
    pub family: Option<Family>,
    /// Protocol numbers.
    pub protocols: Option<RangeSet<u8>>,
    /// Source addresses.
    pub source: Option<AddressSet>,
    /// Destination addresses.
    pub destination: Option<AddressSet>,
    /// Source ports, host byte order.
    pub source_ports: Option<RangeSet<u16>>,
    /// Destination ports, host byte order.
    pub destination_ports: Option<RangeSet<u16>>,
}

/// The destination address that destination NAT gives a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewAddress {
    /// The one that it had.
    Kept,
    /// This host's.
    ThisHost,
    /// One of these; where it is not known, all.
    OneOf(AddressSet),
}

/// Where destination NAT sends a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The new address.
    pub address: NewAddress,
    /// The new port: one of these, host byte order; where it is not known, all. `None` keeps the old one.
    pub ports: Option<RangeSet<u16>>,
}

impl Target {
    /// A target that is not known: it can be anywhere.
    #[must_use]
    pub fn unknown() -> Self {
        Target { address: NewAddress::OneOf(AddressSet::all()), ports: Some(RangeSet::all()) }
    }
}

/// One leg of a stateless flow. `None` is any.
struct LegShape<'a> {
    source: Addresses,
    destination: Addresses,
    protocol: Protocol,
    source_ports: Option<&'a [(u16, u16)]>,
    destination_ports: Option<&'a [(u16, u16)]>,
}

/// The first stateless entry whose flows the rule could touch.
#[must_use]
pub fn touched<'a>(footprint: &Footprint, policy: &'a Policy) -> Option<&'a Entry> {
    let stateless = policy.entries.iter().filter(|entry| entry.tracking == Tracking::Untracked);
    stateless.into_iter().find(|entry| {
        entry.servers.iter().any(|server| {
            legs(entry, server).iter().any(|(hooks, leg)| {
                footprint.hooks.iter().any(|hook| hooks.contains(hook)) && meets(footprint, leg, policy)
            })
        })
    })
}

/// The first stateless service or forwarded entry among whose server endpoints translated flows end up: their replies would not be tracked.
#[must_use]
pub fn led_into<'a>(policy: &'a Policy, footprint: &Footprint, target: &Target) -> Option<&'a Entry> {
    if !footprint.hooks.iter().any(|hook| matches!(hook, NatHook::Prerouting | NatHook::Output)) {
        return None;
    }
    let (address, forwarded) = match &target.address {
        NewAddress::Kept => (footprint.destination.as_ref(), true),
        NewAddress::ThisHost => (None, false),
        NewAddress::OneOf(addresses) => (Some(addresses), true),
    };
    let ports = target.ports.as_ref().or(footprint.destination_ports.as_ref());
    policy.entries.iter().find(|entry| {
        let serves = match entry.role {
            Role::Service { .. } => true,
            Role::Forward { .. } => forwarded,
            Role::Client { .. } => false,
        };
        serves
            && entry.tracking == Tracking::Untracked
            && entry.servers.iter().any(|server| {
                let [(_, request), _] = legs(entry, server);
                carries(footprint, &request, policy)
                    && addresses_meet(address, request.destination, policy)
                    && ports_meet(ports, request.destination_ports)
            })
    })
}

fn destination_ports(server: &Server) -> Option<RangeSet<u16>> {
    match &server.transport {
        Transport::Ports(_, ports) => Some(RangeSet::from_ranges(ports.ranges().iter().copied())),
        Transport::Plain(_) => None,
    }
}

/// Both legs of an endpoint's flows, each with the hooks that it passes.
fn legs<'a>(entry: &'a Entry, server: &'a Server) -> [(&'static [NatHook], LegShape<'a>); 2] {
    use NatHook::{Input, Output, Postrouting, Prerouting};
    let protocol = server.transport.protocol();
    let ports = match &server.transport {
        Transport::Ports(_, ports) => Some(ports.ranges()),
        Transport::Plain(_) => None,
    };
    let (peers, local_ports) = match &entry.role {
        Role::Service { from, .. } | Role::Forward { from } => (*from, None),
        Role::Client { local_ports } => (Addresses::Any, ports.map(|_| local_ports.ranges())),
    };
    let (request_hooks, reply_hooks): (&[NatHook], &[NatHook]) = match entry.role {
        // NAT decides on the first packet of a flow, and a TCP server's reply is never one. What Docker hangs into OUTPUT for a published
        // port would meet the replies of every service otherwise, because a peer's port may be any.
        Role::Service { .. } if protocol == Protocol::TCP => (&[Prerouting, Input], &[Postrouting]),
        Role::Service { .. } => (&[Prerouting, Input], &[Output, Postrouting]),
        Role::Client { .. } => (&[Output, Postrouting], &[Prerouting, Input]),
        Role::Forward { .. } => (&[Prerouting, Postrouting], &[Prerouting, Postrouting]),
    };
    let request = LegShape {
        source: peers,
        destination: server.addresses,
        protocol,
        source_ports: local_ports,
        destination_ports: ports,
    };
    let reply = LegShape {
        source: server.addresses,
        destination: peers,
        protocol,
        source_ports: ports,
        destination_ports: local_ports,
    };
    [(request_hooks, request), (reply_hooks, reply)]
}

/// Whether the rule and the leg have a family and a protocol in common.
fn carries(footprint: &Footprint, leg: &LegShape<'_>, policy: &Policy) -> bool {
    let family = |family: Family| {
        footprint.family.is_none_or(|only| only == family)
            && leg.protocol.exists_in(family)
            && policy.sets.has(leg.source, family)
            && policy.sets.has(leg.destination, family)
    };
    Family::BOTH.into_iter().any(family)
        && footprint.protocols.as_ref().is_none_or(|protocols| protocols.contains(leg.protocol.number()))
}

fn meets(footprint: &Footprint, leg: &LegShape<'_>, policy: &Policy) -> bool {
    carries(footprint, leg, policy)
        && addresses_meet(footprint.source.as_ref(), leg.source, policy)
        && addresses_meet(footprint.destination.as_ref(), leg.destination, policy)
        && ports_meet(footprint.source_ports.as_ref(), leg.source_ports)
        && ports_meet(footprint.destination_ports.as_ref(), leg.destination_ports)
}

fn addresses_meet(rule: Option<&AddressSet>, leg: Addresses, policy: &Policy) -> bool {
    let Some(rule) = rule else { return true };
    match leg {
        Addresses::Any => true,
        Addresses::Range(range) => rule.overlaps(&AddressSet::from_iter([range])),
        Addresses::Set(id) => rule.overlaps(policy.sets.get(id)),
    }
}

fn ports_meet(rule: Option<&RangeSet<u16>>, leg: Option<&[(u16, u16)]>) -> bool {
    match (rule, leg) {
        (Some(rule), Some(leg)) => rule.overlaps(&RangeSet::from_ranges(leg.iter().copied())),
        _ => true,
    }
}

/// The addresses of a policy as a plain set; `None` is any.
#[must_use]
pub fn plain(policy: &Policy, addresses: Addresses) -> Option<AddressSet> {
    match addresses {
        Addresses::Any => None,
        Addresses::Range(range) => Some(AddressSet::from_iter([range])),
        Addresses::Set(id) => Some(policy.sets.get(id).clone()),
    }
}

impl Footprint {
    /// What a spec's masquerade or snat could match.
    #[must_use]
    pub fn of_source(policy: &Policy, from: Addresses) -> Self {
        Footprint {
            hooks: &[NatHook::Postrouting],
            family: None,
            protocols: None,
            source: plain(policy, from),
            destination: None,
            source_ports: None,
            destination_ports: None,
        }
    }

    /// What a spec's dnat or redirect could match.
    #[must_use]
    pub fn of_destination(policy: &Policy, server: &Server) -> Self {
        Footprint {
            hooks: &[NatHook::Prerouting],
            family: None,
            protocols: Some(RangeSet::single(server.transport.protocol().number())),
            source: None,
            destination: plain(policy, server.addresses),
            source_ports: None,
            destination_ports: destination_ports(server),
        }
    }
}
