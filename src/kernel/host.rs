//! Facts about the host that decide whether loading is safe: who is logged in over ssh, which addresses are local, how full
//! the conntrack table is.
//!
//! Everything is read for the network namespace of the calling thread. What cannot be read is absent, never an error:
//! these facts only make checks possible.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use procfs::process::Process;
use procfs::{Current, Meminfo};

/// The connection over which somebody is logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SshConnection {
    /// The other end.
    pub client: SocketAddr,
    /// This host's end.
    pub server: SocketAddr,
}

impl SshConnection {
    /// The connection of this process, from its environment or, as sudo strips that, from the nearest ancestor's that
    /// has it.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        if let Some(text) = std::env::var_os("SSH_CONNECTION") {
            return Self::parse(text.to_str()?);
        }
        let mut process = Process::myself().ok()?;
        // Process ids of ancestors are finite, but a process may be replaced while it is looked at.
        for _ in 0..64 {
            process = Process::new(process.stat().ok()?.ppid).ok()?;
            let environment = process.environ().unwrap_or_default();
            if let Some(text) = environment.get(std::ffi::OsStr::new("SSH_CONNECTION")) {
                return Self::parse(text.to_str()?);
            }
        }
        None
    }

    /// From the text that sshd puts into the environment: client address, client port, server address, server port.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let mut end = || {
            // A link-local address names its interface behind a percent sign.
            let address: IpAddr = words.next()?.split('%').next()?.parse().ok()?;
            Some(SocketAddr::new(address.to_canonical(), words.next()?.parse().ok()?))
        };
        Some(SshConnection { client: end()?, server: end()? })
    }
}

/// An address of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddress {
    /// The interface that has it.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
}

/// The addresses of this network namespace's interfaces.
#[must_use]
pub fn local_addresses() -> Vec<LocalAddress> {
    let mut found = Vec::new();
    for interface in getifaddrs().into_iter().flatten() {
        let Some(address) = interface.address else { continue };
        let address = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => IpAddr::from(v4.ip()),
            (_, Some(v6)) => IpAddr::from(v6.ip()),
            _ => continue,
        };
        found.push(LocalAddress { interface: interface.interface_name, address });
    }
    found
}

/// The conntrack table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConntrackTable {
    /// Entries of this network namespace.
    pub count: u64,
    /// The most entries that any one namespace may have.
    pub max: u64,
    /// Buckets of the hash table, which all namespaces share.
    pub buckets: u64,
}

/// The conntrack table's figures; none where the kernel module is not loaded.
#[must_use]
pub fn conntrack() -> Option<ConntrackTable> {
    let read = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/netfilter/nf_conntrack_{name}")).ok()?;
        text.trim().parse().ok()
    };
    Some(ConntrackTable { count: read("count")?, max: read("max")?, buckets: read("buckets")? })
}

/// The ports from which Linux takes those of clients, first and last, unless the host says otherwise.
const LOCAL_PORTS: (u16, u16) = (32768, 60999);

/// The ports from which this network namespace takes those of clients, first and last.
#[must_use]
pub fn local_ports() -> (u16, u16) {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ports = text.split_ascii_whitespace().map_while(|word| word.parse().ok());
    ports.next().zip(ports.next()).unwrap_or(LOCAL_PORTS)
}

/// The host's memory in bytes (`MemTotal`).
#[must_use]
pub fn memory() -> Option<u64> {
    Meminfo::current().ok().map(|memory| memory.mem_total)
}

/// How many processors the kernel may have: it keeps the counters for each of them. One where it does not say.
#[must_use]
pub fn processors() -> u64 {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    count(list.trim()).unwrap_or(1)
}

/// How many numbers a list such as `0-3,8` has.
fn count(list: &str) -> Option<u64> {
    let one = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        last.parse::<u64>().ok()?.checked_sub(first.parse().ok()?)?.checked_add(1)
    };
    list.split(',').map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_counted() {
        assert_eq!(["0", "0-3", "0-3,8,10-11", "", "3-1"].map(count), [Some(1), Some(4), Some(7), None, None]);
        assert!(processors() >= 1);
    }

    #[test]
    fn ssh_connections_are_read_in_both_families() {
        let read = |text| SshConnection::parse(text).map(|c| (c.client.to_string(), c.server.to_string()));
        let both = |client: &str, server: &str| Some((client.to_string(), server.to_string()));
        assert_eq!(read("198.51.100.7 50022 203.0.113.5 22"), both("198.51.100.7:50022", "203.0.113.5:22"));
        assert_eq!(read("fe80::1%eth0 50022 fe80::2%eth0 2222"), both("[fe80::1]:50022", "[fe80::2]:2222"));
        assert_eq!(read("::ffff:198.51.100.7 1 ::ffff:203.0.113.5 22"), both("198.51.100.7:1", "203.0.113.5:22"));
        for text in ["", "198.51.100.7", "198.51.100.7 99999 203.0.113.5 22", "a b c d"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
