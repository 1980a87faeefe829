//! Facts about the host that decide whether loading is safe: who listens, who is logged in over ssh, which addresses are
//! local, how full the conntrack table is.
//!
//! Everything is read for the network namespace of the calling thread. What cannot be read is absent, never an error:
//! these facts only make checks possible.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use procfs::net::{TcpNetEntries, TcpState};
use procfs::process::{FDTarget, Process, all_processes};
use procfs::{Current, FromReadSI, Meminfo, current_system_info};

/// A TCP socket that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where. The unspecified address is every address; the one of IPv6 mostly covers IPv4 too.
    pub address: SocketAddr,
    /// Who, as far as it could be found out: processes of others are visible to root only.
    pub process: Option<ProcessName>,
    /// Whether it is the way in over ssh.
    pub ssh: bool,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessName {
    /// Its id.
    pub id: i32,
    /// Its name, at most 15 bytes, as in `sshd`.
    pub name: String,
}

/// The listening TCP sockets of this network namespace.
#[must_use]
pub fn listeners() -> Vec<Listener> {
    let mut sockets: Vec<(SocketAddr, u64)> = Vec::new();
    for file in ["tcp", "tcp6"] {
        let entries = TcpNetEntries::from_file(format!("/proc/thread-self/net/{file}"), current_system_info());
        let listening = entries.map(|entries| entries.0).unwrap_or_default().into_iter();
        let listening = listening.filter(|entry| entry.state == TcpState::Listen);
        sockets.extend(listening.map(|entry| (canonical(entry.local_address), entry.inode)));
    }
    let owners = owners(&sockets);
    let by_systemd = ports_of_ssh_socket();
    let listener = |(address, inode): (SocketAddr, u64)| {
        let owner = owners.get(&inode);
        let ssh = match owner {
            Some(owner) if owner.name.name == "systemd" => by_systemd.contains(&address.port()),
            Some(owner) => owner.is_ssh_server,
            None => address.port() == 22,
        };
        Listener { address, process: owner.map(|owner| owner.name.clone()), ssh }
    };
    sockets.into_iter().map(listener).collect()
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

struct Owner {
    name: ProcessName,
    is_ssh_server: bool,
}

/// The processes that hold these sockets, by the sockets' inodes. The process with the lowest id wins: it is the parent.
fn owners(sockets: &[(SocketAddr, u64)]) -> HashMap<u64, Owner> {
    let mut owners: HashMap<u64, Owner> = HashMap::new();
    let wanted: std::collections::HashSet<u64> = sockets.iter().map(|socket| socket.1).collect();
    if wanted.is_empty() {
        return owners;
    }
    // A process may end at any time, and its files may be hidden.
    for process in all_processes().into_iter().flatten().flatten() {
        for descriptor in process.fd().into_iter().flatten().flatten() {
            let FDTarget::Socket(inode) = descriptor.target else { continue };
            if !wanted.contains(&inode) || owners.get(&inode).is_some_and(|owner| owner.name.id <= process.pid) {
                continue;
            }
            let Ok(stat) = process.stat() else { break };
            let is_ssh_server = is_ssh_server(&stat.comm, &process.cmdline().unwrap_or_default().join(" "));
            owners.insert(inode, Owner { name: ProcessName { id: process.pid, name: stat.comm }, is_ssh_server });
        }
    }
    owners
}

/// Whether a process is the ssh server that waits for logins. A session of it may listen too, for forwarded ports; its
/// title reads `sshd: user@pts/0`, and newer ones are called `sshd-session`.
fn is_ssh_server(name: &str, title: &str) -> bool {
    match name {
        "sshd" => !(title.starts_with("sshd: ") && title.contains('@')),
        "dropbear" => true,
        _ => false,
    }
}

/// The ports of systemd's `ssh.socket` and `sshd.socket`, for which systemd itself listens; 22 where none is written.
fn ports_of_ssh_socket() -> Vec<u16> {
    let mut ports = Vec::new();
    for folder in [
        "/etc/systemd/system",
        "/run/systemd/system",
        "/run/systemd/generator",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    ] {
        for unit in ["ssh.socket", "sshd.socket"] {
            let unit = format!("{folder}/{unit}");
            let drop_ins = fs::read_dir(format!("{unit}.d")).into_iter().flatten().flatten().map(|entry| entry.path());
            for path in drop_ins.chain([unit.into()]) {
                ports.extend(listen_ports(&fs::read_to_string(path).unwrap_or_default()));
            }
        }
    }
    if ports.is_empty() { vec![22] } else { ports }
}

/// The ports in the `ListenStream=` lines of a unit.
fn listen_ports(unit: &str) -> impl Iterator<Item = u16> + '_ {
    let values = unit.lines().filter_map(|line| line.trim().strip_prefix("ListenStream="));
    values.filter_map(|value| value.trim().rsplit(':').next()?.parse().ok())
}

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

/// The host's memory in bytes (`MemTotal`).
#[must_use]
pub fn memory() -> Option<u64> {
    Meminfo::current().ok().map(|memory| memory.mem_total)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn sessions_are_not_the_server() {
        assert!(is_ssh_server("sshd", "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"));
        assert!(is_ssh_server("sshd", "/usr/sbin/sshd -D"));
        assert!(!is_ssh_server("sshd", "sshd: admin@pts/0"));
        assert!(!is_ssh_server("sshd-session", "sshd-session: admin@pts/0"));
        assert!(!is_ssh_server("nginx", "nginx: master process"));
    }

    #[test]
    fn ports_of_a_unit() {
        let unit = "[Socket]\nListenStream=\nListenStream=22\nListenStream=[::]:2222\nListenStream=/run/x\nAccept=no\n";
        assert_eq!(listen_ports(unit).collect::<Vec<_>>(), [22, 2222]);
    }
}
