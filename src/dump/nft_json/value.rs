//! Values of nft's JSON as the bytes that the kernel compares, so that both readers ask in the same way.

use std::net::IpAddr;

use serde_json::Value as Json;

use crate::dump::netlink::field::Field;
use crate::dump::netlink::register::{Loaded, What};
use crate::dump::nft_names::{ICMP, ICMP_CODES, ICMPV6, ICMPV6_CODES, Names, PROTOCOLS, TCP_FLAGS, named};
use crate::dump::{InterfacePattern, Value};
use crate::kernel::wire;
use crate::net::{AddrRange, Family};

const STATES: Names = &[("invalid", 1), ("established", 2), ("related", 4), ("new", 8), ("untracked", 64)];
const STATUSES: Names =
    &[("expected", 1), ("seen-reply", 2), ("assured", 4), ("confirmed", 8), ("snat", 16), ("dnat", 32), ("dying", 512)];
const ADDRESS_TYPES: Names = &[
    ("unspec", 0),
    ("unicast", 1),
    ("local", 2),
    ("broadcast", 3),
    ("anycast", 4),
    ("multicast", 5),
    ("blackhole", 6),
    ("unreachable", 7),
    ("prohibit", 8),
];
const FAMILIES: Names = &[("ipv4", 2), ("ipv6", 10)];
const ETHER_TYPES: Names = &[("ip", 0x0800), ("ip6", 0x86dd), ("arp", 0x0806), ("vlan", 0x8100)];

fn words(loaded: &Loaded, field: Option<Field>) -> Names {
    match (&loaded.what, field) {
        (_, Some(Field::Protocol)) => PROTOCOLS,
        (_, Some(Field::IcmpType(Family::V4))) => ICMP,
        (_, Some(Field::IcmpType(Family::V6))) => ICMPV6,
        (_, Some(Field::IcmpCode(Family::V4))) => ICMP_CODES,
        (_, Some(Field::IcmpCode(Family::V6))) => ICMPV6_CODES,
        (What::Transport { offset: 13 }, _) => TCP_FLAGS,
        (What::Conntrack { key: 0, .. }, _) => STATES,
        (What::Conntrack { key: 2, .. }, _) => STATUSES,
        (What::AddressType(_), _) => ADDRESS_TYPES,
        (What::Meta(15), _) => FAMILIES,
        (What::Meta(1), _) => ETHER_TYPES,
        // lo is the first interface of every namespace.
        (What::Meta(4 | 5), _) => &[("lo", 1)],
        _ => &[],
    }
}

/// Whether the kernel keeps the value in the host's byte order.
fn is_host_order(what: &What) -> bool {
    match what {
        What::Conntrack { key, .. } => matches!(key, 0 | 2),
        What::AddressType(_) | What::Meta(4 | 5) => true,
        _ => false,
    }
}

/// The bytes of one value; a list is all of its bits at once.
pub(super) fn bytes(loaded: &Loaded, field: Option<Field>, value: &Json) -> Option<Vec<u8>> {
    match field {
        Some(Field::Interface(_)) => return value.as_str().map(name_bytes),
        Some(Field::Address(..) | Field::OriginalDestination(_)) => {
            let address: IpAddr = value.as_str()?.parse().ok()?;
            let bytes = match address {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            return (bytes.len() == loaded.length).then_some(bytes);
        }
        _ => {}
    }
    let number = number(words(loaded, field), value)?;
    let number = if let What::Extension { offset: 2, present: false, .. } = loaded.what { number << 3 } else { number };
    let all = number.to_be_bytes();
    let (rest, bytes) = all.split_at_checked(all.len().checked_sub(loaded.length)?)?;
    let mut bytes = bytes.to_vec();
    if is_host_order(&loaded.what) && cfg!(target_endian = "little") {
        bytes.reverse();
    }
    rest.iter().all(|&byte| byte == 0).then_some(bytes)
}

fn number(words: &[(&str, u64)], value: &Json) -> Option<u64> {
    match value {
        Json::Number(number) => number.as_u64(),
        Json::Bool(truth) => Some(u64::from(*truth)),
        Json::String(text) => match named(words, text) {
            Some(number) => Some(number),
            None => text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok()),
        },
        Json::Array(all) => all.iter().try_fold(0, |sum, one| Some(sum | number(words, one)?)),
        Json::Object(both) => match both.get("|")?.as_array()?.as_slice() {
            [a, b] => Some(number(words, a)? | number(words, b)?),
            _ => None,
        },
        Json::Null => None,
    }
}

/// An interface's name as the kernel compares it: `eth*` is compared as far as its start goes.
fn name_bytes(name: &str) -> Vec<u8> {
    if let Some(start) = name.strip_suffix('*') {
        return start.as_bytes().to_vec();
    }
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(bytes.len().max(16), 0);
    bytes
}

/// The value or range of values of a field that an element has.
pub(super) fn value(loaded: &Loaded, field: Field, json: &Json) -> Option<Value> {
    if let Field::Interface(_) = field {
        let name = json.as_str()?;
        let pattern = match name.strip_suffix('*') {
            Some(start) => InterfacePattern { name: start.to_string(), prefix: true },
            None => InterfacePattern::exact(name),
        };
        return Some(Value::Interface(pattern));
    }
    let single = |json: &Json| wire::big_endian(&bytes(loaded, Some(field), json)?);
    if let Some(prefix) = json.get("prefix") {
        return prefix_ends(prefix).map(|(first, last)| Value::Numbers(first, last));
    }
    if let Some(range) = json.get("range") {
        let [first, last] = range.as_array()?.as_slice() else { return None };
        return Some(Value::Numbers(single(first)?, single(last)?));
    }
    single(json).map(|only| Value::Numbers(only, only))
}

fn prefix_ends(prefix: &Json) -> Option<(u128, u128)> {
    let text = format!("{}/{}", prefix.get("addr")?.as_str()?, prefix.get("len")?.as_u64()?);
    match text.parse().ok()? {
        AddrRange::V4(first, last) => Some((first.into(), last.into())),
        AddrRange::V6(first, last) => Some((first, last)),
    }
}
