//! Sockets over netlink, from the kernel's `inet_diag` (`linux/inet_diag.h`): as bytes, and only those in the states that are asked for.

use std::net::{IpAddr, SocketAddr};

use nix::libc;

use super::{ByFamily, Entry, Wanted};
use crate::kernel::KernelError;
use crate::kernel::socket::Socket;
use crate::kernel::wire::{Malformed, Request, u16_at, u32_at};
use crate::net::Protocol;

/// `TCPDIAG_GETSOCK`, with a `struct inet_diag_req`: TCP of both families (`inet_diag_dump_compat`), while `SOCK_DIAG_BY_FAMILY` would have the kernel
/// look through its table of connections for each.
const TCP: u16 = 18;
/// `SOCK_DIAG_BY_FAMILY`, with a `struct inet_diag_req_v2`.
const BY_FAMILY: u16 = 20;
const INET: u8 = libc::AF_INET as u8;
const INET6: u8 = libc::AF_INET6 as u8;
/// A `struct inet_diag_sockid` that names no socket.
const ANY: [u8; 48] = [0; 48];
/// States of TCP. A socket of UDP is in the first with a peer and in the second without (`net/ipv4/datagram.c`).
const ESTABLISHED: u8 = 1;
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;
const ASKED: &str = "list the sockets";

/// The sockets of a protocol, TCP or UDP.
pub(super) fn read(socket: &mut Socket, protocol: Protocol, wanted: Wanted) -> Result<ByFamily, KernelError> {
    let mut found = ByFamily::default();
    for request in requests(protocol, wanted) {
        socket.dump_once(ASKED, &request, |message| {
            let malformed = KernelError::Malformed { asked: ASKED, why: Malformed::Message };
            let (family, entry) = entry(protocol, message.payload).ok_or(malformed)?;
            match family {
                _ if !wanted.has(&entry) => {}
                INET => found.v4.push(entry),
                _ => found.v6.push(entry),
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// The dumps that list what is wanted. Where only listeners are, the kernel looks through the table of these alone.
fn requests(protocol: Protocol, wanted: Wanted) -> Vec<Request> {
    let waiting = if protocol == Protocol::TCP { LISTEN } else { CLOSE };
    let states: u32 = match wanted {
        Wanted::Waiting => 1 << waiting,
        Wanted::All => 1 << waiting | 1 << ESTABLISHED,
    };
    let states = states.to_ne_bytes();
    if protocol == Protocol::TCP {
        // Family, lengths and extensions, the socket, states, the state of the dump.
        return vec![Request::with_header(TCP, 0, &[&[0; 4][..], &ANY, &states, &[0; 4]].concat())];
    }
    let of_family = |family: u8| {
        let header = [family, protocol.number(), 0, 0];
        Request::with_header(BY_FAMILY, 0, &[&header[..], &states, &ANY].concat())
    };
    vec![of_family(INET), of_family(INET6)]
}

/// Reads a `struct inet_diag_msg`: the family of the socket, and the socket. Numbers of the socket's identity are in network order, others in the host's.
fn entry(protocol: Protocol, answer: &[u8]) -> Option<(u8, Entry)> {
    let &[family, state, ..] = answer else { return None };
    let end = |port: usize, address: usize| -> Option<SocketAddr> {
        let port = u16_at(answer, port).map(u16::from_be)?;
        let address = answer.get(address..)?;
        let address = match family {
            INET => IpAddr::from(*address.first_chunk::<4>()?),
            INET6 => IpAddr::from(*address.first_chunk::<16>()?).to_canonical(),
            _ => return None,
        };
        Some(SocketAddr::new(address, port))
    };
    let is_tcp = protocol == Protocol::TCP;
    let entry = Entry {
        protocol,
        local: end(4, 8)?,
        peer: end(6, 24)?,
        listens: is_tcp && state == LISTEN,
        is_established: is_tcp && state == ESTABLISHED,
        inode: u32_at(answer, 68)?.into(),
    };
    Some((family, entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An answer about a connection of 203.0.113.5:80 with 198.51.100.7:50022, in the form of either family.
    fn answer(family: u8, state: u8) -> Vec<u8> {
        let address = |bytes: [u8; 4]| match family {
            INET => [&bytes[..], &[0; 12]].concat(),
            _ => [&[0; 10][..], &[0xff; 2], &bytes].concat(),
        };
        let mut bytes = vec![family, state, 0, 0, 0, 80, 0xc3, 0x66];
        bytes.extend(address([203, 0, 113, 5]));
        bytes.extend(address([198, 51, 100, 7]));
        bytes.extend([0; 28]);
        bytes.extend(4_000_000_001_u32.to_ne_bytes());
        bytes
    }

    #[test]
    fn answers_are_read() {
        for family in [INET, INET6] {
            let expected = Entry {
                protocol: Protocol::TCP,
                local: "203.0.113.5:80".parse().unwrap(),
                peer: "198.51.100.7:50022".parse().unwrap(),
                listens: false,
                is_established: true,
                inode: 4_000_000_001,
            };
            let whole = answer(family, ESTABLISHED);
            assert_eq!(entry(Protocol::TCP, &whole), Some((family, expected)));
            assert_eq!(entry(Protocol::TCP, &whole[..71]), None);
            let waits = Entry { listens: true, is_established: false, ..expected };
            assert_eq!(entry(Protocol::TCP, &answer(family, LISTEN)), Some((family, waits)));
            let closes = Entry { listens: false, ..waits };
            assert_eq!(entry(Protocol::TCP, &answer(family, CLOSE)), Some((family, closes)));
            let udp = Entry { protocol: Protocol::UDP, ..closes };
            assert_eq!(entry(Protocol::UDP, &answer(family, ESTABLISHED)), Some((family, udp)));
        }
        assert_eq!(entry(Protocol::TCP, &answer(1, ESTABLISHED)), None);
    }

    #[test]
    fn connections_are_asked_for_only_where_they_are_wanted() {
        // The states of each request, and its length with the header of 16 bytes.
        let asked = |protocol, wanted, at: usize| -> Vec<(Option<u32>, usize)> {
            requests(protocol, wanted).iter().map(|one| (u32_at(one.bytes(), 16 + at), one.bytes().len())).collect()
        };
        assert_eq!(asked(Protocol::TCP, Wanted::Waiting, 52), [(Some(1 << 10), 76)]);
        assert_eq!(asked(Protocol::TCP, Wanted::All, 52), [(Some(1 << 10 | 1 << 1), 76)]);
        assert_eq!(asked(Protocol::UDP, Wanted::Waiting, 4), [(Some(1 << 7), 72); 2]);
        assert_eq!(asked(Protocol::UDP, Wanted::All, 4), [(Some(1 << 7 | 1 << 1), 72); 2]);
        let families: Vec<_> =
            requests(Protocol::UDP, Wanted::All).iter().map(|one| one.bytes()[16..18].to_vec()).collect();
        assert_eq!(families, [[2, 17], [10, 17]]);
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = entry(Protocol::TCP, &bytes);
        }
    }
}
