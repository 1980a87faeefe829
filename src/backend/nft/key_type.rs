//! The types of sets' keys as nft numbers them, so that it lists them as they were written (`enum datatypes` in its include/datatype.h).

use crate::net::Family;

/// A field of a set's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// `ifname`
    Interface,
    /// `ipv4_addr` or `ipv6_addr`
    Address(Family),
    /// `inet_proto`
    Protocol,
    /// `inet_service`
    Port,
}

/// Bits of a field's number in the number of a key of several fields (`TYPE_BITS`).
pub const BITS: u32 = 6;
/// `ifname`
pub const INTERFACE: u32 = 41;
/// `inet_service`
pub const PORT: u32 = 13;
/// `icmp_type`
pub const ICMP: u32 = 14;
/// `icmpv6_type`
pub const ICMPV6: u32 = 29;

const FIELDS: [Field; 5] =
    [Field::Interface, Field::Address(Family::V4), Field::Address(Family::V6), Field::Protocol, Field::Port];

/// The number of a field.
#[must_use]
pub fn number(field: Field) -> u32 {
    match field {
        Field::Interface => INTERFACE,
        Field::Address(Family::V4) => 7,
        Field::Address(Family::V6) => 8,
        Field::Protocol => 12,
        Field::Port => PORT,
    }
}

/// The number of a key.
#[must_use]
pub fn of_key(fields: &[Field]) -> u32 {
    fields.iter().fold(0, |sum, field| sum << BITS | number(*field))
}

/// The fields of the key with this number; none if one of them is of a type that fwc does not use.
#[must_use]
pub fn fields(key: u32) -> Option<Vec<Field>> {
    let mut found = Vec::new();
    let mut rest = key;
    while rest != 0 {
        let one = rest & ((1 << BITS) - 1);
        found.push(FIELDS.into_iter().find(|field| number(*field) == one)?);
        rest >>= BITS;
    }
    found.reverse();
    Some(found)
}

/// Bytes of a field, without padding.
#[must_use]
pub fn width(field: Field) -> u8 {
    match field {
        Field::Interface | Field::Address(Family::V6) => 16,
        Field::Address(Family::V4) => 4,
        Field::Protocol => 1,
        Field::Port => 2,
    }
}

/// Bytes of a key: of several fields, each is padded to 4.
#[must_use]
pub fn length(fields: &[Field]) -> u32 {
    match fields {
        [only] => width(*only).into(),
        _ => fields.iter().map(|field| u32::from(width(*field)).next_multiple_of(4)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_its_number() {
        for field in FIELDS {
            assert_eq!(fields(number(field)), Some(vec![field]));
        }
        let key = [Field::Address(Family::V4), Field::Protocol, Field::Port];
        assert_eq!(of_key(&key), 7 << 12 | 12 << 6 | 13);
        assert_eq!(fields(of_key(&key)), Some(key.to_vec()));
        assert_eq!(fields(PORT << BITS | ICMP), None);
    }
}
