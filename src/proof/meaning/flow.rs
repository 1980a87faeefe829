//! The legs of a flow: which way each passes, and what decides its tracking.

use super::Reader;
use crate::dump::{Condition, Side, Test};
use crate::net::{Family, PortSet, Protocol, RangeSet};
use crate::policy::{Addresses, Entry, Role, Server, Transport};
use crate::proof::way::Path;
use crate::ruleset::Leg;

impl Reader<'_> {
    /// The packets of a leg by what decides tracking: protocol, the server's address and port, a client's local ports.
    pub(super) fn flow(&self, entry: &Entry, server: &Server, leg: Leg) -> Vec<Condition> {
        let (server_side, peer_side) = sides(leg);
        let mut list = vec![protocol(server.transport.protocol())];
        list.extend(self.among(server_side, server.addresses));
        if !server.transport.exists_in(Family::V6) {
            list.push(Condition::is(Test::Family(Family::V4)));
        }
        if let Transport::Ports(_, ports) = &server.transport {
            list.push(Condition::is(Test::Port(server_side, numbers(ports))));
            if let Role::Client { local_ports } = &entry.role {
                list.push(Condition::is(Test::Port(peer_side, numbers(local_ports))));
            }
        }
        list
    }
}

pub(super) fn protocol(protocol: Protocol) -> Condition {
    Condition::is(Test::Protocol(RangeSet::single(protocol.number())))
}

/// The path of a leg.
pub(super) fn passes(role: &Role, leg: Leg) -> Path {
    match (role, leg) {
        (Role::Service { .. }, Leg::Request) | (Role::Client { .. }, Leg::Reply) => Path::In,
        (Role::Service { .. }, Leg::Reply) | (Role::Client { .. }, Leg::Request) => Path::Out,
        (Role::Forward { .. }, _) => Path::Forward,
    }
}

/// The server's side and the peer's.
pub(super) fn sides(leg: Leg) -> (Side, Side) {
    match leg {
        Leg::Request => (Side::Destination, Side::Source),
        Leg::Reply => (Side::Source, Side::Destination),
    }
}

pub(super) fn is_host(server: &Server) -> bool {
    matches!(server.addresses, Addresses::Range(range) if range.as_host().is_some())
}

pub(super) fn numbers(ports: &PortSet) -> RangeSet<u16> {
    RangeSet::from_ranges(ports.ranges().iter().copied())
}
