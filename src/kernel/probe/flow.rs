//! Flows that conntrack is to know before a packet comes, over ctnetlink.

use std::fs;
use std::net::IpAddr;

use nix::errno::Errno;
use nix::libc;

use super::bytes;
use crate::kernel::KernelError;
use crate::kernel::socket::Socket;
use crate::kernel::wire::Request;
use crate::net::{Family, PacketHeader, Protocol};
use crate::packet::Packet;
use crate::spec::Direction;

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW`, and `_DELETE`.
const NEW: u16 = 0x100;
const DELETE: u16 = 0x102;
/// `CTA_TUPLE_ORIG`, `CTA_TUPLE_REPLY`, `CTA_STATUS`, `CTA_PROTOINFO`, `CTA_TIMEOUT`, `CTA_TUPLE_MASTER`.
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const STATUS: u16 = 3;
const PROTOCOL_INFO: u16 = 4;
const TIMEOUT: u16 = 7;
const MASTER: u16 = 14;
/// `IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED`.
const ANSWERED: u32 = 2 | 4 | 8;
/// `IPS_CONFIRMED`.
const CONFIRMED: u32 = 8;
/// `TCP_CONNTRACK_SYN_SENT`, `TCP_CONNTRACK_ESTABLISHED`.
const SYN_SENT: u8 = 1;
const ESTABLISHED: u8 = 3;
/// `IP_CT_TCP_FLAG_BE_LIBERAL`: sequence numbers do not matter. Value and mask.
const LIBERAL: [u8; 2] = [8, 8];
const SECONDS: u32 = 600;

/// One direction of a flow as conntrack keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tuple {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    layer4: Layer4,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Layer4 {
    Ports(u16, u16),
    /// Identification, type, code.
    Echo(u16, u8),
    None,
}

impl Tuple {
    /// The packet's. `None` where conntrack keeps no flow for it.
    pub(super) fn of(packet: &Packet) -> Option<Tuple> {
        let layer4 = match packet.header {
            PacketHeader::Tcp(from, to, _) | PacketHeader::Ports(_, from, to) => Layer4::Ports(from, to),
            PacketHeader::Plain(_) => Layer4::None,
            PacketHeader::Icmp(kind) => {
                echo_of(packet.family(), kind)?;
                Layer4::Echo(0x1234, kind)
            }
        };
        Some(Tuple {
            source: packet.source,
            destination: packet.destination,
            protocol: bytes::protocol(packet),
            layer4,
        })
    }

    pub(super) fn reversed(self) -> Tuple {
        let layer4 = match self.layer4 {
            Layer4::Ports(from, to) => Layer4::Ports(to, from),
            Layer4::Echo(id, kind) => Layer4::Echo(id, echo_of(Family::of(self.source), kind).unwrap_or(kind)),
            Layer4::None => Layer4::None,
        };
        Tuple { source: self.destination, destination: self.source, layer4, ..self }
    }

    /// The same whichever way the packet goes: what two packets of one flow have in common.
    pub(super) fn flow(self) -> [Tuple; 2] {
        [self, self.reversed()]
    }

    fn family(self) -> u8 {
        let family = if self.source.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        u8::try_from(family).unwrap_or(0)
    }

    fn write(self, request: Request, kind: u16) -> Request {
        request.with_nested(kind, |tuple| {
            let addresses = |inner: Request| match (self.source, self.destination) {
                (IpAddr::V4(from), IpAddr::V4(to)) => inner.with(1, &from.octets()).with(2, &to.octets()),
                (IpAddr::V6(from), IpAddr::V6(to)) => inner.with(3, &from.octets()).with(4, &to.octets()),
                _ => inner,
            };
            let v4 = self.source.is_ipv4();
            // CTA_PROTO_NUM 1, ports 2 and 3; ICMP id, type, code 4 to 6; ICMPv6 7 to 9.
            let protocol = |inner: Request| {
                let inner = inner.with(1, &[self.protocol]);
                match self.layer4 {
                    Layer4::Ports(from, to) => inner.with(2, &from.to_be_bytes()).with(3, &to.to_be_bytes()),
                    Layer4::Echo(id, kind) => {
                        let first = if v4 { 4 } else { 7 };
                        inner.with(first, &id.to_be_bytes()).with(first + 1, &[kind]).with(first + 2, &[0])
                    }
                    Layer4::None if self.protocol == 47 => inner.with(2, &[0, 0]).with(3, &[0, 0]),
                    Layer4::None => inner,
                }
            };
            tuple.with_nested(1, addresses).with_nested(2, protocol)
        })
    }
}

/// The type that answers an echo request, and the other way round.
fn echo_of(family: Family, kind: u8) -> Option<u8> {
    match (family, kind) {
        (Family::V4, 8) => Some(0),
        (Family::V4, 0) => Some(8),
        (Family::V6, 128) => Some(129),
        (Family::V6, 129) => Some(128),
        _ => None,
    }
}

/// What a flow is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Answered already.
    Answered,
    /// Its first packet has been seen.
    Opened,
    /// Expected by another flow.
    Expected,
}

/// Makes what a packet needs to be called established.
pub(super) fn establish(socket: &mut Socket, packet: &Packet) -> Result<(), KernelError> {
    let Some(tuple) = Tuple::of(packet) else { return Ok(()) };
    match packet.header {
        // The answer to a SYN is only taken in its own direction, and before the connection is there.
        PacketHeader::Tcp(_, _, flags) if flags.0 & 2 != 0 => create(socket, tuple.reversed(), Kind::Opened),
        PacketHeader::Icmp(0 | 129) => create(socket, tuple.reversed(), Kind::Opened),
        _ => create(socket, tuple, Kind::Answered),
    }
}

/// Makes what a packet needs to be called related: a flow that an ICMP error tells of, or one that expects it.
pub(super) fn relate(socket: &mut Socket, packet: &Packet) -> Result<(), KernelError> {
    if bytes::is_error(packet) {
        let (from, to) = bytes::ABOUT;
        let about = Packet {
            source: packet.destination,
            destination: packet.source,
            header: PacketHeader::Ports(Protocol::UDP, from, to),
            direction: Direction::Out,
            ..packet.clone()
        };
        return Tuple::of(&about).map_or(Ok(()), |tuple| create(socket, tuple, Kind::Answered));
    }
    let Some(tuple) = Tuple::of(packet) else { return Ok(()) };
    let master = Tuple { protocol: Protocol::UDP.number(), layer4: Layer4::Ports(61_003, 61_004), ..tuple };
    create(socket, master, Kind::Answered)?;
    create_with(socket, tuple, Kind::Expected, Some(master))
}

fn create(socket: &mut Socket, tuple: Tuple, kind: Kind) -> Result<(), KernelError> {
    create_with(socket, tuple, kind, None)
}

fn create_with(socket: &mut Socket, tuple: Tuple, kind: Kind, master: Option<Tuple>) -> Result<(), KernelError> {
    let status = if kind == Kind::Answered { ANSWERED } else { CONFIRMED };
    let request = Request::netfilter(NEW, libc::NLM_F_CREATE as u16, tuple.family());
    let request = tuple.write(request, ORIGINAL);
    let mut request = tuple.reversed().write(request, REPLY).with_be32(STATUS, status).with_be32(TIMEOUT, SECONDS);
    if tuple.protocol == Protocol::TCP.number() {
        let state = if kind == Kind::Answered { ESTABLISHED } else { SYN_SENT };
        // CTA_PROTOINFO_TCP 1 with state 1 and the flags of both directions 4 and 5.
        request = request.with_nested(PROTOCOL_INFO, |info| {
            info.with_nested(1, |tcp| tcp.with(1, &[state]).with(4, &LIBERAL).with(5, &LIBERAL))
        });
    }
    if let Some(master) = master {
        request = master.write(request, MASTER);
    }
    match socket.command("make a conntrack entry", &request) {
        Err(KernelError::Refused { errno: Errno::EEXIST, .. }) => Ok(()),
        done => done,
    }
}

/// Deletes all entries of the namespace.
pub(super) fn flush(socket: &mut Socket) -> Result<(), KernelError> {
    [libc::AF_INET, libc::AF_INET6].into_iter().try_for_each(|family| {
        let family = u8::try_from(family).unwrap_or(0);
        socket.command("empty the conntrack table", &Request::netfilter(DELETE, 0, family))
    })
}

/// How many entries there are; none where conntrack is not loaded.
pub(super) fn count() -> usize {
    let text = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}
