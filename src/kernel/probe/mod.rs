//! Packets through the real kernel: sent in a private namespace, and seen where they come by.
//!
//! [`Testbed`] lays an interface of every name that is asked for, makes the packet's destination an address of this host or not, brings
//! conntrack to know the packet's flow or not, and sends the packet: what comes in by a frame on the other end of the interface's cable, what
//! leaves by a raw socket. An observer's table beside the firewall's writes down where the packet came by (`observer`).
//!
//! The calling thread must be in a namespace that nobody else uses, and the firewall must be loaded. Nothing here knows the firewall's rules.

mod bytes;
mod flow;
mod link;
mod observer;
mod outcome;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, sendto, setsockopt, socket,
    sockopt,
};
use nix::unistd::Pid;

use super::KernelError;
use super::socket::Socket;
use crate::net::{Family, Interface};
use crate::packet::Packet;
use crate::spec::{Direction, State};
use crate::sys::packet_socket::send_frame;
use bytes::Checksum;
use link::{Cable, Links};
use observer::{Notes, Observer};
use outcome::judge;

pub use observer::Place;
pub use outcome::{Observation, Outcome, Reason};

/// How long sent packets may take to be seen. The kernel handles them while they are sent, or soon after.
const PATIENCE: Duration = Duration::from_secs(5);
/// Packets between two readings of the observer.
const CHUNK: usize = 2_000;
const LOOPBACK: &str = "lo";

/// How to bring about the state of a packet that is tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum States {
    /// As the packet says; where conntrack says something else it counts as not sent.
    Asked,
    /// Whatever conntrack says; [`Observation::state`] tells.
    Found,
}

/// A private namespace with interfaces, from which packets can be sent.
pub struct Testbed {
    cables: Vec<Cable>,
    links: Links,
    observer: Observer,
    conntrack: Socket,
    frames: OwnedFd,
    raw: HashMap<(Family, Option<i32>), OwnedFd>,
    local: HashSet<IpAddr>,
    flows: HashSet<flow::Tuple>,
    tracks: bool,
    next: u32,
}

impl Testbed {
    /// Lays an interface of each name, and one that no rule names. `tracks` says whether the firewall that is or will be loaded looks at
    /// conntrack. The calling thread stays on one processor from here on, so that packets are handled in the order in which they are sent.
    ///
    /// # Errors
    /// The kernel refuses something.
    pub fn lay_out(names: &[Interface], tracks: bool) -> Result<Self, KernelError> {
        stay();
        link::settle()?;
        let mut links = Links::open()?;
        let mut all: Vec<Interface> = unnamed(names).into_iter().collect();
        all.extend(names.iter().filter(|name| name.as_str() != LOOPBACK).cloned());
        let cables = links.lay(&all)?;
        let frames = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
            .map_err(|errno| KernelError::Call { doing: "open a packet socket", errno })?;
        Ok(Testbed {
            cables,
            links,
            observer: Observer::load(tracks)?,
            conntrack: Socket::open()?,
            frames,
            raw: HashMap::new(),
            local: HashSet::new(),
            flows: HashSet::new(),
            tracks,
            next: 1,
        })
    }

    /// Prepares for another firewall.
    ///
    /// # Errors
    /// The kernel refuses the observer's table.
    pub fn observe(&mut self, tracks: bool) -> Result<(), KernelError> {
        self.tracks = tracks;
        self.observer = Observer::load(tracks)?;
        self.flows.clear();
        Ok(())
    }

    /// Entries in the namespace's conntrack table.
    #[must_use]
    pub fn conntrack_entries(&self) -> usize {
        flow::count()
    }

