//! Transport protocols.

use std::fmt;
use std::str::FromStr;

use super::{Family, Invalid, Mistake, nearest};

/// An IP protocol number other than ICMP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(u8);

const NAMES: [(&str, u8); 12] = [
    ("tcp", 6),
    ("udp", 17),
    ("sctp", 132),
    ("dccp", 33),
    ("udplite", 136),
    ("esp", 50),
    ("ah", 51),
    ("gre", 47),
    ("ipip", 4),
    ("vrrp", 112),
    ("ospf", 89),
    ("igmp", 2),
];

/// Numbers that IPv6 uses for extension headers. The kernel skips these headers when it looks for the protocol
/// (`ipv6_find_hdr`), so no rule can match them there.
const IPV6_EXTENSION_HEADERS: [u8; 6] = [0, 43, 44, 51, 59, 60];

impl Protocol {
    /// TCP.
    pub const TCP: Protocol = Protocol(6);
    /// UDP.
    pub const UDP: Protocol = Protocol(17);
    /// The numbers of those whose packets have source and destination port where TCP has them: TCP, UDP, DCCP, SCTP, UDP-Lite.
    pub const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

    /// The protocol of this number in the IP header; none of ICMP's, which belong to no service.
    #[must_use]
    pub fn numbered(number: u8) -> Option<Protocol> {
        (!matches!(number, 0 | 1 | 58)).then_some(Protocol(number))
    }

    /// The names that a spec may use, for messages and the schema.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|&(name, _)| name)
    }

    /// The number in the IP header.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// Whether its packets carry ports.
    #[must_use]
    pub fn has_ports(self) -> bool {
        Self::WITH_PORTS.contains(&self.0)
    }

    /// Whether a rule can match it in this family.
    #[must_use]
    pub fn exists_in(self, family: Family) -> bool {
        match family {
            Family::V4 => true,
            Family::V6 => self.0 != 2 && !IPV6_EXTENSION_HEADERS.contains(&self.0),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|&&(_, number)| number == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Protocol {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Some(&(_, number)) = NAMES.iter().find(|&&(name, _)| name == text) {
            return Ok(Protocol(number));
        }
        let refused = |message: String, help: &str| Err(Invalid::whole(Mistake::Protocol, text, message, help));
        if matches!(text, "icmp" | "icmpv6" | "ipv6-icmp" | "1" | "58") {
            return refused(
                format!("`{text}` is not the protocol of a service"),
                "ICMP errors and neighbour discovery are always accepted; write `icmp: {ping: true}` for ping",
            );
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match text.parse::<u8>() {
                Ok(number) if number != 0 && !text.starts_with('0') => Ok(Protocol(number)),
                _ => refused(format!("`{text}` is not a protocol number"), "write a number from 1 to 255"),
            };
        }
        match nearest(text, Protocol::names()) {
            Some(name) => refused(format!("unknown protocol `{text}`"), &format!("did you mean `{name}`?")),
            None => refused(
                format!("unknown protocol `{text}`"),
                "write tcp, udp, sctp, dccp, udplite, esp, ah, gre, ipip, vrrp, ospf, igmp or a number",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_the_same_thing() {
        assert_eq!("6".parse::<Protocol>().unwrap(), Protocol::TCP);
        for number in 0..=255 {
            assert_eq!(Protocol::numbered(number), number.to_string().parse().ok(), "{number}");
        }
        assert_eq!("99".parse::<Protocol>().unwrap().to_string(), "99");
        for name in Protocol::names() {
            assert_eq!(name.parse::<Protocol>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn icmp_and_zero_are_refused() {
        for text in ["icmp", "58", "0", "256", "", "06", "TCP"] {
            assert!(text.parse::<Protocol>().is_err(), "{text}");
        }
        assert_eq!("tpc".parse::<Protocol>().unwrap_err().help, "did you mean `tcp`?");
    }

    #[test]
    fn extension_headers_do_not_exist_in_ipv6() {
        assert!(!"ah".parse::<Protocol>().unwrap().exists_in(Family::V6));
        assert!("esp".parse::<Protocol>().unwrap().exists_in(Family::V6));
    }
}
