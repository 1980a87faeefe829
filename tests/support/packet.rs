//! Packets as no ordinary program sends them: any flags, any source, fragments, protocols without ports.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicU32, Ordering};

use etherparse::{
    IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6FragmentHeader, Ipv6Header,
    PacketBuilder, PacketBuilderStep, TcpHeader,
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::namespace::Namespace;
use super::probe::endpoint;

const HOPS: u8 = 64;

/// An IP packet, with a payload that no other packet of this process has.
#[derive(Clone, Debug)]
pub struct Packet {
    source: IpAddr,
    destination: IpAddr,
    protocol: IpNumber,
    /// All behind the IP header: the fragment header where there is one, the transport header, the payload.
    body: Vec<u8>,
    /// The bytes of the whole packet from its IP header on.
    bytes: Vec<u8>,
    token: Vec<u8>,
}

impl Packet {
    /// A TCP packet. `flags` are names joined by commas, `syn,ack`; empty for none.
    pub fn tcp(source: &str, destination: &str, flags: &str) -> Packet {
        let (from, to) = (endpoint(source), endpoint(destination));
        let mut header = TcpHeader::new(from.port(), to.port(), 1, 1024);
        for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
            let place = match flag {
                "syn" => &mut header.syn,
                "ack" => &mut header.ack,
                "fin" => &mut header.fin,
                "rst" => &mut header.rst,
                "psh" => &mut header.psh,
                "urg" => &mut header.urg,
                "ece" => &mut header.ece,
                "cwr" => &mut header.cwr,
                _ => panic!("{flag} is no TCP flag"),
            };
            *place = true;
        }
        Packet::build(from.ip(), to.ip(), IpNumber::TCP, token(), |ip, payload, bytes| {
            ip.tcp_header(header).write(bytes, payload).expect("a TCP packet can be written");
        })
    }

    /// A UDP packet.
    pub fn udp(source: &str, destination: &str) -> Packet {
        Packet::udp_of_length(source, destination, 0)
    }

    /// A UDP packet with at least so many bytes of payload, so that it can be sent in fragments.
    pub fn udp_of_length(source: &str, destination: &str, length: usize) -> Packet {
        let (from, to) = (endpoint(source), endpoint(destination));
        let mut payload = token();
        payload.resize(payload.len().max(length), b'.');
        Packet::build(from.ip(), to.ip(), IpNumber::UDP, payload, |ip, payload, bytes| {
            ip.udp(from.port(), to.port()).write(bytes, payload).expect("a UDP packet can be written");
        })
    }

    /// An ICMP or, between IPv6 addresses, an ICMPv6 packet of any type and code.
    pub fn icmp(source: &str, destination: &str, kind: u8, code: u8) -> Packet {
        Packet::icmp_with(source, destination, kind, code, token())
    }

    /// An ICMP error that quotes the beginning of `about`, as a router sends it. The four bytes behind the checksum
    /// are the MTU, where type and code have one.
    pub fn icmp_error(source: &str, about: &Packet, kind: u8, code: u8) -> Packet {
        let quote = about.bytes[..about.bytes.len().min(128)].to_vec();
        let destination = about.source.to_string();
        let mut packet = Packet::icmp_with(source, &destination, kind, code, quote);
        // The quote holds it whole: TCP and UDP headers are short.
        packet.token.clone_from(&about.token);
        packet
    }

    fn icmp_with(source: &str, destination: &str, kind: u8, code: u8, payload: Vec<u8>) -> Packet {
        let (from, to) = (address(source), address(destination));
        let rest = 1280_u32.to_be_bytes();
        let protocol = if from.is_ipv4() { IpNumber::ICMP } else { IpNumber::IPV6_ICMP };
        Packet::build(from, to, protocol, payload, |ip, payload, bytes| {
            let built = match protocol {
                IpNumber::ICMP => ip.icmpv4_raw(kind, code, rest).write(bytes, payload),
                _ => ip.icmpv6_raw(kind, code, rest).write(bytes, payload),
            };
            built.expect("an ICMP packet can be written");
        })
    }

    /// A packet of a protocol by its number, without ports: esp is 50, ah 51, gre 47, vrrp 112.
    pub fn of_protocol(source: &str, destination: &str, protocol: u8) -> Packet {
        Packet::build(address(source), address(destination), IpNumber(protocol), token(), |ip, payload, bytes| {
            ip.write(bytes, IpNumber(protocol), payload).expect("a packet can be written");
        })
    }

    /// A packet of a protocol whose header begins with the two ports, as sctp (132), dccp (33) and udplite (136) do.
    /// Only the ports are filled in, which is all that a firewall looks at.
    pub fn of_protocol_with_ports(source: &str, destination: &str, protocol: u8) -> Packet {
        let (from, to) = (endpoint(source), endpoint(destination));
        let mut payload = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
        // Longer than each of the three headers.
        payload.extend([0; 28]);
        let token = token();
        payload.extend(&token);
        let mut packet = Packet::build(from.ip(), to.ip(), IpNumber(protocol), payload, |ip, payload, bytes| {
            ip.write(bytes, IpNumber(protocol), payload).expect("a packet can be written");
        });
        packet.token = token;
        packet
    }

    /// The packet in two fragments, the first with `first` bytes behind the IP header (a multiple of 8).
    pub fn fragments(&self, first: usize) -> [Packet; 2] {
        static IDENTIFICATION: AtomicU32 = AtomicU32::new(1);
        assert!(first.is_multiple_of(8) && first < self.body.len(), "{first} bytes do not make a first fragment");
        let identification = IDENTIFICATION.fetch_add(1, Ordering::Relaxed);
        [(0, &self.body[..first], true), (first, &self.body[first..], false)].map(|(offset, part, more)| {
            let units = u16::try_from(offset / 8).expect("a small packet");
            let offset = IpFragOffset::try_new(units).expect("a small packet");
            self.fragment(offset, more, identification, part)
        })
    }

    fn fragment(&self, offset: IpFragOffset, more: bool, identification: u32, part: &[u8]) -> Packet {
        let mut headers = headers(self.source, self.destination);
        match &mut headers {
            IpHeaders::Ipv4(header, _) => {
                header.dont_fragment = false;
                header.more_fragments = more;
                header.fragment_offset = offset;
                // Only half of it fits, which is enough to tell packets apart.
                header.identification = identification as u16;
            }
            IpHeaders::Ipv6(_, extensions) => {
                let header = Ipv6FragmentHeader::new(self.protocol, offset, more, identification);
                extensions.fragment = Some(header);
            }
        }
        let mut bytes = Vec::new();
        PacketBuilder::ip(headers).write(&mut bytes, self.protocol, part).expect("a fragment can be written");
        Packet { body: bytes[ip_header_length(self.source)..].to_vec(), bytes, ..self.clone() }
    }

    fn build(
        source: IpAddr,
        destination: IpAddr,
        protocol: IpNumber,
        payload: Vec<u8>,
        write: impl FnOnce(PacketBuilderStep<IpHeaders>, &[u8], &mut Vec<u8>),
    ) -> Packet {
        let mut bytes = Vec::new();
        write(PacketBuilder::ip(headers(source, destination)), &payload, &mut bytes);
        let body = bytes[ip_header_length(source)..].to_vec();
        Packet { source, destination, protocol, body, bytes, token: payload }
    }

    /// Sends the packet from a namespace, whatever its source address says. Gives whether that namespace's own filter
    /// let it out: the kernel answers a drop in an output hook with EPERM.
    pub fn leaves(&self, from: &Namespace) -> bool {
        // The protocol "raw" tells the kernel that the IP header comes with the packet.
        let socket = raw_socket(from, self.domain(), IpNumber(255));
        let to = SockAddr::from(self.target(from));
        match socket.send_to(&self.bytes, &to) {
            Ok(sent) => sent == self.bytes.len(),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => false,
            Err(error) => panic!("sending {self:?}: {error}"),
        }
    }

    /// Link-local and multicast IPv6 destinations need the interface with them; `eth0` is what every host has.
    fn target(&self, from: &Namespace) -> SocketAddr {
        match self.destination {
            IpAddr::V6(to) if to.is_unicast_link_local() || to.is_multicast() => {
                let index = from.enter(|| nix::net::if_::if_nametoindex("eth0")).expect("the host has an eth0");
                SocketAddr::V6(SocketAddrV6::new(to, 0, 0, index))
            }
            to => SocketAddr::new(to, 0),
        }
    }

    /// Whether these bytes end in this very packet; `bytes` may begin with any headers in front.
    pub fn ends(&self, bytes: &[u8]) -> bool {
        bytes.ends_with(&self.body)
    }

    /// Whether these bytes hold this packet's payload.
    pub fn is_within(&self, bytes: &[u8]) -> bool {
        bytes.windows(self.token.len()).any(|window| window == self.token)
    }

    /// A socket in a namespace that receives what the filter lets through of this packet's protocol.
    pub fn receiver(&self, on: &Namespace) -> Socket {
        raw_socket(on, self.domain(), self.protocol)
    }

    fn domain(&self) -> Domain {
        if self.source.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 }
    }
}