    /// Sends packets and tells of each what became of it, in the order given.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn send(&mut self, packets: &[Packet], states: States) -> Result<Vec<Outcome>, KernelError> {
        let mut outcomes = Vec::with_capacity(packets.len());
        for chunk in packets.chunks(CHUNK) {
            self.observer.clear()?;
            if self.tracks {
                flow::flush(&mut self.conntrack)?;
                self.flows.clear();
            }
            let mut sent = Vec::with_capacity(chunk.len());
            for packet in chunk {
                sent.push(self.one(packet, states)?);
            }
            let notes = self.wait(&sent)?;
            outcomes.extend(chunk.iter().zip(sent).map(|(packet, sent)| match sent {
                Ok(number) => judge(packet, notes.get(&number), self.tracks, states),
                Err(reason) => Outcome::NotSent(reason),
            }));
        }
        Ok(outcomes)
    }

    /// Sends one packet and gives its number.
    fn one(&mut self, packet: &Packet, states: States) -> Result<Result<u32, Reason>, KernelError> {
        let route = match self.route(packet) {
            Ok(route) => route,
            Err(reason) => return Ok(Err(reason)),
        };
        let checksum = match self.prepare(packet, states)? {
            Ok(checksum) => checksum,
            Err(reason) => return Ok(Err(reason)),
        };
        let local = over_lo(packet) || packet.direction == Direction::In;
        self.make_local(packet.destination, local)?;
        if packet.direction != Direction::Out && !over_lo(packet) {
            // A source that is this host's own is a mistake to the kernel.
            self.make_local(packet.source, false)?;
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1).max(1);
        let bytes = bytes::packet(packet, number, checksum);
        Ok(self.emit(packet, route, number, &bytes).map(|()| number).map_err(Reason::Refused))
    }

    /// The interface by which a packet goes; `None` is loopback.
    fn route(&self, packet: &Packet) -> Result<Option<Cable>, Reason> {
        for address in [packet.source, packet.destination] {
            if !possible(address, address == packet.destination) {
                return Err(Reason::Address(address));
            }
        }
        if over_lo(packet) {
            return if packet.direction == Direction::Forward { Err(Reason::Direction) } else { Ok(None) };
        }
        if packet.source == packet.destination {
            return Err(Reason::Address(packet.source));
        }
        let cable = match &packet.interface {
            // A routed packet leaves by the first: it comes in by another one then.
            None => self.cables.first(),
            Some(name) => self.cables.iter().find(|cable| cable.name == *name),
        };
        let missing = || packet.interface.clone().map_or(Reason::Direction, Reason::Interface);
        cable.cloned().map(Some).ok_or_else(missing)
    }

    /// Brings conntrack to say of the packet what it is to say.
    fn prepare(&mut self, packet: &Packet, states: States) -> Result<Result<Checksum, Reason>, KernelError> {
        if !self.tracks {
            return Ok(Ok(Checksum::Right));
        }
        let flow = flow::Tuple::of(packet).map(flow::Tuple::flow);
        let known = flow.is_some_and(|flow| flow.iter().any(|tuple| self.flows.contains(tuple)));
        if known || (packet.state == State::Related && !self.flows.is_empty()) {
            flow::flush(&mut self.conntrack)?;
            self.flows.clear();
        }
        self.flows.extend(flow.into_iter().flatten());
        let made = match packet.state {
            State::New => Ok(()),
            State::Invalid => return Ok(Ok(Checksum::Wrong)),
            State::Established => flow::establish(&mut self.conntrack, packet),
            State::Related => flow::relate(&mut self.conntrack, packet),
        };
        match made {
            Ok(()) => Ok(Ok(Checksum::Right)),
            Err(KernelError::Refused { errno, .. }) if states == States::Asked => Ok(Err(Reason::Flow(errno))),
            Err(KernelError::Refused { .. }) => Ok(Ok(Checksum::Right)),
            Err(error) => Err(error),
        }
    }

    fn make_local(&mut self, address: IpAddr, local: bool) -> Result<(), KernelError> {
        if address.is_loopback() || self.local.contains(&address) == local {
            return Ok(());
        }
        self.links.set_local(address, local)?;
        if local {
            self.local.insert(address);
        } else {
            self.local.remove(&address);
        }
        Ok(())
    }

    fn emit(&mut self, packet: &Packet, route: Option<Cable>, number: u32, bytes: &[u8]) -> Result<(), Errno> {
        if let Some(cable) = route.as_ref().filter(|_| packet.direction != Direction::Out) {
            let frame = [&cable.header(packet.source.is_ipv4())[..], bytes].concat();
            setsockopt(&self.frames, sockopt::Mark, &number)?;
            return send_frame(&self.frames, cable.other_end(), &frame);
        }
        let socket = self.raw(packet.family(), route.as_ref())?;
        setsockopt(socket, sockopt::Mark, &number)?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(socket);
        let sent = match packet.destination {
            IpAddr::V4(to) => sendto(fd, bytes, &SockaddrIn::from(SocketAddrV4::new(to, 0)), MsgFlags::empty()),
            IpAddr::V6(to) => sendto(fd, bytes, &SockaddrIn6::from(SocketAddrV6::new(to, 0, 0, 0)), MsgFlags::empty()),
        };
        match sent {
            // An output chain's drop is told to the sender.
            Ok(_) | Err(Errno::EPERM) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// A socket for whole packets, bound to an interface.
    fn raw(&mut self, family: Family, cable: Option<&Cable>) -> Result<&OwnedFd, Errno> {
        let key = (family, cable.map(Cable::interface));
        let vacant = match self.raw.entry(key) {
            Entry::Occupied(made) => return Ok(made.into_mut()),
            Entry::Vacant(vacant) => vacant,
        };
        let domain = if family == Family::V4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let made = socket(domain, SockType::Raw, SockFlag::SOCK_CLOEXEC, Some(SockProtocol::Raw))?;
        if let Some(cable) = cable {
            setsockopt(&made, sockopt::BindToDevice, &cable.name.as_str().into())?;
        }
        Ok(vacant.insert(made))
    }

    /// Reads the observer until all packets have been seen.
    fn wait(&mut self, sent: &[Result<u32, Reason>]) -> Result<HashMap<u32, Notes>, KernelError> {
        let end = Instant::now() + PATIENCE;
        loop {
            let notes = self.observer.read()?;
            let all = sent.iter().flatten().all(|number| notes.contains_key(number));
            if all || Instant::now() >= end {
                return Ok(notes);
            }
            std::thread::yield_now();
        }
    }
}

fn over_lo(packet: &Packet) -> bool {
    packet.interface.as_ref().is_some_and(|name| name.as_str() == LOOPBACK)
}

/// Binds the calling thread to the processor that it may use first: a packet is handled by the processor that sends it.
fn stay() {
    let this = Pid::from_raw(0);
    let Ok(allowed) = sched_getaffinity(this) else { return };
    let first = (0..CpuSet::count()).find(|&number| allowed.is_set(number).unwrap_or(false));
    let mut one = CpuSet::new();
    if first.is_some_and(|number| one.set(number).is_ok()) {
        // Where that is forbidden, packets are still waited for.
        let _ = sched_setaffinity(this, &one);
    }
}

/// Whether a packet that a host takes or sends can have the address. What is sent to many is nobody's own.
fn possible(address: IpAddr, destination: bool) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_multicast() && !v4.is_broadcast() && (1..240).contains(&v4.octets()[0]),
        IpAddr::V6(v6) => !(v6.is_multicast() || v6.is_unspecified() || destination && v6.is_unicast_link_local()),
    }
}

/// A name that none of these is.
fn unnamed(names: &[Interface]) -> Option<Interface> {
    (0..=names.len()).filter_map(|number| format!("other{number}").parse().ok()).find(|name| !names.contains(name))
}
