//! The conditions of a line.

use std::sync::Arc;

use crate::dump::ipset::Ipsets;
use crate::dump::{Condition, Parts, Side, States, Test};
use crate::net::{AddrRange, AddressSet, Family, Protocol, RangeSet};

/// Extensions that look at a transport header: a later fragment has none.
pub(super) const TRANSPORTS: [&str; 5] = ["tcp", "udp", "udplite", "sctp", "dccp"];

/// Other extensions whose options are read here.
pub(super) const KNOWN: [&str; 13] = [
    "multiport",
    "icmp",
    "icmp6",
    "icmpv6",
    "ipv6-icmp",
    "addrtype",
    "set",
    "state",
    "conntrack",
    "frag",
    "comment",
    "iprange",
    "all",
];

/// Whether an extension may answer differently for two packets that look the same.
pub(super) fn is_volatile(module: &str) -> bool {
    matches!(
        module,
        "limit"
            | "hashlimit"
            | "recent"
            | "statistic"
            | "connlimit"
            | "quota"
            | "mark"
            | "connmark"
            | "connbytes"
            | "time"
            | "nth"
            | "random"
            | "rateest"
            | "set"
            | "cluster"
    )
}

/// An option of an extension.
pub(super) struct Asked<'a> {
    pub module: &'a str,
    pub option: &'a str,
    pub values: &'a [&'a str],
    pub protocol: Option<u8>,
    pub family: Family,
}

/// What an option is.
pub(super) enum Found {
    Condition(Condition),
    /// It narrows nothing.
    Nothing,
}

/// Reads an option; none if it is not understood.
pub(super) fn test(asked: &Asked<'_>, ipsets: &Ipsets) -> Option<Found> {
    let is = |test| Some(Found::Condition(Condition::is(test)));
    let one = || match asked.values {
        [one] => Some(*one),
        _ => None,
    };
    match asked.option {
        "--sport" | "--source-port" | "--sports" | "--source-ports" => is(Test::Port(Side::Source, ports(one()?)?)),
        "--dport" | "--destination-port" | "--dports" | "--destination-ports" => {
            is(Test::Port(Side::Destination, ports(one()?)?))
        }
        "--ports" | "--port" if asked.module == "multiport" => {
            let ports = ports(one()?)?;
            let sides = [Side::Source, Side::Destination];
            is(Test::AnyOf(sides.map(|side| Condition::is(Test::Port(side, ports.clone()))).to_vec()))
        }
        "--tcp-flags" => match asked.values {
            [mask, value] => is(Test::TcpFlags { mask: flags(mask)?, value: flags(value)? }),
            _ => None,
        },
        "--syn" => is(Test::TcpFlags { mask: 0x17, value: 2 }),
        "--icmp-type" if asked.family == Family::V4 => icmp(one()?, asked.family),
        "--icmpv6-type" if asked.family == Family::V6 => icmp(one()?, asked.family),
        "--dst-type" if one()? == "LOCAL" => is(Test::Local(Side::Destination)),
        "--src-type" if one()? == "LOCAL" => is(Test::Local(Side::Source)),
        "--match-set" => {
            let [name, side] = asked.values else { return None };
            let side = match *side {
                "src" => Side::Source,
                "dst" => Side::Destination,
                _ => return None,
            };
            is(Test::Address(side, ipsets.get(name, asked.family)?))
        }
        "--state" if asked.module == "state" => states(one()?),
        "--ctstate" => states(one()?),
        "--ctorigdst" => is(Test::OriginalDestination(Arc::new(addresses(one()?, asked.family)?))),
        "--ctorigdstport" => is(Test::OriginalPort(ports(one()?)?)),
        "--fragid" => {
            (one()? == "0:4294967295").then(|| Found::Condition(Condition::is(Test::Fragment(Parts::FRAGMENT))))
        }
        "--fragfirst" => is(Test::Fragment(Parts::FIRST)),
        "--src-range" => is(Test::Address(Side::Source, Arc::new(addresses(one()?, asked.family)?))),
        "--dst-range" => is(Test::Address(Side::Destination, Arc::new(addresses(one()?, asked.family)?))),
        // Whether a match is counted in the set.
        "--return-nomatch" => Some(Found::Nothing),
        _ => None,
    }
    .filter(|_| asked.protocol.is_some() || !asked.option.starts_with("--tcp"))
}

