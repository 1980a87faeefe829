//! The two legs of an entry's flows.
//!
//! What decides tracking is the same in both directions: the request leg has the server's endpoint as its destination, the reply leg as its
//! source, and a client's `local_ports` stand on the other side. So the legs are untracked together by construction.

use crate::net::{Family, Interfaces, PortSet};
use crate::policy::{Addresses, Entry, EntryId, Role, Server, Transport};
use crate::ruleset::{Leg, Locality, Match, Origin, Payload, StateMatch};

/// The leg's packets by endpoint and local ports alone: what decides tracking.
pub(super) fn by_endpoint(entry: &Entry, server: &Server, leg: Leg, locality: Locality) -> Match {
    let (source, destination) = sides(leg, server.addresses, Addresses::Any);
    Match {
        family: family(server),
        interfaces: Interfaces::default(),
        source,
        destination,
        locality,
        payload: payload(entry, server, leg, false),
        state: StateMatch::Any,
    }
}

/// The leg's packets that are accepted: from or towards `from`, requests on the entry's interfaces, replies with the flag guard.
pub(super) fn accepted(entry: &Entry, server: &Server, leg: Leg, state: StateMatch) -> Match {
    let peers = match &entry.role {
        Role::Service { from, .. } | Role::Forward { from } => *from,
        Role::Client { .. } => Addresses::Any,
    };
    let interfaces = match (&entry.role, leg) {
        (Role::Service { interfaces, .. }, Leg::Request) => interfaces.clone(),
        _ => Interfaces::default(),
    };
    let (source, destination) = sides(leg, server.addresses, peers);
    let payload = payload(entry, server, leg, leg == Leg::Reply);
    Match { family: family(server), interfaces, source, destination, locality: Locality::Anywhere, payload, state }
}

/// Source and destination of a leg's packets.
fn sides<T>(leg: Leg, server: T, peer: T) -> (T, T) {
    match leg {
        Leg::Request => (peer, server),
        Leg::Reply => (server, peer),
    }
}

/// The only family in which the protocol can be matched, if it is not both.
fn family(server: &Server) -> Option<Family> {
    (!server.transport.exists_in(Family::V6)).then_some(Family::V4)
}

fn payload(entry: &Entry, server: &Server, leg: Leg, guarded: bool) -> Payload {
    let (protocol, ports) = match &server.transport {
        Transport::Plain(protocol) => return Payload::Protocol(*protocol),
        Transport::Ports(protocol, ports) => (*protocol, Some(ports.clone())),
    };
    let local: Option<PortSet> = match &entry.role {
        Role::Client { local_ports } => Some(local_ports.clone()),
        Role::Service { .. } | Role::Forward { .. } => None,
    };
    let (source, destination) = sides(leg, ports, local);
    Payload::Ports { protocol, source, destination, guarded }
}

/// Why the rule is there.
pub(super) fn origin(id: EntryId, server: &Server, leg: Leg) -> Origin {
    Origin::Entry(id, leg, server.place)
}
