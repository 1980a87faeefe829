//! One entry of the conntrack table, as ctnetlink tells it.

use std::net::IpAddr;

use crate::kernel::wire::{self, Attribute, Malformed};

/// Attributes of an entry: `CTA_TUPLE_ORIG`, `CTA_STATUS`, `CTA_PROTOINFO`, `CTA_ID`, `CTA_ZONE`.
pub(super) const TUPLE_ORIGINAL: u16 = 1;
const STATUS: u16 = 3;
const PROTOCOL_STATE: u16 = 4;
pub(super) const ID: u16 = 12;
pub(super) const ZONE: u16 = 18;
/// Inside a tuple: `CTA_TUPLE_IP`, `CTA_TUPLE_PROTO`.
const TUPLE_ADDRESSES: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
/// Inside the state of a protocol: `CTA_PROTOINFO_TCP`, and in it `CTA_PROTOINFO_TCP_STATE`.
const TCP: u16 = 1;
const TCP_STATE: u16 = 1;
/// `IPS_SEEN_REPLY`, `IPS_SRC_NAT | IPS_DST_NAT`.
const SEEN_REPLY: u32 = 1 << 1;
const TRANSLATED: u32 = 1 << 4 | 1 << 5;

/// What conntrack knows of a flow, in the direction of its first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Who sent the first packet.
    pub source: IpAddr,
    /// Who it went to.
    pub destination: IpAddr,
    /// The protocol's number.
    pub protocol: u8,
    /// Source and destination port, host byte order, where the protocol has ports.
    pub ports: Option<(u16, u16)>,
    /// How far the connection is, of TCP.
    pub state: Option<TcpState>,
    /// Whether anything came back.
    pub replied: bool,
    /// Whether NAT changes its addresses.
    pub translated: bool,
}

/// An entry: a flow, and what names it to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The flow.
    pub flow: Flow,
    /// Attributes, as the kernel gave them.
    pub(super) tuple: &'a [u8],
    pub(super) id: Option<&'a [u8]>,
    pub(super) zone: Option<&'a [u8]>,
}

/// How far conntrack thinks a TCP connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TcpState {
    /// `NONE`, or a state that fwc does not know.
    None,
    /// One side has asked.
    SynSent,
    /// The other side has answered.
    SynRecv,
    /// Open.
    Established,
    /// One side has closed.
    FinWait,
    /// The closing was acknowledged.
    CloseWait,
    /// Both sides have closed.
    LastAck,
    /// Over, and kept.
    TimeWait,
    /// Reset.
    Close,
    /// Both sides have asked at once.
    SynSent2,
}

impl TcpState {
    fn of(number: u8) -> Self {
        match number {
            1 => TcpState::SynSent,
            2 => TcpState::SynRecv,
            3 => TcpState::Established,
            4 => TcpState::FinWait,
            5 => TcpState::CloseWait,
            6 => TcpState::LastAck,
            7 => TcpState::TimeWait,
            8 => TcpState::Close,
            9 => TcpState::SynSent2,
            _ => TcpState::None,
        }
    }
}

impl<'a> Entry<'a> {
    /// Reads the attributes of a message; `None` where it is about no flow between two addresses.
    pub(super) fn read(attributes: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let (mut tuple, mut id, mut zone, mut state, mut status) = (None, None, None, None, 0);
        // A table may have a million of these: no sorting into fields, one look at each attribute.
        for attribute in wire::attributes(attributes) {
            let Attribute { kind, value } = attribute?;
            match kind {
                TUPLE_ORIGINAL => tuple = Some(value),
                STATUS => status = wire::number(value).and_then(|bits| u32::try_from(bits).ok()).unwrap_or(0),
                PROTOCOL_STATE => state = tcp_state(value)?,
                ID => id = Some(value),
                ZONE => zone = Some(value),
                _ => {}
            }
        }
        let Some(tuple) = tuple else { return Ok(None) };
        let Some((source, destination, protocol, ports)) = ends(tuple)? else { return Ok(None) };
        let (replied, translated) = (status & SEEN_REPLY != 0, status & TRANSLATED != 0);
        let flow = Flow { source, destination, protocol, ports, state, replied, translated };
        Ok(Some(Entry { flow, tuple, id, zone }))
    }
}

type Ends = (IpAddr, IpAddr, u8, Option<(u16, u16)>);

fn ends(tuple: &[u8]) -> Result<Option<Ends>, Malformed> {
    let (mut source, mut destination, mut protocol, mut from, mut to) = (None, None, None, None, None);
    for part in wire::attributes(tuple) {
        let Attribute { kind, value } = part?;
        for field in wire::attributes(value) {
            let Attribute { kind: field, value } = field?;
            match (kind, field) {
                (TUPLE_ADDRESSES, 1 | 3) => source = address(value),
                (TUPLE_ADDRESSES, 2 | 4) => destination = address(value),
                (TUPLE_PROTOCOL, 1) => protocol = value.first().copied(),
                (TUPLE_PROTOCOL, 2) => from = port(value),
                (TUPLE_PROTOCOL, 3) => to = port(value),
                _ => {}
            }
        }
    }
    let (Some(source), Some(destination), Some(protocol)) = (source, destination, protocol) else { return Ok(None) };
    Ok(Some((source, destination, protocol, from.zip(to))))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

fn port(bytes: &[u8]) -> Option<u16> {
    <[u8; 2]>::try_from(bytes).ok().map(u16::from_be_bytes)
}

fn tcp_state(protocols: &[u8]) -> Result<Option<TcpState>, Malformed> {
    for protocol in wire::attributes(protocols) {
        let Attribute { kind, value } = protocol?;
        for field in wire::attributes(value) {
            let field = field?;
            if (kind, field.kind) == (TCP, TCP_STATE) {
                return Ok(field.value.first().copied().map(TcpState::of));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::wire::{HEADER, NFGENMSG, Request};
    use proptest::prelude::*;

    #[test]
    fn an_entry_is_read_whole() {
        let message = Request::netfilter(0, 0, 2)
            .with_nested(TUPLE_ORIGINAL, |tuple| {
                tuple
                    .with_nested(1, |ip| ip.with(1, &[198, 51, 100, 7]).with(2, &[203, 0, 113, 5]))
                    .with_nested(2, |proto| proto.with(1, &[6]).with(2, &[0x9c, 0x40]).with(3, &[0, 80]))
            })
            .with_be32(STATUS, SEEN_REPLY | 1 << 5)
            .with_nested(PROTOCOL_STATE, |info| info.with_nested(TCP, |tcp| tcp.with(TCP_STATE, &[7])))
            .with_be32(ID, 99)
            .finish(0);
        let entry = Entry::read(&message[HEADER + NFGENMSG..]).unwrap().unwrap();
        let flow = entry.flow;
        let ends = (flow.source.to_string(), flow.destination.to_string());
        assert_eq!(ends, ("198.51.100.7".to_string(), "203.0.113.5".to_string()));
        assert_eq!((flow.protocol, flow.ports, flow.state), (6, Some((40_000, 80)), Some(TcpState::TimeWait)));
        assert_eq!((flow.replied, flow.translated, entry.id), (true, true, Some(&[0, 0, 0, 99][..])));
        assert_eq!(entry.zone, None);
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = Entry::read(&bytes);
        }
    }
}