/// Addresses, prefixes with a length or a mask, ranges; divided by commas.
pub(super) fn addresses(text: &str, family: Family) -> Option<AddressSet> {
    let ranges: Option<Vec<AddrRange>> = text.split(',').map(|item| address(item.trim(), family)).collect();
    Some(ranges?.into_iter().collect())
}

fn address(text: &str, family: Family) -> Option<AddrRange> {
    if let Some((first, last)) = text.split_once('-') {
        return match (first.parse().ok()?, last.parse().ok()?) {
            (std::net::IpAddr::V4(a), std::net::IpAddr::V4(b)) => Some(AddrRange::V4(a.to_bits(), b.to_bits())),
            (std::net::IpAddr::V6(a), std::net::IpAddr::V6(b)) => Some(AddrRange::V6(a.to_bits(), b.to_bits())),
            _ => None,
        }
        .filter(|range| range.family() == family && range.first() <= range.last());
    }
    let (host, mask) = text.split_once('/').unwrap_or((text, ""));
    let host: std::net::IpAddr = host.parse().ok()?;
    let length = match (mask, mask.parse::<std::net::IpAddr>()) {
        ("", _) => return Some(AddrRange::host(host)).filter(|range| range.family() == family),
        (_, Ok(mask)) => ipnet::ip_mask_to_prefix(mask).ok()?,
        (number, Err(_)) => number.parse().ok()?,
    };
    // iptables cuts off what is behind the prefix.
    match ipnet::IpNet::new(host, length).ok()?.trunc() {
        ipnet::IpNet::V4(net) => Some(AddrRange::V4(net.network().to_bits(), net.broadcast().to_bits())),
        ipnet::IpNet::V6(net) => Some(AddrRange::V6(net.network().to_bits(), net.broadcast().to_bits())),
    }
    .filter(|range| range.family() == family)
}

/// A protocol by name or number.
pub(super) fn protocol(name: &str) -> Option<u8> {
    let known = match name.to_ascii_lowercase().as_str() {
        "icmp" => 1,
        "icmpv6" | "ipv6-icmp" | "icmp6" => 58,
        "ipencap" => 4,
        "ipv6" => 41,
        "l2tp" => 115,
        "mobility-header" | "ipv6-mh" | "mh" => 135,
        "igmp" => 2,
        other => return other.parse::<Protocol>().map(Protocol::number).ok().or_else(|| other.parse().ok()),
    };
    Some(known)
}

/// `80`, `8000:8999`, `:1023`, `1024:`, several divided by commas, services by the names that are common.
fn ports(text: &str) -> Option<RangeSet<u16>> {
    let ranges: Option<Vec<(u16, u16)>> = text
        .split(',')
        .map(|item| match item.split_once(':') {
            Some((first, last)) => {
                let first = if first.is_empty() { Some(0) } else { port(first) };
                let last = if last.is_empty() { Some(u16::MAX) } else { port(last) };
                first.zip(last).filter(|(first, last)| first <= last)
            }
            None => port(item).map(|port| (port, port)),
        })
        .collect();
    Some(RangeSet::from_ranges(ranges?))
}

fn port(text: &str) -> Option<u16> {
    Some(match text {
        "ssh" => 22,
        "smtp" => 25,
        "domain" => 53,
        "bootps" => 67,
        "bootpc" => 68,
        "http" => 80,
        "ntp" => 123,
        "https" => 443,
        number => return number.parse().ok(),
    })
}

