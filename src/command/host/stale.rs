//! Entries that the conntrack table holds of flows that are no longer tracked. They would stay for days; the connections go on without them.

use std::collections::HashSet;
use std::net::IpAddr;

use super::kernel_failure;
use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::kernel::conntrack::{self, Entry, Flow};
use crate::kernel::host::{self, local_addresses};
use crate::kernel::socket::Socket;
use crate::net::{PacketHeader, Protocol, TcpFlags};
use crate::packet::{Fragment, Packet, Untracked};
use crate::spec::{Direction, State};

/// Deletes them, and only them, and gives their number.
pub(crate) fn delete(compiled: &Compiled, socket: &mut Socket) -> Result<usize, Diagnostic> {
    let is_empty = host::conntrack().is_some_and(|table| table.count == 0);
    if is_empty || !compiled.policy.has_stateless() {
        return Ok(0);
    }
    let local: HashSet<IpAddr> = local_addresses().into_iter().map(|local| local.address).collect();
    let untracked = Untracked::of(compiled.ruleset());
    let is_stale = |entry: &Entry<'_>| packet(&entry.flow, &local).is_some_and(|packet| untracked.covers(&packet));
    conntrack::delete(socket, is_stale).map_err(|error| kernel_failure(&error))
}

/// The first packet of a flow.
fn packet(flow: &Flow, local: &HashSet<IpAddr>) -> Option<Packet> {
    let header = match (Protocol::numbered(flow.protocol)?, flow.ports) {
        (Protocol::TCP, Some((from, to))) => PacketHeader::Tcp(from, to, TcpFlags::SYN),
        (protocol, Some((from, to))) if protocol.has_ports() => PacketHeader::Ports(protocol, from, to),
        (protocol, _) => PacketHeader::Plain(protocol),
    };
    let is_local = |address: IpAddr| address.is_loopback() || local.contains(&address);
    let (direction, interface) = match (is_local(flow.source), is_local(flow.destination)) {
        (true, true) => (Direction::Out, "lo".parse().ok()),
        (true, false) => (Direction::Out, None),
        (false, true) => (Direction::In, None),
        (false, false) => (Direction::Forward, None),
    };
    Some(Packet {
        source: flow.source,
        destination: flow.destination,
        header,
        fragment: Fragment::Whole,
        direction,
        interface,
        state: State::Established,
        translated_from: None,
    })
}
