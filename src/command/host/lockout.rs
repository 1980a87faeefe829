//! FWC401: an apply that would lock somebody out.

use std::net::IpAddr;

use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::lockout;
use crate::kernel::host::{LocalAddress, SshConnection};
use crate::kernel::sockets::Listener;
use crate::net::{AddrRange, Interface, PacketHeader, TcpFlags};
use crate::packet::{Fragment, Packet, evaluate};
use crate::policy::{Addresses, Role, Transport};
use crate::ruleset::Hook;
use crate::spec::{Direction, Fate, State};

/// The session that fwc runs in, if the rules would end it.
pub(crate) fn session(compiled: &Compiled, ssh: &SshConnection, local: &[LocalAddress]) -> Option<Diagnostic> {
    // The interface with the server's address is where the session comes in, unless the host routes oddly. An address that
    // sits on lo (anycast, load balancers) is reached from outside all the same.
    let from_here = ssh.client.ip().is_loopback() || local.iter().any(|local| local.address == ssh.client.ip());
    let owner = local.iter().find(|local| local.address == ssh.server.ip() && (from_here || local.interface != "lo"));
    let interface: Option<Interface> = owner.and_then(|local| local.interface.parse().ok());
    let packet = Packet {
        source: ssh.client.ip(),
        destination: ssh.server.ip(),
        header: PacketHeader::Tcp(ssh.client.port(), ssh.server.port(), TcpFlags::SYN),
        fragment: Fragment::Whole,
        direction: Direction::In,
        interface,
        state: State::New,
        translated_from: None,
    };
    // A session that conntrack has not seen begin is new to it, so what holds for a first packet holds for the session.
    [packet.clone(), packet.mirrored()].iter().find_map(|packet| {
        let journey = evaluate(compiled.ruleset(), packet);
        (journey.fate == Fate::Drop).then(|| {
            let last = journey.steps.last();
            let (client, server) = (ssh.client.to_string(), ssh.server.to_string());
            let decided = match last.map(|step| step.hook) {
                Some(Hook::RawPrerouting) => return lockout::blocked(&client, &server, compiled.beside_services()),
                Some(Hook::Output) => "no entry accepts its replies, and `policy.output` is drop",
                _ => "no entry accepts it, and `policy.input` is drop",
            };
            lockout::session(&client, &server, ssh.server.port(), decided, compiled.beside_services())
        })
    })
}

/// The ports on which sshd listens without an entry.
pub(crate) fn listeners(compiled: &Compiled, listeners: &[Listener]) -> Vec<Diagnostic> {
    // Replies of what has no entry need `output: accept` or tracking.
    let answers = compiled.policy.output == Fate::Accept || compiled.policy.tracks;
    if compiled.policy.input == Fate::Accept && answers {
        return Vec::new();
    }
    let mut ports: Vec<u16> = Vec::new();
    let mut found = Vec::new();
    for listener in listeners {
        let (address, port) = (listener.address.ip(), listener.address.port());
        if !listener.ssh || address.is_loopback() || ports.contains(&port) || has_entry(compiled, address, port) {
            continue;
        }
        ports.push(port);
        let process = listener.process.as_ref().map_or("somebody", |process| process.name.as_str());
        found.push(lockout::listener(process, &listener.address.to_string(), port, compiled.beside_services()));
    }
    found
}

/// Whether a service speaks of the port, on an address that the listener has.
fn has_entry(compiled: &Compiled, address: IpAddr, port: u16) -> bool {
    let listening = if address.is_unspecified() { Addresses::Any } else { Addresses::Range(AddrRange::host(address)) };
    let services = compiled.policy.entries.iter().filter(|entry| matches!(entry.role, Role::Service { .. }));
    services.flat_map(|entry| &entry.servers).any(|server| {
        let tcp =
            matches!(&server.transport, Transport::Ports(crate::net::Protocol::TCP, ports) if ports.contains(port));
        tcp && compiled.policy.sets.overlap(server.addresses, listening)
    })
}
