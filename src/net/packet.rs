//! The packet of a test: `PROTO SRC[:PORT] > DST[:PORT] [FLAGS or ICMP type]`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::{AddressPattern, Endpoint, Family, Invalid, Mistake, Protocol};

/// TCP flags as in the header's 13th byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

const FLAGS: [(&str, u8); 8] =
    [("fin", 1), ("syn", 2), ("rst", 4), ("psh", 8), ("ack", 16), ("urg", 32), ("ecn", 64), ("cwr", 128)];

impl TcpFlags {
    /// SYN alone: the packet that opens a connection.
    pub const SYN: TcpFlags = TcpFlags(2);
    /// The answer to it.
    pub const SYN_ACK: TcpFlags = TcpFlags(18);

    /// SYN set and ACK not: what a reply never is.
    #[must_use]
    pub fn is_bare_syn(self) -> bool {
        self.0 & 18 == 2
    }
}

impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = FLAGS.iter().filter(|(_, bit)| self.0 & bit != 0).map(|(name, _)| *name).collect();
        if names.is_empty() { f.write_str("none") } else { f.write_str(&names.join(",")) }
    }
}

/// ICMP types by name, for both families: (name, IPv4 type, IPv6 type).
const ICMP_TYPES: [(&str, Option<u8>, Option<u8>); 15] = [
    ("echo-request", Some(8), Some(128)),
    ("echo-reply", Some(0), Some(129)),
    ("destination-unreachable", Some(3), Some(1)),
    ("packet-too-big", None, Some(2)),
    ("time-exceeded", Some(11), Some(3)),
    ("parameter-problem", Some(12), Some(4)),
    ("redirect", Some(5), Some(137)),
    ("router-advertisement", Some(9), Some(134)),
    ("router-solicitation", Some(10), Some(133)),
    ("neighbour-solicitation", None, Some(135)),
    ("neighbour-advertisement", None, Some(136)),
    ("mld-query", None, Some(130)),
    ("mld-report", None, Some(131)),
    ("mld-done", None, Some(132)),
    ("mld2-report", None, Some(143)),
];

/// What follows the IP header, as far as rules look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketHeader {
    /// TCP: source port, destination port (host byte order), flags.
    Tcp(u16, u16, TcpFlags),
    /// Another protocol with ports.
    Ports(Protocol, u16, u16),
    /// A protocol without ports.
    Plain(Protocol),
    /// ICMP or ICMPv6, by its type.
    Icmp(u8),
}

/// A packet as a test writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PacketText {
    /// Source address.
    pub source: IpAddr,
    /// Destination address, of the same family.
    pub destination: IpAddr,
    /// The header behind the IP header.
    pub header: PacketHeader,
}

const FORM: &str =
    "write PROTO SRC[:PORT] > DST[:PORT] [FLAGS or ICMP type], as in `tcp 198.51.100.7:40000 > 203.0.113.5:80 syn`";

fn refused(text: &str, part: &str, message: impl Into<String>, help: impl Into<String>) -> Invalid {
    // `part` is a slice of `text`, so its offset is the distance of the two.
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
    Invalid {
        mistake: Mistake::Packet,
        message: message.into(),
        range: start..(start + part.len()).min(text.len()),
        help: help.into(),
    }
}

impl FromStr for PacketText {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (proto, source, destination, extra) = match words.as_slice() {
            [proto, source, ">", destination] => (*proto, *source, *destination, None),
            [proto, source, ">", destination, extra] => (*proto, *source, *destination, Some(*extra)),
            _ => return Err(refused(text, text, format!("`{text}` is not a packet"), FORM)),
        };
        let (from, from_port) = side(text, source)?;
        let (to, to_port) = side(text, destination)?;
        if from.is_ipv4() != to.is_ipv4() {
            return Err(refused(
                text,
                destination,
                "the packet's two addresses are of different families",
                "write two IPv4 or two IPv6 addresses",
            ));
        }
        let ports = Ports { source: (source, from_port), destination: (destination, to_port) };
        let header = header(text, proto, Family::of(from), &ports, extra)?;
        Ok(PacketText { source: from, destination: to, header })
    }
}