fn flags(text: &str) -> Option<u8> {
    text.split(',').try_fold(0, |bits, name| {
        Some(
            bits | match name {
                "FIN" => 1,
                "SYN" => 2,
                "RST" => 4,
                "PSH" => 8,
                "ACK" => 16,
                "URG" => 32,
                "ALL" => 0x3f,
                "NONE" => 0,
                _ => return None,
            },
        )
    })
}

fn states(text: &str) -> Option<Found> {
    let (mut states, mut others) = (States::default(), Vec::new());
    for name in text.split(',') {
        match name {
            "NEW" => states.new = true,
            "ESTABLISHED" => states.established = true,
            "RELATED" => states.related = true,
            "INVALID" => states.invalid = true,
            "UNTRACKED" => states.untracked = true,
            "DNAT" => others.push(Condition::is(Test::Translated(Side::Destination))),
            "SNAT" => others.push(Condition::is(Test::Translated(Side::Source))),
            _ => return None,
        }
    }
    let test = Test::State(states);
    if others.is_empty() {
        return Some(Found::Condition(Condition::is(test)));
    }
    if states != States::default() {
        others.push(Condition::is(test));
    }
    Some(Found::Condition(match others.pop() {
        Some(only) if others.is_empty() => only,
        Some(last) => {
            others.push(last);
            Condition::is(Test::AnyOf(others))
        }
        None => return None,
    }))
}

/// ICMP types by the names of iptables and ip6tables: (name, type, code).
const ICMP: [(&str, u8, Option<u8>); 18] = [
    ("echo-reply", 0, None),
    ("pong", 0, None),
    ("destination-unreachable", 3, None),
    ("network-unreachable", 3, Some(0)),
    ("host-unreachable", 3, Some(1)),
    ("protocol-unreachable", 3, Some(2)),
    ("port-unreachable", 3, Some(3)),
    ("fragmentation-needed", 3, Some(4)),
    ("source-quench", 4, None),
    ("redirect", 5, None),
    ("echo-request", 8, None),
    ("ping", 8, None),
    ("router-advertisement", 9, None),
    ("router-solicitation", 10, None),
    ("time-exceeded", 11, None),
    ("ttl-exceeded", 11, None),
    ("parameter-problem", 12, None),
    ("timestamp-request", 13, None),
];
const ICMPV6: [(&str, u8, Option<u8>); 17] = [
    ("destination-unreachable", 1, None),
    ("packet-too-big", 2, None),
    ("time-exceeded", 3, None),
    ("ttl-exceeded", 3, None),
    ("parameter-problem", 4, None),
    ("bad-header", 4, Some(0)),
    ("unknown-header-type", 4, Some(1)),
    ("unknown-option", 4, Some(2)),
    ("echo-request", 128, None),
    ("ping", 128, None),
    ("echo-reply", 129, None),
    ("router-solicitation", 133, None),
    ("router-advertisement", 134, None),
    ("neighbour-solicitation", 135, None),
    ("neighbor-solicitation", 135, None),
    ("neighbour-advertisement", 136, None),
    ("neighbor-advertisement", 136, None),
];

fn icmp(text: &str, family: Family) -> Option<Found> {
    let names: &[(&str, u8, Option<u8>)] = if family == Family::V4 { &ICMP } else { &ICMPV6 };
    let named = names.iter().find(|(name, ..)| *name == text).map(|&(_, kind, code)| (kind, code));
    let (kind, code) = match (named, text) {
        (Some(found), _) => found,
        (None, "redirect") => (137, None),
        (None, "any") => {
            return Some(Found::Condition(Condition::is(Test::Icmp(family, RangeSet::all(), RangeSet::all()))));
        }
        (None, text) => match text.split_once('/') {
            Some((kind, code)) => (kind.parse().ok()?, Some(code.parse().ok()?)),
            None => (text.parse().ok()?, None),
        },
    };
    let codes = code.map_or_else(RangeSet::all, RangeSet::single);
    Some(Found::Condition(Condition::is(Test::Icmp(family, RangeSet::single(kind), codes))))
}
