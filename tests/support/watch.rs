//! Whether a crafted packet passes a filter. A packet that never reached the filter is a broken test, not a drop.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::namespace::Namespace;
use super::packet::Packet;

/// How long a packet may take to the interface. Its end is a failed test.
const TRAVEL: Duration = Duration::from_secs(5);
/// How long the filter may take behind the interface. The kernel decides at once, in the same run; this is for a
/// machine that stops in between.
const DECISION: Duration = Duration::from_millis(250);

/// Sees each packet at a namespace's interfaces, before any filter.
pub struct Tap {
    socket: Socket,
}

impl Tap {
    /// Starts to look.
    pub fn new(on: &Namespace) -> Tap {
        // ETH_P_ALL in network order. A datagram tap gives packets from their IP header on.
        let all = Protocol::from(i32::from(3_u16.to_be()));
        let socket = on.enter(|| Socket::new(Domain::PACKET, Type::DGRAM, Some(all))).expect("a packet socket");
        Tap { socket }
    }

    /// The next packet, from its IP header on, that `wanted` says yes to; `None` when none came in five seconds.
    pub fn next(&self, wanted: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        next(&self.socket, TRAVEL, wanted)
    }
}

/// Whether a packet that is sent in `from` passes the input filter of `to`.
#[track_caller]
pub fn passes(packet: &Packet, from: &Namespace, to: &Namespace) -> bool {
    passes_through(std::slice::from_ref(packet), from, to, to)
}

/// Whether packets that are sent in `from` pass the filters of `via`, where they must come by, and reach `to`.
///
/// Several packets are the fragments of one, which arrives when all of them pass.
#[track_caller]
pub fn passes_through(packets: &[Packet], from: &Namespace, via: &Namespace, to: &Namespace) -> bool {
    let tap = Tap::new(via);
    let receiver = packets[0].receiver(to);
    for packet in packets {
        assert!(packet.leaves(from), "{} does not let it out: {packet:?}", from.name());
        assert!(tap.next(|bytes| packet.ends(bytes)).is_some(), "never came to {}: {packet:?}", via.name());
    }
    next(&receiver, DECISION, |bytes| packets[0].is_within(bytes)).is_some()
}

/// Sends packets in `from` to `to` and panics with those that the input filter took another way than expected: `true`
/// is accepted. `what` says in which situation.
#[track_caller]
pub fn expect_verdicts(cases: &[(Packet, bool)], from: &Namespace, to: &Namespace, what: &str) {
    expect_verdicts_through(cases, [from, to, to], what);
}

/// The same for packets on their way through the filters of the namespace in the middle.
#[track_caller]
pub fn expect_verdicts_through(cases: &[(Packet, bool)], [from, via, to]: [&Namespace; 3], what: &str) {
    let tap = Tap::new(via);
    let receivers: Vec<Socket> = cases.iter().map(|(packet, _)| packet.receiver(to)).collect();
    for (packet, _) in cases {
        assert!(packet.leaves(from), "{} does not let it out: {packet:?}", from.name());
        assert!(tap.next(|bytes| packet.ends(bytes)).is_some(), "never came to {}: {packet:?}", via.name());
    }
    let mut wrong = Vec::new();
    // To wait long for what shall come costs time in a failed test only.
    for ((packet, expected), receiver) in cases.iter().zip(&receivers) {
        if *expected && next(receiver, TRAVEL, |bytes| packet.is_within(bytes)).is_none() {
            wrong.push(format!("dropped: {packet:?}"));
        }
    }
    // What shall not come has one wait in common.
    if cases.iter().any(|(_, expected)| !expected) {
        std::thread::sleep(DECISION);
    }
    for ((packet, expected), receiver) in cases.iter().zip(&receivers) {
        if !expected && waiting(receiver).any(|bytes| packet.is_within(&bytes)) {
            wrong.push(format!("accepted: {packet:?}"));
        }
    }
    assert!(wrong.is_empty(), "{what}\n{}", wrong.join("\n"));
}

/// The packets that a socket has received already.
fn waiting(socket: &Socket) -> impl Iterator<Item = Vec<u8>> {
    socket.set_nonblocking(true).expect("a socket need not block");
    std::iter::from_fn(move || {
        let mut buffer = vec![0; 65_536];
        let mut reader = socket;
        match reader.read(&mut buffer) {
            Ok(length) => Some(buffer[..length].to_vec()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("the socket stopped: {error}"),
        }
    })
}

fn next(socket: &Socket, patience: Duration, wanted: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let end = Instant::now() + patience;
    let mut buffer = vec![0; 65_536];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        socket.set_read_timeout(Some(left)).expect("a socket takes a timeout");
        let mut reader = socket;
        match reader.read(&mut buffer) {
            Ok(length) if wanted(&buffer[..length]) => return Some(buffer[..length].to_vec()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
            Err(error) => panic!("the socket stopped: {error}"),
        }
    }
}
