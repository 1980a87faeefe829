//! The two legs of an entry's flows.
//!
//! What decides tracking is the same in both directions: the request leg has the server's endpoint as its destination, the reply leg as its
//! source, and a client's `local_ports` stand on the other side. So the legs are untracked together by construction.

use crate::net::{Family, Interfaces, PortSet};
use crate::policy::{Addresses, Entry, EntryId, Role, Server, Transport};
use crate::ruleset::{Leg, Match, Origin, Payload};

/// The leg's packets by endpoint and local ports alone: what decides tracking.
pub(super) fn by_endpoint(entry: &Entry, server: &Server, leg: Leg) -> Match {
    let payload = payload(entry, server, leg, false);
    let family = family(server);
    match leg {
        Leg::Request => Match { family, destination: server.addresses, payload, ..Match::default() },
        Leg::Reply => Match { family, source: server.addresses, payload, ..Match::default() },
    }
}

/// The leg's packets that are accepted: from or towards `from`, requests on the entry's interfaces, replies with the flag guard.
pub(super) fn accepted(entry: &Entry, server: &Server, leg: Leg) -> Match {
    let peers = match &entry.role {
        Role::Service { from, .. } | Role::Forward { from } => *from,
        Role::Client { .. } => Addresses::Any,
    };
    let payload = payload(entry, server, leg, leg == Leg::Reply);
    let family = family(server);
    match leg {
        Leg::Request => {
            let interfaces = match &entry.role {
                Role::Service { interfaces, .. } => interfaces.clone(),
                Role::Client { .. } | Role::Forward { .. } => Interfaces::default(),
            };
            Match { family, interfaces, source: peers, destination: server.addresses, payload, ..Match::default() }
        }
        Leg::Reply => Match { family, source: server.addresses, destination: peers, payload, ..Match::default() },
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
    let (source, destination) = match leg {
        Leg::Request => (local, ports),
        Leg::Reply => (ports, local),
    };
    Payload::Ports { protocol, source, destination, guarded }
}

/// Why the rule is there.
pub(super) fn origin(id: EntryId, server: &Server, leg: Leg) -> Origin {
    Origin::Entry(id, leg, server.place)
}
