//! FWC401: an apply that would lock somebody out.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::lockout;
use crate::kernel::host::{LocalAddress, SshConnection};
use crate::kernel::sockets::{Connection, Listener, Sockets};
use crate::net::{AddrRange, Interface, PacketHeader, Protocol, TcpFlags};
use crate::packet::{Packet, evaluate};
use crate::policy::{Addresses, Role, Transport};
use crate::ruleset::Hook;
use crate::spec::{Direction, Fate};

/// A connection over which somebody works on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    /// Whether fwc was typed in it.
    pub(crate) own: bool,
    pub(crate) ssh: bool,
}

/// Every session: the one that the environment names, those that ancestors of fwc hold, and all that are established at a port of the ssh server.
pub(crate) fn sessions(named: Option<SshConnection>, sockets: &Sockets, listeners: &[Listener]) -> Vec<Session> {
    let tcp =
        |port: u16| listeners.iter().filter(move |one| one.protocol == Protocol::TCP && one.address.port() == port);
    let is_ssh = |port: u16| tcp(port).any(|listener| listener.ssh);
    let mut found: Vec<Session> = Vec::new();
    let mut add = |session: Session| {
        if !found.iter().any(|known| (known.client, known.server) == (session.client, session.server)) {
            found.push(session);
        }
    };
    named.into_iter().for_each(|ssh| add(Session { client: ssh.client, server: ssh.server, own: true, ssh: true }));
    let session = |connection: Connection, own: bool| {
        let Connection { local, peer, .. } = connection;
        Session { client: peer, server: local, own, ssh: is_ssh(local.port()) }
    };
    // What an ancestor has opened itself is no way in.
    let came_in = |connection: &Connection| tcp(connection.local.port()).next().is_some();
    sockets.connections_of_ancestors().filter(came_in).for_each(|one| add(session(one, true)));
    let at_ssh = |one: &Connection| one.protocol == Protocol::TCP && is_ssh(one.local.port());
    sockets.connections().filter(at_ssh).for_each(|one| add(session(one, false)));
    found
}

/// The sessions that the rules would end: the own one by itself, those of others by port and reason.
pub(crate) fn cut(compiled: &Compiled, sessions: &[Session], local: &[LocalAddress]) -> Vec<Diagnostic> {
    let place = compiled.beside_services();
    let mut found = Vec::new();
    let mut others: BTreeMap<(u16, Reason), Vec<String>> = BTreeMap::new();
    for session in sessions {
        let Some(reason) = ends(compiled, session, local) else { continue };
        let (client, server) = (session.client.to_string(), session.server.to_string());
        if !session.own {
            others.entry((session.server.port(), reason)).or_default().push(client);
        } else if reason == Reason::Blocked {
            found.push(lockout::blocked(&client, &server, place));
        } else {
            found.push(lockout::session(session.ssh, (&client, &server), session.server.port(), reason.words(), place));
        }
    }
    for ((port, reason), clients) in others {
        found.push(lockout::others(&clients, port, reason.words(), reason == Reason::Blocked, place));
    }
    found
}

/// Why a session would end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Blocked,
    Mute,
    Refused,
}

impl Reason {
    fn words(self) -> &'static str {
        match self {
            Reason::Blocked => "its source is in `block`",
            Reason::Mute => "no entry accepts its replies, and `policy.output` is drop",
            Reason::Refused => "no entry accepts it, and `policy.input` is drop",
        }
    }
}

/// Whether the rules would end a session.
fn ends(compiled: &Compiled, session: &Session, local: &[LocalAddress]) -> Option<Reason> {
    let (client, server) = (session.client, session.server);
    let header = PacketHeader::Tcp(client.port(), server.port(), TcpFlags::SYN);
    let interface = interface(client.ip(), server.ip(), local);
    let packet = Packet::opening((client, server), header, Direction::In, interface);
    // A session that conntrack has not seen begin is new to it, so what holds for a first packet holds for the session.
    packet.with_answer().iter().find_map(|packet| {
        let journey = evaluate(compiled.ruleset(), packet);
        (journey.fate == Fate::Drop).then(|| match journey.steps.last().map(|step| step.hook) {
            Some(Hook::RawPrerouting) => Reason::Blocked,
            Some(Hook::Output) => Reason::Mute,
            _ => Reason::Refused,
        })
    })
}

/// The interface with this host's address is where a peer comes in, unless the host routes oddly. An address that sits on lo (anycast, load
/// balancers) is reached from outside all the same.
pub(super) fn interface(peer: IpAddr, own: IpAddr, local: &[LocalAddress]) -> Option<Interface> {
    let from_here = peer.is_loopback() || local.iter().any(|local| local.address == peer);
    let owner = local.iter().find(|local| local.address == own && (from_here || local.interface != "lo"));
    owner.and_then(|local| local.interface.parse().ok())
}

/// Whether what has no entry is reached all the same.
pub(super) fn reaches_all(compiled: &Compiled) -> bool {
    // Replies of what has no entry need `output: accept` or tracking.
    let answers = compiled.policy.output == Fate::Accept || compiled.policy.tracks;
    compiled.policy.input == Fate::Accept && answers
}

/// The ports on which sshd listens without an entry.
pub(crate) fn listeners(compiled: &Compiled, listeners: &[Listener]) -> Vec<Diagnostic> {
    if reaches_all(compiled) {
        return Vec::new();
    }
    let mut ports: Vec<u16> = Vec::new();
    let mut found = Vec::new();
    for listener in listeners {
        let (address, port) = (listener.address.ip(), listener.address.port());
        if !listener.ssh
            || address.is_loopback()
            || ports.contains(&port)
            || has_entry(compiled, Protocol::TCP, address, port)
        {
            continue;
        }
        ports.push(port);
        let process = listener.process.as_ref().map_or("somebody", |process| process.name.as_str());
        found.push(lockout::listener(process, &listener.address.to_string(), port, compiled.beside_services()));
    }
    found
}

/// Whether a service speaks of the port, on an address that the listener has.
pub(super) fn has_entry(compiled: &Compiled, protocol: Protocol, address: IpAddr, port: u16) -> bool {
    let listening = if address.is_unspecified() { Addresses::Any } else { Addresses::Range(AddrRange::host(address)) };
    let services = compiled.policy.entries.iter().filter(|entry| matches!(entry.role, Role::Service { .. }));
    services.flat_map(|entry| &entry.servers).any(|server| {
        let meets =
            matches!(&server.transport, Transport::Ports(one, ports) if *one == protocol && ports.contains(port));
        meets && compiled.policy.sets.overlap(server.addresses, listening)
    })
}
