//! Sockets from the files in /proc, for kernels that do not tell them over netlink. To write them the kernel looks through its whole table of
//! connections several times.

use std::net::SocketAddr;

use procfs::net::{TcpNetEntries, TcpState, UdpNetEntries};
use procfs::{FromReadSI, current_system_info};

use super::{ByFamily, Entry, Wanted};
use crate::net::Protocol;

/// The sockets of a protocol, TCP or UDP.
pub(super) fn read(protocol: Protocol, wanted: Wanted) -> ByFamily {
    match protocol {
        Protocol::TCP => ByFamily { v4: tcp("tcp", wanted), v6: tcp("tcp6", wanted) },
        _ => ByFamily { v4: udp("udp", wanted), v6: udp("udp6", wanted) },
    }
}

fn tcp(file: &str, wanted: Wanted) -> Vec<Entry> {
    let entries = TcpNetEntries::from_file(path(file), current_system_info());
    let entries = entries.into_iter().flat_map(|entries| entries.0).map(|entry| Entry {
        protocol: Protocol::TCP,
        local: canonical(entry.local_address),
        peer: canonical(entry.remote_address),
        listens: entry.state == TcpState::Listen,
        is_established: entry.state == TcpState::Established,
        inode: entry.inode,
    });
    entries.filter(|entry| wanted.has(entry)).collect()
}

fn udp(file: &str, wanted: Wanted) -> Vec<Entry> {
    let entries = UdpNetEntries::from_file(path(file), current_system_info());
    let entries = entries.into_iter().flat_map(|entries| entries.0).map(|entry| Entry {
        protocol: Protocol::UDP,
        local: canonical(entry.local_address),
        peer: canonical(entry.remote_address),
        listens: false,
        is_established: false,
        inode: entry.inode,
    });
    entries.filter(|entry| wanted.has(entry)).collect()
}

fn path(file: &str) -> String {
    format!("/proc/thread-self/net/{file}")
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
