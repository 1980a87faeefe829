//! A packet's bytes, from the IP header on, with right checksums: the kernel looks at nothing else but what the evaluator's packet says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::{Family, PacketHeader, Protocol};
use crate::packet::{Fragment, Packet};

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// `ip6_fragment`.
const FRAGMENT_HEADER: u8 = 44;
/// Where a later fragment starts, in bytes: behind any transport header.
const LATER_AT: u16 = 64;

/// Whether the transport's checksum is right. A wrong one makes conntrack call what comes in invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksum {
    Right,
    Wrong,
}

/// The packet. `identification` names the packet of which a fragment is a part.
pub(super) fn packet(packet: &Packet, identification: u32, checksum: Checksum) -> Vec<u8> {
    let protocol = protocol(packet);
    let body = match packet.fragment {
        Fragment::Whole => transport(packet, checksum),
        // The kernel throws away fragments, but for the last, that do not end on 8 bytes.
        Fragment::First => padded(transport(packet, checksum)),
        Fragment::Later => vec![0; 16],
    };
    ip(packet.source, packet.destination, protocol, packet.fragment, identification, &body)
}

/// The number of the header behind the IP header.
pub(super) fn protocol(packet: &Packet) -> u8 {
    match packet.header {
        PacketHeader::Tcp(..) => Protocol::TCP.number(),
        PacketHeader::Ports(protocol, ..) | PacketHeader::Plain(protocol) => protocol.number(),
        PacketHeader::Icmp(_) if packet.family() == Family::V4 => ICMP,
        PacketHeader::Icmp(_) => ICMPV6,
    }
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(usize::from(LATER_AT), 0);
    bytes
}

fn ip(from: IpAddr, to: IpAddr, protocol: u8, fragment: Fragment, identification: u32, body: &[u8]) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ipv4(from, to, protocol, fragment, identification, body),
        (IpAddr::V6(from), IpAddr::V6(to)) => ipv6(from, to, protocol, fragment, identification, body),
        // A packet's addresses are of one family: net::PacketText sees to it.
        _ => Vec::new(),
    }
}

fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, fragment: Fragment, id: u32, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + body.len()).unwrap_or(u16::MAX);
    let offset = match fragment {
        Fragment::Whole => 0,
        Fragment::First => 0x2000,
        Fragment::Later => LATER_AT / 8,
    };
    let mut bytes = vec![0x45, 0];
    bytes.extend(length.to_be_bytes());
    // Raw sockets fill in a zero identification.
    bytes.extend(u16::try_from(id % 0xffff + 1).unwrap_or(1).to_be_bytes());
    bytes.extend(u16::to_be_bytes(offset));
    bytes.extend([64, protocol, 0, 0]);
    bytes.extend(from.octets());
    bytes.extend(to.octets());
    let sum = internet_checksum(&bytes);
    put(&mut bytes, 10, sum);
    bytes.extend(body);
    bytes
}

fn ipv6(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, fragment: Fragment, id: u32, body: &[u8]) -> Vec<u8> {
    let mut inner = Vec::new();
    let offset_and_more = match fragment {
        Fragment::Whole => None,
        Fragment::First => Some(1),
        Fragment::Later => Some(LATER_AT),
    };
    if let Some(offset) = offset_and_more {
        inner.extend([protocol, 0]);
        inner.extend(u16::to_be_bytes(offset));
        inner.extend(id.to_be_bytes());
    }
    inner.extend(body);
    let next = if offset_and_more.is_some() { FRAGMENT_HEADER } else { protocol };
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(u16::try_from(inner.len()).unwrap_or(u16::MAX).to_be_bytes());
    // Neighbour discovery is only heard with 255.
    bytes.extend([next, 255]);
    bytes.extend(from.octets());
    bytes.extend(to.octets());
    bytes.extend(inner);
    bytes
}

fn transport(packet: &Packet, checksum: Checksum) -> Vec<u8> {
    let (mut bytes, at) = match packet.header {
        PacketHeader::Tcp(from, to, flags) => (tcp(from, to, flags.0), Some(16)),
        PacketHeader::Ports(protocol, from, to) => match protocol.number() {
            132 => (sctp(from, to), None),
            33 => (dccp(from, to), Some(6)),
            number => (datagram(from, to, number == 136), Some(6)),
        },
        PacketHeader::Icmp(kind) => (icmp(packet, kind), Some(2)),
        PacketHeader::Plain(protocol) => (plain(protocol), None),
    };
    if let Some(at) = at {
        let pseudo = !(packet.family() == Family::V4 && matches!(packet.header, PacketHeader::Icmp(_)));
        let sum = transport_checksum(packet, &bytes, pseudo);
        // UDP's zero means that there is none.
        let sum = if sum == 0 { 0xffff } else { sum };
        put(&mut bytes, at, if checksum == Checksum::Right { sum } else { sum ^ 0x5555 });
    } else if checksum == Checksum::Wrong {
        put(&mut bytes, 8, 0x5555);
    }
    bytes
}

