//! The keys of sets in the words of nft, by nft's numbers of types.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::backend::nft::{Field, key_type};
use crate::net::{AddrRange, Protocol};

/// A key, or the range from one to another.
pub(super) struct Key<'a> {
    pub(super) key_type: u64,
    pub(super) first: &'a [u8],
    pub(super) last: Option<&'a [u8]>,
}

impl Key<'_> {
    /// As in `203.0.113.5 . tcp . 80-90`; what is of no known type, in hexadecimal.
    pub(super) fn words(&self) -> String {
        let last = self.last.unwrap_or(self.first);
        let fields = u32::try_from(self.key_type).ok().and_then(key_type::fields);
        let Some(fields) = fields else { return hex(self.first) };
        let mut at = 0;
        let mut words = Vec::new();
        for of in fields {
            let width = usize::from(key_type::width(of));
            let (Some(first), Some(last)) = (self.first.get(at..at + width), last.get(at..at + width)) else {
                return hex(self.first);
            };
            words.push(field(of, first, last));
            at += width.next_multiple_of(4);
        }
        words.join(" . ")
    }
}

/// A range of a plain interval set: up to, and without, its end; without one, up to the last key.
pub(super) fn range_words(key_type: u64, first: &[u8], end: Option<&[u8]>) -> String {
    let mut last = end.map_or_else(|| vec![0; first.len()], <[u8]>::to_vec);
    for byte in last.iter_mut().rev() {
        let (less, borrowed) = byte.overflowing_sub(1);
        *byte = less;
        if !borrowed {
            break;
        }
    }
    Key { key_type, first, last: Some(&last) }.words()
}

fn field(of: Field, first: &[u8], last: &[u8]) -> String {
    match (of, address(first), address(last)) {
        (Field::Address(_), Some(IpAddr::V4(first)), Some(IpAddr::V4(last))) => {
            AddrRange::V4(first.to_bits(), last.to_bits()).to_string()
        }
        (Field::Address(_), Some(IpAddr::V6(first)), Some(IpAddr::V6(last))) => {
            AddrRange::V6(first.to_bits(), last.to_bits()).to_string()
        }
        (Field::Protocol, ..) => range(protocol(first), protocol(last)),
        (Field::Port, ..) => range(number(first).to_string(), number(last).to_string()),
        (Field::Interface, ..) => super::wire::text(first),
        (Field::Address(_), ..) => hex(first),
    }
}

fn range(first: String, last: String) -> String {
    if first == last { first } else { format!("{first}-{last}") }
}

fn number(bytes: &[u8]) -> u64 {
    super::wire::number(bytes).unwrap_or(0)
}

fn protocol(bytes: &[u8]) -> String {
    let number = number(bytes).to_string();
    number.parse::<Protocol>().map_or(number, |protocol| protocol.to_string())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(|bytes| IpAddr::from(Ipv4Addr::from(bytes)));
    let v6 = || <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::from(Ipv6Addr::from(bytes)));
    v4().or_else(v6)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold("0x".to_string(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Family;

    #[test]
    fn keys_are_written_as_nft_writes_them() {
        let key_type = key_type::of_key(&[Field::Address(Family::V4), Field::Protocol, Field::Port]).into();
        let first = [203, 0, 113, 0, 6, 0, 0, 0, 0, 80, 0, 0];
        let last = [203, 0, 113, 7, 6, 0, 0, 0, 0, 90, 0, 0];
        let words = |last: Option<&[u8]>| Key { key_type, first: &first, last }.words();
        assert_eq!(words(None), "203.0.113.0 . tcp . 80");
        assert_eq!(words(Some(&last)), "203.0.113.0/29 . tcp . 80-90");
        assert_eq!(Key { key_type: 99, first: &[1, 2], last: None }.words(), "0x0102");
        assert_eq!(Key { key_type, first: &[1, 2], last: None }.words(), "0x0102");
    }

    #[test]
    fn ranges_end_before_their_end() {
        let [ipv4, ipv6, port] = [Field::Address(Family::V4), Field::Address(Family::V6), Field::Port]
            .map(|field| u64::from(key_type::number(field)));
        assert_eq!(range_words(ipv4, &[10, 0, 0, 0], Some(&[10, 1, 0, 0])), "10.0.0.0/16");
        assert_eq!(range_words(ipv4, &[255, 0, 0, 0], None), "255.0.0.0/8");
        assert_eq!(range_words(port, &[0, 80], Some(&[0, 81])), "80");
        assert_eq!(range_words(ipv6, &[0; 16], None), "::/0");
    }
}
