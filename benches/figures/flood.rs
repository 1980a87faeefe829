//! The sender of the flood, and what its packets cost.
//!
//! A packet that is sent into a veth pair is received by the same core, before the sending call returns or right after
//! it in that core's ksoftirqd. So the processor time of the sending thread and of ksoftirqd is the cost of sending and
//! receiving, whatever else the machine does meanwhile.

use std::fs;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use fwc::net::Family;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, Socket, Type};

use super::support::{Link, Namespace};

/// Packets a system call.
const BATCH: usize = 50;

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    /// The packets over and over, for so long.
    Time(Duration),
    /// Each packet once: then each is the first of its flow.
    Once,
}

/// What a flood cost and what became of it.
pub struct Cost {
    /// Processor time of sending and receiving one packet.
    pub nanoseconds: f64,
    pub sent: u64,
}

/// Sends `packets` from inside `client` to its neighbour, on one core.
pub fn flood(client: &Namespace, family: Family, packets: &[Vec<u8>], length: Length) -> Cost {
    client.enter(|| {
        let core = pin();
        let ksoftirqd = schedstat_of_ksoftirqd(core);
        let socket = raw_socket(family);
        let slices: Vec<[IoSlice; 1]> = packets.iter().map(|packet| [IoSlice::new(packet)]).collect();
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
        let nowhere = [None; BATCH];
        let mut sent = 0;
        let begin = (own_time(), on_core(&ksoftirqd));
        let start = Instant::now();
        'flood: loop {
            for batch in slices.chunks_exact(BATCH) {
                sendmmsg(socket.as_raw_fd(), &mut headers, batch, nowhere, [], MsgFlags::empty()).expect("a send");
                sent += BATCH as u64;
                if matches!(length, Length::Time(duration) if start.elapsed() >= duration) {
                    break 'flood;
                }
            }
            if matches!(length, Length::Once) {
                break;
            }
        }
        // What ksoftirqd still has to do is at most what one socket's buffer holds.
        let spent = (own_time() - begin.0) + (on_core(&ksoftirqd) - begin.1);
        Cost { nanoseconds: spent.as_nanos() as f64 / sent as f64, sent }
    })
}

/// A socket for packets with headers of their own. Where they go is written there; the socket says to which neighbour.
fn raw_socket(family: Family) -> Socket {
    let (domain, server) = match family {
        Family::V4 => (Domain::IPV4, Link::SERVER),
        Family::V6 => (Domain::IPV6, Link::SERVER_V6),
    };
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(nix::libc::IPPROTO_RAW))).expect("a raw socket");
    let server = SocketAddr::new(server.parse().expect("an address"), 0);
    socket.connect(&server.into()).expect("a route to the server");
    socket
}

/// Keeps the calling thread on the machine's last core, and gives its number.
fn pin() -> usize {
    let core = std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1);
    let mut cores = CpuSet::new();
    cores.set(core).expect("a core's number");
    sched_setaffinity(Pid::from_raw(0), &cores).unwrap_or_else(|error| panic!("pinning to core {core}: {error}"));
    core
}

/// Processor time of the calling thread, with the interrupts that it handled.
fn own_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a thread has a clock").into()
}

/// Where the kernel says how long the thread ran that takes over packets of a busy core.
pub fn schedstat_of_ksoftirqd(core: usize) -> String {
    let name = format!("ksoftirqd/{core}");
    let processes = fs::read_dir("/proc").expect("/proc can be read").flatten();
    let found = processes
        .map(|entry| entry.path())
        .find(|process| fs::read_to_string(process.join("comm")).is_ok_and(|comm| comm.trim_end() == name));
    let found = found.unwrap_or_else(|| panic!("{name} is not visible: run the benches outside of a container"));
    found.join("schedstat").to_str().expect("a path is text").to_owned()
}

/// The first figure of a schedstat file: nanoseconds on a core.
pub fn on_core(schedstat: &str) -> Duration {
    let text = fs::read_to_string(schedstat).unwrap_or_else(|error| panic!("{schedstat}: {error}"));
    let first = text.split_whitespace().next().and_then(|figure| figure.parse().ok());
    Duration::from_nanos(first.unwrap_or_else(|| panic!("{schedstat} holds {text:?}")))
}