fn ports(from: u16, to: u16) -> Vec<u8> {
    [from.to_be_bytes(), to.to_be_bytes()].concat()
}

fn tcp(from: u16, to: u16, flags: u8) -> Vec<u8> {
    let mut bytes = ports(from, to);
    bytes.extend(1000u32.to_be_bytes());
    bytes.extend(if flags & 16 == 0 { [0; 4] } else { 1000u32.to_be_bytes() });
    bytes.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes
}

/// UDP or UDP-Lite, whose third field is how much the checksum covers (0 is all).
fn datagram(from: u16, to: u16, lite: bool) -> Vec<u8> {
    let mut bytes = ports(from, to);
    bytes.extend(if lite { [0, 0] } else { 12u16.to_be_bytes() });
    bytes.extend([0, 0]);
    bytes.extend(*b"fwc.");
    bytes
}

/// An INIT: what opens an association.
fn sctp(from: u16, to: u16) -> Vec<u8> {
    let mut bytes = ports(from, to);
    bytes.extend([0; 8]);
    bytes.extend([1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0, 1, 0, 1, 0, 0, 0, 1]);
    let sum = crc32c(&bytes);
    if let Some(slot) = bytes.get_mut(8..12) {
        slot.copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

/// A request: what opens a connection.
fn dccp(from: u16, to: u16) -> Vec<u8> {
    let mut bytes = ports(from, to);
    // Data offset in words, CCVal and coverage, checksum, type 0 with the long sequence number, and the service's code.
    bytes.extend([5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
    bytes.extend(*b"fwc.");
    bytes
}

fn plain(protocol: Protocol) -> Vec<u8> {
    // AH says how long it is, in words less two, and what follows.
    if protocol.number() == 51 { [&[59, 1][..], &[0; 10]].concat() } else { vec![0; 24] }
}

fn icmp(packet: &Packet, kind: u8) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0, 0x12, 0x34, 0, 1];
    if is_error(packet) {
        bytes.extend(about(packet));
    } else {
        // Long enough for every neighbour message.
        bytes.extend([0; 32]);
    }
    bytes
}

/// Whether it tells of another packet.
pub(super) fn is_error(packet: &Packet) -> bool {
    match (packet.header, packet.family()) {
        (PacketHeader::Icmp(kind), Family::V4) => matches!(kind, 3 | 4 | 5 | 11 | 12),
        (PacketHeader::Icmp(kind), Family::V6) => kind < 128,
        _ => false,
    }
}

/// The ports of the flow that errors tell of, far from what specs name.
pub(super) const ABOUT: (u16, u16) = (61_001, 61_002);

/// The packet that an error tells of: a datagram that its receiver had sent to its sender.
fn about(error: &Packet) -> Vec<u8> {
    let (from, to) = ABOUT;
    let datagram = datagram(from, to, false);
    ip(error.destination, error.source, Protocol::UDP.number(), Fragment::Whole, 1, &datagram)
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(slot) = bytes.get_mut(at..at + 2) {
        slot.copy_from_slice(&value.to_be_bytes());
    }
}

/// The one's complement sum of RFC 1071.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair.first().copied().unwrap_or(0)) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

fn transport_checksum(packet: &Packet, bytes: &[u8], pseudo: bool) -> u16 {
    let mut all = Vec::new();
    if pseudo {
        for address in [packet.source, packet.destination] {
            match address {
                IpAddr::V4(address) => all.extend(address.octets()),
                IpAddr::V6(address) => all.extend(address.octets()),
            }
        }
        all.extend(u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
        all.extend([0, 0, 0, protocol(packet)]);
    }
    all.extend(bytes);
    internet_checksum(&all)
}

/// The checksum of SCTP (RFC 9260, appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |sum: u32| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
    !bytes.iter().fold(u32::MAX, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), |sum, _| bit(sum)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standards() {
        // RFC 1071, section 3, and the check value of CRC-32C.
        assert_eq!(internet_checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
