//! The same services as rulesets that a person would write by hand for nft: the best known, to be no slower than.
//!
//! They know what fwc knows: one concatenated set for all services, looked up by the raw and the filter chains of both directions; stateless
//! services first; tracking for the rest. They have no names, no counters for each direction, no guard against bare SYNs in replies and no
//! check of anything.

use fwc::net::Family;

use super::inputs;

/// What a ruleset has besides the services.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extras<'a> {
    /// A counter in each element. It counts both directions together, and each packet in raw and in filter: twice.
    pub counted: bool,
    /// The first rule of raw prerouting.
    pub first: &'a str,
    /// Sets that it needs.
    pub sets: &'a str,
    /// Elements of the services' set.
    pub more: &'a str,
}

/// Stateless services, everything else tracked, input dropped where nothing accepts it.
pub fn stateless(family: Family, services: usize, extras: Extras) -> String {
    let (ip, kind) = words(family);
    let Extras { counted, first, sets, more } = extras;
    let counter = if counted { "counter" } else { "" };
    format!(
        "table inet hand {{
    {sets}
    set services {{
        type {kind} . inet_proto . inet_service
        {counter}
        elements = {{ {more}{} }}
    }}
    chain prerouting {{
        type filter hook prerouting priority raw
        {first}
        {ip} daddr . meta l4proto . th dport @services notrack
    }}
    chain raw_output {{
        type filter hook output priority raw
        oif lo notrack
        {ip} saddr . meta l4proto . th sport @services notrack
    }}
    chain input {{
        type filter hook input priority filter; policy drop
        iif lo accept
        {ip} daddr . meta l4proto . th dport @services accept
        {TRACKED}
    }}
    chain output {{
        type filter hook output priority filter
        {ip} saddr . meta l4proto . th sport @services accept
    }}
}}
",
        inputs::elements_of(family, services)
    )
}

/// What any host needs beside its services.
const TRACKED: &str = "ct state established,related accept
        ct state new tcp dport 22 accept
        icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
        icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept
        icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept";

fn words(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::V4 => ("ip", "ipv4_addr"),
        Family::V6 => ("ip6", "ipv6_addr"),
    }
}

/// A set of addresses for [`Extras::sets`], to be dropped by [`DROP_BAD`].
pub fn bad(list: &str) -> String {
    format!("set bad {{ type ipv4_addr; elements = {{ {} }}; }}", list.lines().collect::<Vec<_>>().join(",\n"))
}

pub const DROP_BAD: &str = "ip saddr @bad drop";