struct Ports<'a> {
    source: (&'a str, Option<u16>),
    destination: (&'a str, Option<u16>),
}

impl Ports<'_> {
    fn both(&self, text: &str) -> Result<(u16, u16), Invalid> {
        match (self.source.1, self.destination.1) {
            (Some(source), Some(destination)) => Ok((source, destination)),
            (None, _) => Err(refused(text, self.source.0, "the source has no port", FORM)),
            (_, None) => Err(refused(text, self.destination.0, "the destination has no port", FORM)),
        }
    }

    fn none(&self, text: &str, proto: &str) -> Result<(), Invalid> {
        for (side, port) in [self.source, self.destination] {
            if port.is_some() {
                return Err(refused(text, side, format!("{proto} has no ports"), "leave the port out"));
            }
        }
        Ok(())
    }
}

fn side(text: &str, part: &str) -> Result<(IpAddr, Option<u16>), Invalid> {
    let offset = refused(text, part, "", "").range.start;
    let endpoint: Endpoint = part.parse().map_err(|invalid: Invalid| invalid.shifted(offset))?;
    let address = match endpoint.address {
        AddressPattern::Range(range) => range.as_host(),
        _ => None,
    };
    let Some(address) = address else {
        return Err(refused(text, part, format!("`{part}` is not one address"), FORM));
    };
    match endpoint.ports {
        None => Ok((address, None)),
        Some(ports) => match ports.as_single() {
            Some(port) => Ok((address, Some(port))),
            None => Err(refused(text, part, format!("`{part}` has more than one port"), FORM)),
        },
    }
}

fn header(
    text: &str,
    proto: &str,
    family: Family,
    ports: &Ports<'_>,
    extra: Option<&str>,
) -> Result<PacketHeader, Invalid> {
    if matches!(proto, "icmp" | "icmpv6") {
        ports.none(text, proto)?;
        let wanted = if family == Family::V4 { "icmp" } else { "icmpv6" };
        if proto != wanted {
            return Err(refused(text, proto, format!("{proto} does not exist in {family}"), format!("write {wanted}")));
        }
        return icmp_type(text, family, extra.unwrap_or("echo-request")).map(PacketHeader::Icmp);
    }
    let offset = refused(text, proto, "", "").range.start;
    let protocol: Protocol = proto.parse().map_err(|invalid: Invalid| invalid.shifted(offset))?;
    if protocol == Protocol::TCP {
        let (source, destination) = ports.both(text)?;
        let flags = extra.map_or(Ok(TcpFlags::SYN), |extra| tcp_flags(text, extra))?;
        return Ok(PacketHeader::Tcp(source, destination, flags));
    }
    if let Some(extra) = extra {
        return Err(refused(text, extra, format!("{protocol} has neither flags nor a type"), "leave it out"));
    }
    if protocol.has_ports() {
        let (source, destination) = ports.both(text)?;
        return Ok(PacketHeader::Ports(protocol, source, destination));
    }
    ports.none(text, proto)?;
    if !protocol.exists_in(family) {
        return Err(refused(
            text,
            proto,
            format!("{protocol} does not exist in {family}"),
            "use addresses of the other family",
        ));
    }
    Ok(PacketHeader::Plain(protocol))
}

fn tcp_flags(text: &str, extra: &str) -> Result<TcpFlags, Invalid> {
    if extra == "none" {
        return Ok(TcpFlags(0));
    }
    let mut bits = 0;
    for word in extra.split(',') {
        let Some(&(_, bit)) = FLAGS.iter().find(|&&(name, _)| name == word) else {
            return Err(refused(
                text,
                if word.is_empty() { extra } else { word },
                format!("`{word}` is not a TCP flag"),
                "write flags joined by commas: fin, syn, rst, psh, ack, urg, ecn, cwr, or none",
            ));
        };
        bits |= bit;
    }
    Ok(TcpFlags(bits))
}

fn icmp_type(text: &str, family: Family, word: &str) -> Result<u8, Invalid> {
    if let Some(&(_, v4, v6)) = ICMP_TYPES.iter().find(|&&(name, ..)| name == word) {
        let number = if family == Family::V4 { v4 } else { v6 };
        return number.ok_or_else(|| {
            refused(text, word, format!("`{word}` does not exist in {family}"), "write a type of the packet's family")
        });
    }
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| digits).ok_or_else(|| {
        refused(
            text,
            word,
            format!("`{word}` is not an ICMP type"),
            "write a number or a name such as echo-request, destination-unreachable, time-exceeded, packet-too-big",
        )
    })
}

