//! FWC405 and FWC408: services that listen and are in no entry, and open connections that the rules would end.

use std::collections::HashSet;
use std::net::SocketAddr;

use super::lockout::{has_entry, interface, reaches_all};
use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{connections_cut, unspoken_services};
use crate::kernel::conntrack;
use crate::kernel::host::{self, LocalAddress};
use crate::kernel::socket::Socket;
use crate::kernel::sockets::{Connection, Listener, Sockets};
use crate::net::{PacketHeader, Protocol, TcpFlags};
use crate::packet::{Packet, evaluate};
use crate::policy::TranslationKind;
use crate::spec::{Direction, Fate};

/// What listens for other hosts and is in no entry, in one warning. sshd is not among them: see FWC401.
pub(crate) fn unspoken(compiled: &Compiled, listeners: &[Listener]) -> Option<Diagnostic> {
    if reaches_all(compiled) {
        return None;
    }
    let ephemeral = host::local_ports();
    // DHCP is accepted without being asked for. A UDP socket with a client's port is a client.
    let is_service = |one: &&Listener| match one.protocol {
        Protocol::UDP => {
            let port = one.address.port();
            !matches!(port, 68 | 546) && !(ephemeral.0..=ephemeral.1).contains(&port)
        }
        _ => !one.ssh,
    };
    let mut found: Vec<String> = listeners
        .iter()
        .filter(is_service)
        .filter(|one| !one.address.ip().is_loopback())
        .filter(|one| {
            let (address, port) = (one.address.ip(), one.address.port());
            !has_entry(compiled, one.protocol, address, port) && !is_redirected_to(compiled, one.protocol, port)
        })
        .map(|one| {
            let name = one.process.as_ref().map_or("somebody", |process| process.name.as_str());
            format!("{name} on {}/{}", one.address, one.protocol)
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    (!found.is_empty()).then(|| unspoken_services::report(&found, compiled.beside_services()))
}

/// Whether a redirect of the spec leads to the port: it admits what it translates.
fn is_redirected_to(compiled: &Compiled, protocol: Protocol, to: u16) -> bool {
    compiled.policy.nat.iter().any(|item| match &item.kind {
        TranslationKind::Redirect { listen, port } => {
            *port == to && listen.iter().any(|server| server.transport.protocol() == protocol)
        }
        _ => false,
    })
}

/// How many times a packet may be held against a rule: an apply must not stand still for a host's many connections.
const EFFORT: usize = 20_000_000;

/// Connections other than ssh that the rules would end, in one warning.
pub(crate) fn cut(
    compiled: &Compiled,
    socket: &mut Socket,
    sockets: &Sockets,
    listeners: &[Listener],
    local: &[LocalAddress],
) -> Option<Diagnostic> {
    let ssh = |one: &Connection| {
        let at_ssh = |listener: &&Listener| listener.ssh && listener.address.port() == one.local.port();
        one.protocol == Protocol::TCP && listeners.iter().any(|listener| at_ssh(&listener))
    };
    let abroad = |one: &Connection| !one.local.ip().is_loopback() && !one.peer.ip().is_loopback() && !ssh(one);
    let listening: HashSet<(Protocol, u16)> =
        listeners.iter().map(|listener| (listener.protocol, listener.address.port())).collect();
    let mut all = sockets.connections().filter(abroad).peekable();
    // Without connections the rules need not be made.
    all.peek()?;
    let rules: usize = compiled.ruleset().chains.iter().map(|chain| chain.rules.len()).sum();
    let most = EFFORT / rules.max(1);
    let doomed: Vec<(Connection, bool)> = all
        .by_ref()
        .take(most)
        .map(|one| (one, listening.contains(&(one.protocol, one.local.port()))))
        .filter(|(one, serves)| ends(compiled, one, *serves, local))
        .collect();
    let more = all.next().is_some();
    let (servers, clients): (Vec<_>, Vec<_>) =
        survivors_removed(compiled, socket, doomed).into_iter().partition(|one| one.1);
    let example = servers.first().or(clients.first()).map(|(one, serves)| words(one, *serves))?;
    Some(connections_cut::report(servers.len(), clients.len(), more, &example, compiled.beside_services()))
}

fn words(one: &Connection, serves: bool) -> String {
    let Connection { protocol, local, peer } = one;
    if serves { format!("{protocol} from {peer} to {local}") } else { format!("{protocol} from {local} to {peer}") }
}

/// Whether the rules drop a connection that conntrack does not know.
fn ends(compiled: &Compiled, one: &Connection, serves: bool, local: &[LocalAddress]) -> bool {
    let interface = interface(one.peer.ip(), one.local.ip(), local);
    let (from, to, direction) =
        if serves { (one.peer, one.local, Direction::In) } else { (one.local, one.peer, Direction::Out) };
    let header = if one.protocol == Protocol::TCP {
        PacketHeader::Tcp(from.port(), to.port(), TcpFlags::SYN)
    } else {
        PacketHeader::Ports(one.protocol, from.port(), to.port())
    };
    let packet = Packet::opening((from, to), header, direction, interface);
    packet.with_answer().iter().any(|packet| evaluate(compiled.ruleset(), packet).fate == Fate::Drop)
}

/// Without those that conntrack knows, as far as the rules let known connections pass. The table is read only if there is somebody to ask about.
fn survivors_removed(
    compiled: &Compiled,
    socket: &mut Socket,
    doomed: Vec<(Connection, bool)>,
) -> Vec<(Connection, bool)> {
    let holds_some = host::conntrack().is_some_and(|table| table.count > 0);
    if doomed.is_empty() || !compiled.policy.tracks || !holds_some {
        return doomed;
    }
    let ends_of = |one: &Connection, serves: bool| -> (u8, SocketAddr, SocketAddr) {
        let (from, to) = if serves { (one.peer, one.local) } else { (one.local, one.peer) };
        (one.protocol.number(), from, to)
    };
    let asked: HashSet<_> = doomed.iter().map(|(one, serves)| ends_of(one, *serves)).collect();
    let known = conntrack::each(socket, HashSet::new, |known, entry| {
        let flow = &entry.flow;
        if let Some((from, to)) = flow.ports {
            let ends = (flow.protocol, SocketAddr::new(flow.source, from), SocketAddr::new(flow.destination, to));
            if asked.contains(&ends) {
                known.insert(ends);
            }
        }
        Ok(())
    });
    let known = known.unwrap_or_default();
    doomed.into_iter().filter(|(one, serves)| !known.contains(&ends_of(one, *serves))).collect()
}
