//! The least that brings messages to the kernel: one batch, one datagram, one look at the answers.

use std::os::fd::AsRawFd;

use fwc::backend::nft::netlink::Messages;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket, sockopt,
};

fn control(kind: u16, flags: u16, sequence: u32) -> Vec<u8> {
    let mut bytes = 20u32.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((1 | flags).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    // The subsystem that the batch is for, in network order.
    bytes.extend([0, 0, 0, 10]);
    bytes
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Loads the messages in the namespace of this thread.
pub fn send(messages: &Messages) -> Result<(), String> {
    let mut bytes = control(16, 0, 0);
    let begin = bytes.len();
    bytes.extend(&messages.bytes);
    for (number, part) in (1u32..).zip(&messages.index) {
        let at = begin + part.offset + 8;
        assert_eq!(bytes[at..at + 4], [0; 4], "{} has a sequence number", part.subject.what);
        bytes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    }
    let last = u32::try_from(messages.index.len()).unwrap() + 1;
    bytes.extend(control(17, 4, last));
    let netlink = SockProtocol::NetlinkNetFilter;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, netlink).unwrap();
    setsockopt(&socket, sockopt::SndBufForce, &(bytes.len() * 2)).unwrap();
    setsockopt(&socket, sockopt::RcvBufForce, &(1 << 22)).unwrap();
    sendto(socket.as_raw_fd(), &bytes, &NetlinkAddr::new(0, 0), MsgFlags::empty()).unwrap();
    answers(messages, socket.as_raw_fd(), last)
}

fn answers(messages: &Messages, socket: i32, last: u32) -> Result<(), String> {
    let mut errors = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = recv(socket, &mut buffer, MsgFlags::empty()).unwrap();
        let mut rest = &buffer[..length];
        while rest.len() >= 20 {
            let (size, sequence) = (u32_at(rest, 0) as usize, u32_at(rest, 8));
            let code = i32::from_ne_bytes(rest[16..20].try_into().unwrap());
            if code != 0 {
                let subject = (sequence as usize).checked_sub(1).and_then(|at| messages.index.get(at));
                let what = subject.map_or("the batch", |part| &part.subject.what);
                errors.push(format!("{what}: {}", nix::errno::Errno::from_raw(-code)));
            }
            if sequence == last {
                return if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) };
            }
            rest = rest.get(size.next_multiple_of(4)..).unwrap_or(&[]);
        }
        // An aborted batch answers errors and never gets to its end.
        if !errors.is_empty() {
            return Err(errors.join("\n"));
        }
    }
}