/// As a test writes it; reading gives the same packet.
impl fmt::Display for PacketText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |address: IpAddr, port: u16| std::net::SocketAddr::new(address, port);
        let (source, destination) = (self.source, self.destination);
        match self.header {
            PacketHeader::Tcp(from, to, flags) => {
                write!(f, "tcp {} > {} {flags}", side(source, from), side(destination, to))
            }
            PacketHeader::Ports(protocol, from, to) => {
                write!(f, "{protocol} {} > {}", side(source, from), side(destination, to))
            }
            PacketHeader::Plain(protocol) => write!(f, "{protocol} {source} > {destination}"),
            PacketHeader::Icmp(kind) => {
                let v4 = source.is_ipv4();
                let protocol = if v4 { "icmp" } else { "icmpv6" };
                write!(f, "{protocol} {source} > {destination} ")?;
                let known = ICMP_TYPES.iter().find(|&&(_, four, six)| Some(kind) == if v4 { four } else { six });
                match known {
                    Some((name, ..)) => f.write_str(name),
                    None => write!(f, "{kind}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "tcp 198.51.100.7:40000 > 203.0.113.5:80 syn,ack",
            "tcp [2001:db8::1]:1 > [2001:db8::2]:2 none",
            "udp 192.0.2.1:53 > 192.0.2.2:99",
            "icmp 192.0.2.1 > 192.0.2.2 destination-unreachable",
            "icmpv6 2001:db8::1 > 2001:db8::2 neighbour-solicitation",
            "icmp 192.0.2.1 > 192.0.2.2 99",
            "gre 192.0.2.1 > 192.0.2.2",
            "99 192.0.2.1 > 192.0.2.2",
        ] {
            assert_eq!(text.parse::<PacketText>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn every_form() {
        let parse = |text: &str| text.parse::<PacketText>().unwrap().header;
        assert_eq!(parse("tcp 198.51.100.7:40000 > 203.0.113.5:80"), PacketHeader::Tcp(40000, 80, TcpFlags::SYN));
        assert_eq!(parse("tcp [2001:db8::1]:1 > [2001:db8::2]:2 syn,ack"), PacketHeader::Tcp(1, 2, TcpFlags::SYN_ACK));
        assert_eq!(parse("udp 192.0.2.1:53 > 192.0.2.2:99"), PacketHeader::Ports(Protocol::UDP, 53, 99));
        assert_eq!(parse("icmp 192.0.2.1 > 192.0.2.2 destination-unreachable"), PacketHeader::Icmp(3));
        assert_eq!(parse("icmpv6 2001:db8::1 > 2001:db8::2 135"), PacketHeader::Icmp(135));
        assert_eq!(parse("gre 192.0.2.1 > 192.0.2.2"), PacketHeader::Plain("gre".parse().unwrap()));
    }

    #[test]
    fn mistakes_point_at_their_word() {
        let at = |text: &str| {
            let invalid = text.parse::<PacketText>().unwrap_err();
            text[invalid.range].to_string()
        };
        assert_eq!(at("tcp 198.51.100.7 > 203.0.113.5:80"), "198.51.100.7");
        assert_eq!(at("tcp 198.51.100.7:1 > 203.0.113.5:80 sin"), "sin");
        assert_eq!(at("tpc 198.51.100.7:1 > 203.0.113.5:80"), "tpc");
        assert_eq!(at("udp 198.51.100.7:1 > 203.0.113.5:80 syn"), "syn");
        assert_eq!(at("udp 198.51.100.7:1 > [2001:db8::1]:80"), "[2001:db8::1]:80");
        assert_eq!(at("tcp 198.51.100.7:1 > 203.0.113.0/24:80"), "203.0.113.0/24:80");
        assert_eq!(at("icmp 198.51.100.7 > 203.0.113.5 packet-too-big"), "packet-too-big");
        assert_eq!(at("tcp 198.51.100.7:0 > 203.0.113.5:80"), "0");
        assert_eq!(at("tcp a b c"), "tcp a b c");
    }
}
