//! The sockets of the network namespace of the calling thread: who listens, and what is connected.
//!
//! What cannot be read is absent, never an error: these facts only make checks possible.

mod diag;
mod proc;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::SocketAddr;

use mnl::Bus;
use procfs::process::{Process, all_processes};

use super::socket::Socket;
use crate::net::Protocol;

/// A socket that waits for clients: TCP that listens, UDP without a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// TCP or UDP.
    pub protocol: Protocol,
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

/// An established TCP connection, or a UDP socket with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// This host's end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
}

/// All sockets that wait or are connected, as they were at one moment. There are many on a busy host: they are read once.
#[derive(Debug)]
pub struct Sockets(Vec<ByFamily>);

/// The sockets that wait for clients. Where nobody asks for connections the kernel need not look through all of them.
#[must_use]
pub fn listeners() -> Vec<Listener> {
    Sockets::ask(Socket::on(Bus::SockDiag).ok(), Wanted::Waiting).listeners()
}

impl Sockets {
    /// Reads them.
    #[must_use]
    pub fn read() -> Self {
        Self::through(Socket::on(Bus::SockDiag).ok())
    }

    /// Reads them through a socket to `NETLINK_SOCK_DIAG`. A protocol about which it tells nothing, as in a kernel without `inet_diag` or its part for the
    /// protocol, is read from the files in /proc.
    #[must_use]
    pub fn through(socket: Option<Socket>) -> Self {
        Self::ask(socket, Wanted::All)
    }

    fn ask(mut socket: Option<Socket>, wanted: Wanted) -> Self {
        let mut read = |protocol| {
            let answer = socket.as_mut().and_then(|socket| diag::read(socket, protocol, wanted).ok());
            answer.unwrap_or_else(|| proc::read(protocol, wanted))
        };
        Sockets(vec![read(Protocol::TCP), read(Protocol::UDP)])
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().flat_map(|family| family.v4.iter().chain(&family.v6))
    }

    /// The sockets that wait for clients.
    #[must_use]
    pub fn listeners(&self) -> Vec<Listener> {
        let sockets: Vec<&Entry> = self.entries().filter(|entry| entry.is_waiting()).collect();
        let owners = owners(sockets.iter().map(|socket| socket.inode).collect());
        let by_systemd = ports_of_ssh_socket();
        let listener = |socket: &Entry| {
            let owner = owners.get(&socket.inode);
            let ssh = socket.protocol == Protocol::TCP
                && match owner {
                    Some(owner) if owner.name.name == "systemd" => by_systemd.contains(&socket.local.port()),
                    Some(owner) => owner.is_ssh_server,
                    None => socket.local.port() == 22,
                };
            let process = owner.map(|owner| owner.name.clone());
            Listener { protocol: socket.protocol, address: socket.local, process, ssh }
        };
        sockets.into_iter().map(listener).collect()
    }

    /// The connections.
    pub fn connections(&self) -> impl Iterator<Item = Connection> + '_ {
        self.entries().filter(|entry| entry.is_connected()).map(Entry::connection)
    }

    /// The connections that ancestors of this process hold: the way in of whoever typed the command, be it ssh, telnet or another program. Where an
    /// ancestor's files are hidden, it is left out.
    pub fn connections_of_ancestors(&self) -> impl Iterator<Item = Connection> + '_ {
        let held = held_by_ancestors();
        self.entries().filter(move |entry| entry.is_established && held.contains(&entry.inode)).map(Entry::connection)
    }
}

/// The sockets that ancestors of this process hold, by their inodes.
fn held_by_ancestors() -> HashSet<u64> {
    let mut held = HashSet::new();
    let mut next = Process::myself().and_then(|process| process.stat()).map(|stat| stat.ppid);
    // Process ids of ancestors are finite, but a process may be replaced while it is looked at.
    for _ in 0..64 {
        let Some(process) = next.ok().filter(|&id| id > 1).and_then(|id| Process::new(id).ok()) else { break };
        held.extend(held_by(process.pid));
        next = process.stat().map(|stat| stat.ppid);
    }
    held
}

/// A socket as the kernel tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    protocol: Protocol,
    local: SocketAddr,
    peer: SocketAddr,
    /// Of TCP alone, as is the next.
    listens: bool,
    is_established: bool,
    inode: u64,
}

impl Entry {
    fn is_waiting(&self) -> bool {
        match self.protocol {
            Protocol::TCP => self.listens,
            _ => self.peer.ip().is_unspecified(),
        }
    }

    fn is_connected(&self) -> bool {
        match self.protocol {
            Protocol::TCP => self.is_established,
            _ => !self.peer.ip().is_unspecified(),
        }
    }

    fn connection(&self) -> Connection {
        Connection { protocol: self.protocol, local: self.local, peer: self.peer }
    }
}

/// The sockets of one protocol, by the family of the socket: one of IPv6 may have an address of IPv4.
#[derive(Debug, Default)]
struct ByFamily {
    v4: Vec<Entry>,
    v6: Vec<Entry>,
}

/// Which sockets somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Waiting,
    /// Those that are connected, too.
    All,
}

impl Wanted {
    /// Whether an entry is to be kept: of TCP there are many in other states.
    fn has(self, entry: &Entry) -> bool {
        entry.is_waiting() || self == Wanted::All && entry.is_connected()
    }
}

/// The sockets that a process holds, by their inodes: one call for each of its files, of which there may be very many.
fn held_by(process: i32) -> impl Iterator<Item = u64> {
    let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| {
        let target = fs::read_link(file.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
}

struct Owner {
    name: ProcessName,
    is_ssh_server: bool,
}

/// The processes that hold these sockets, by the sockets' inodes. The process with the lowest id wins: it is the parent.
fn owners(wanted: HashSet<u64>) -> HashMap<u64, Owner> {
    let mut owners: HashMap<u64, Owner> = HashMap::new();
    if wanted.is_empty() {
        return owners;
    }
    // A process may end at any time, and its files may be hidden.
    for process in all_processes().into_iter().flatten().flatten() {
        for inode in held_by(process.pid) {
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

#[cfg(test)]
mod tests {
    use super::*;

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
