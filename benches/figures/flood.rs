//! The sender of the flood: UDP packets of 100,000 flows, and what they cost.
//!
//! A packet that is sent into a veth pair is received by the same core, before the sending call returns or right after
//! it in that core's ksoftirqd. So the processor time of the sending thread and of ksoftirqd is the cost of sending and
//! receiving, whatever else the machine does meanwhile.

use std::fs;
use std::io::IoSlice;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, Socket, Type};

use super::inputs;
use super::support::{Link, Namespace};

pub const FLOWS: usize = 100_000;
/// Packets a system call.
const BATCH: usize = 50;
/// Sources a flow may have; the rest of the difference is in its port.
const SOURCES: usize = 250;
const PAYLOAD: [u8; 18] = [0; 18];

/// One packet a flow, each from its IP header on, to as many services in turn.
pub fn packets(services: usize) -> Vec<Vec<u8>> {
    let packet = |flow: usize| {
        let (address, port) = inputs::endpoint(flow % services);
        let source = Ipv4Addr::new(198, 18, 0, u8::try_from(flow % SOURCES + 1).expect("few sources"));
        let from = u16::try_from(20_000 + flow / SOURCES).expect("a port");
        let mut bytes = Vec::new();
        PacketBuilder::ipv4(source.octets(), address.octets(), 64)
            .udp(from, port)
            .write(&mut bytes, &PAYLOAD)
            .expect("a packet can be written");
        bytes
    };
    (0..FLOWS).map(packet).collect()
}

/// What a flood cost and what became of it.
pub struct Cost {
    /// Processor time of sending and receiving one packet.
    pub nanoseconds: f64,
    pub sent: u64,
}

/// Sends `packets` from inside `client` to its neighbour, over and over, for as long as `duration`, on one core.
pub fn flood(client: &Namespace, packets: &[Vec<u8>], duration: Duration) -> Cost {
    client.enter(|| {
        let core = pin();
        let ksoftirqd = schedstat_of_ksoftirqd(core);
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(nix::libc::IPPROTO_RAW)));
        let socket = socket.expect("a raw socket");
        // The next hop. Where the packets go from there is in their own headers.
        let server: Ipv4Addr = Link::SERVER.parse().expect("an address");
        socket.connect(&std::net::SocketAddrV4::new(server, 0).into()).expect("a route to the server");

        let slices: Vec<[IoSlice; 1]> = packets.iter().map(|packet| [IoSlice::new(packet)]).collect();
        let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
        let nowhere = [None; BATCH];
        let mut sent = 0;
        let begin = (own_time(), on_core(&ksoftirqd));
        let until = Instant::now() + duration;
        'flood: loop {
            for batch in slices.chunks_exact(BATCH) {
                sendmmsg(socket.as_raw_fd(), &mut headers, batch, nowhere, [], MsgFlags::empty()).expect("a send");
                sent += BATCH as u64;
                if Instant::now() >= until {
                    break 'flood;
                }
            }
        }
        // What ksoftirqd still has to do is at most what one socket's buffer holds.
        let spent = (own_time() - begin.0) + (on_core(&ksoftirqd) - begin.1);
        Cost { nanoseconds: spent.as_nanos() as f64 / sent as f64, sent }
    })
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
fn schedstat_of_ksoftirqd(core: usize) -> String {
    let name = format!("ksoftirqd/{core}");
    let processes = fs::read_dir("/proc").expect("/proc can be read").flatten();
    let found = processes
        .map(|entry| entry.path())
        .find(|process| fs::read_to_string(process.join("comm")).is_ok_and(|comm| comm.trim_end() == name));
    let found = found.unwrap_or_else(|| panic!("{name} is not visible: run the benches outside of a container"));
    found.join("schedstat").to_str().expect("a path is text").to_owned()
}

/// The first figure of a schedstat file: nanoseconds on a core.
fn on_core(schedstat: &str) -> Duration {
    let text = fs::read_to_string(schedstat).unwrap_or_else(|error| panic!("{schedstat}: {error}"));
    let first = text.split_whitespace().next().and_then(|figure| figure.parse().ok());
    Duration::from_nanos(first.unwrap_or_else(|| panic!("{schedstat} holds {text:?}")))
}
