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

use std::collections::{HashMap, HashSet};
use std::fmt;
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
use crate::packet::{Fragment, Packet};
use crate::spec::{Direction, Fate, State, Tracking};
use crate::sys::packet_socket::send_frame;
use bytes::Checksum;
use link::{Cable, Links};
use observer::{Notes, Observer, Point, StateBits};

pub use observer::Place;

/// How long sent packets may take to be seen. The kernel handles them while they are sent, or soon after.
const PATIENCE: Duration = Duration::from_secs(5);
/// Packets between two readings of the observer.
const CHUNK: usize = 2_000;
const LOOPBACK: &str = "lo";

/// What became of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The firewall decided.
    Decided(Observation),
    /// It did not get so far.
    NotSent(Reason),
}

/// What was seen of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Whether it passed the firewall.
    pub fate: Fate,
    /// Whether conntrack follows it. `None`: it was dropped before that was decided.
    pub tracking: Option<Tracking>,
    /// What conntrack said, of a packet that it looked at.
    pub state: Option<State>,
    /// The last hook at whose filter it was seen.
    pub filter: Option<Place>,
}

/// Why the firewall did not decide about a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// An address that a packet on this way cannot have.
    Address(IpAddr),
    /// It has another direction than its addresses or its interface allow.
    Direction,
    /// No interface of that name was laid.
    Interface(Interface),
    /// The kernel keeps fragments until the packet is whole.
    Held,
    /// The kernel threw it away before or between the firewall's chains: no route, or a header that it does not take.
    Undelivered,
    /// The kernel did not take it for sending.
    Refused(Errno),
    /// Conntrack calls it something else: what it says of such a packet.
    State(State),
    /// Conntrack cannot be made to know its flow.
    Flow(Errno),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Address(address) => write!(f, "a packet on this way cannot have the address {address}"),
            Reason::Direction => f.write_str("it cannot go this way by this interface"),
            Reason::Interface(name) => write!(f, "no interface `{name}` could be made"),
            Reason::Held => f.write_str("the kernel holds a fragment back until the packet is whole"),
            Reason::Undelivered => f.write_str("the kernel throws it away before the firewall decides"),
            Reason::Refused(errno) => write!(f, "the kernel does not send it: {}", errno.desc()),
            Reason::State(state) => {
                let word = match state {
                    State::New => "new",
                    State::Established => "established",
                    State::Related => "related",
                    State::Invalid => "invalid",
                };
                write!(f, "conntrack calls such a packet {word}")
            }
            Reason::Flow(errno) => write!(f, "conntrack does not take its flow: {}", errno.desc()),
        }
    }
}

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
        if !self.raw.contains_key(&key) {
            let domain = if family == Family::V4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
            let made = socket(domain, SockType::Raw, SockFlag::SOCK_CLOEXEC, Some(SockProtocol::Raw))?;
            if let Some(cable) = cable {
                setsockopt(&made, sockopt::BindToDevice, &cable.name.as_str().into())?;
            }
            self.raw.insert(key, made);
        }
        self.raw.get(&key).ok_or(Errno::EBADF)
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
        IpAddr::V4(v4) => !v4.is_multicast() && !v4.is_broadcast() && v4.octets()[0] != 0 && v4.octets()[0] < 240,
        IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unspecified() && !(destination && v6.is_unicast_link_local()),
    }
}

/// A name that none of these is.
fn unnamed(names: &[Interface]) -> Option<Interface> {
    (0..=names.len()).filter_map(|number| format!("other{number}").parse().ok()).find(|name| !names.contains(name))
}

/// What the notes say became of a packet.
fn judge(packet: &Packet, notes: Option<&Notes>, tracks: bool, states: States) -> Outcome {
    let nowhere = Notes::default();
    let notes = notes.unwrap_or(&nowhere);
    let held = if packet.fragment == Fragment::Whole { Reason::Undelivered } else { Reason::Held };
    let raws: &[Place] = match packet.direction {
        _ if over_lo(packet) => &[Place::Output, Place::Prerouting],
        Direction::Out => &[Place::Output],
        Direction::In | Direction::Forward => &[Place::Prerouting],
    };
    let filters: &[Place] = match packet.direction {
        _ if over_lo(packet) => &[Place::Output, Place::Input],
        Direction::Out => &[Place::Output],
        Direction::In | Direction::Forward => &[Place::Input, Place::Forward],
    };
    let came = |place: &&Place| notes.saw(**place, Point::BeforeFilter);
    let passed = |place: &Place| notes.saw(*place, Point::End);
    let filter = filters.iter().rfind(came).copied();
    // Reassembly stands between the first stage and raw.
    let reassembles = tracks && packet.fragment != Fragment::Whole;
    let dropped_in_raw =
        !reassembles && raws.iter().any(|&place| notes.saw(place, Point::Begin) && !notes.saw(place, Point::BehindRaw));
    let fate = match filter {
        _ if dropped_in_raw => Fate::Drop,
        Some(place) if !passed(&place) => Fate::Drop,
        Some(_) if over_lo(packet) && filter == Some(Place::Output) => return Outcome::NotSent(held),
        Some(_) => Fate::Accept,
        None => return Outcome::NotSent(held),
    };
    let (tracking, state) = read_state(notes.states, tracks);
    match state {
        Some(found) if states == States::Asked && found != packet.state => Outcome::NotSent(Reason::State(found)),
        _ => Outcome::Decided(Observation { fate, tracking, state, filter }),
    }
}

fn read_state(StateBits(bits): StateBits, tracks: bool) -> (Option<Tracking>, Option<State>) {
    if !tracks {
        return (Some(Tracking::Untracked), None);
    }
    if bits & StateBits::UNTRACKED != 0 {
        return (Some(Tracking::Untracked), None);
    }
    let known = [
        (StateBits::NEW, State::New),
        (StateBits::RELATED, State::Related),
        (StateBits::ESTABLISHED, State::Established),
        (StateBits::INVALID, State::Invalid),
    ];
    match known.into_iter().find(|&(bit, _)| bits & bit != 0) {
        Some((_, state)) => (Some(Tracking::Tracked), Some(state)),
        None => (None, None),
    }
}