fn raw_socket(on: &Namespace, domain: Domain, protocol: IpNumber) -> Socket {
    on.enter(|| Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(protocol.0))))).expect("a raw socket")
}

/// 16 bytes that no other packet of this process has.
fn token() -> Vec<u8> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("fwc-probe-{:06}", COUNT.fetch_add(1, Ordering::Relaxed)).into_bytes()
}

#[track_caller]
fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|error| panic!("{text} is no address: {error}"))
}

fn ip_header_length(address: IpAddr) -> usize {
    if address.is_ipv4() { Ipv4Header::MIN_LEN } else { Ipv6Header::LEN }
}

/// The length and the protocol in them come when the packet is written.
fn headers(source: IpAddr, destination: IpAddr) -> IpHeaders {
    match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => IpHeaders::Ipv4(v4_header(from, to), Ipv4Extensions::default()),
        (IpAddr::V6(from), IpAddr::V6(to)) => IpHeaders::Ipv6(v6_header(from, to), Ipv6Extensions::default()),
        _ => panic!("{source} and {destination} are not of one family"),
    }
}

fn v4_header(from: Ipv4Addr, to: Ipv4Addr) -> Ipv4Header {
    Ipv4Header::new(0, HOPS, IpNumber(0), from.octets(), to.octets()).expect("an empty payload fits")
}

fn v6_header(from: Ipv6Addr, to: Ipv6Addr) -> Ipv6Header {
    Ipv6Header { hop_limit: HOPS, source: from.octets(), destination: to.octets(), ..Ipv6Header::default() }
}
