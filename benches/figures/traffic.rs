//! What the floods send: one packet a flow, each from its IP header on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::PacketBuilder;
use fwc::net::Family;

use super::inputs;

pub const FLOWS: usize = 100_000;
/// Sources a flow may have; the rest of the difference is in its port.
const SOURCES: usize = 250;
const PAYLOAD: [u8; 18] = [0; 18];

/// Packets of [`FLOWS`] flows, to as many services in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Traffic {
    pub family: Family,
    pub kind: Kind,
    pub services: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UDP to the services.
    Udp,
    /// The same from sources that are blocked.
    Blocked,
    /// TCP connection requests to the services' addresses, and to a port where there is none.
    Syn,
}

/// The port of [`Kind::Syn`].
pub const NO_SERVICE: u16 = 9;

impl Traffic {
    pub const fn udp(family: Family, services: usize) -> Traffic {
        Traffic { family, kind: Kind::Udp, services }
    }

    pub const fn one(kind: Kind) -> Traffic {
        Traffic { family: Family::V4, kind, services: 1 }
    }

    pub fn packets(self) -> Vec<Vec<u8>> {
        (0..FLOWS).map(|flow| self.packet(flow)).collect()
    }

    fn packet(self, flow: usize) -> Vec<u8> {
        let (address, port) = inputs::endpoint_of(self.family, flow % self.services);
        let source = source(self.family, self.kind == Kind::Blocked, flow % SOURCES);
        let from = u16::try_from(20_000 + flow / SOURCES).expect("a port");
        let builder = match (source, address) {
            (IpAddr::V4(source), IpAddr::V4(address)) => PacketBuilder::ipv4(source.octets(), address.octets(), 64),
            (IpAddr::V6(source), IpAddr::V6(address)) => PacketBuilder::ipv6(source.octets(), address.octets(), 64),
            _ => unreachable!("both are of one family"),
        };
        let mut bytes = Vec::new();
        match self.kind {
            Kind::Udp | Kind::Blocked => builder.udp(from, port).write(&mut bytes, &PAYLOAD),
            Kind::Syn => builder.tcp(from, NO_SERVICE, 1, 65_535).syn().write(&mut bytes, &[]),
        }
        .expect("a packet can be written");
        bytes
    }
}

/// The address of a sender. Those that are blocked are [`blocked_sources`].
fn source(family: Family, blocked: bool, number: usize) -> IpAddr {
    let (network, last) = (u16::from(blocked), u16::try_from(number + 1).expect("few sources"));
    match family {
        Family::V4 => {
            Ipv4Addr::from_bits(Ipv4Addr::new(198, 18 + blocked as u8, 0, 0).to_bits() + u32::from(last)).into()
        }
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0x18 + network, 0, 0, 0, 0, last).into(),
    }
}

/// The senders of [`Kind::Blocked`].
pub fn blocked_sources() -> impl Iterator<Item = IpAddr> {
    (0..SOURCES).map(|number| source(Family::V4, true, number))
}
