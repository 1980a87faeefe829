//! What every host needs: loopback, ICMP errors, neighbour discovery, its addresses.

use super::rule;
use crate::net::{AddrRange, Family, Interface, PortSet, Protocol};
use crate::policy::Addresses;
use crate::ruleset::{Action, Match, Origin, Payload, Rule};

/// Destination unreachable (with fragmentation needed), time exceeded, parameter problem.
const ICMP_ERRORS: &[u8] = &[3, 11, 12];
/// Destination unreachable, packet too big, time exceeded, parameter problem.
const ICMPV6_ERRORS: &[u8] = &[1, 2, 3, 4];
/// Router solicitation and advertisement, neighbour solicitation and advertisement, redirect.
const NEIGHBOUR_DISCOVERY: &[u8] = &[133, 134, 135, 136, 137];
/// Multicast listener query, report, done, and report of version 2.
const MULTICAST_LISTENER: &[u8] = &[130, 131, 132, 143];

/// Traffic of the host with itself. An interface match means what the hook makes of it: incoming, or outgoing in output.
pub(super) fn loopback(action: Action) -> Option<Rule> {
    let lo: Interface = "lo".parse().ok()?;
    let matching = Match { interfaces: std::iter::once(lo).collect(), ..Match::default() };
    Some(rule(matching, action, Origin::Loopback))
}

fn icmp(family: Family, types: &'static [u8], origin: Origin) -> Rule {
    let matching = Match { family: Some(family), payload: Payload::Icmp(types), ..Match::default() };
    rule(matching, Action::Accept, origin)
}

/// ICMP errors of both families. About an untracked flow they are `invalid`, never `related`: without this rule, path MTU discovery dies.
pub(super) fn icmp_errors() -> [Rule; 2] {
    [icmp(Family::V4, ICMP_ERRORS, Origin::IcmpError), icmp(Family::V6, ICMPV6_ERRORS, Origin::IcmpError)]
}

/// Neighbour discovery and multicast listener messages, without which IPv6 stands still.
pub(super) fn ipv6_link() -> [Rule; 2] {
    [
        icmp(Family::V6, NEIGHBOUR_DISCOVERY, Origin::NeighbourDiscovery),
        icmp(Family::V6, MULTICAST_LISTENER, Origin::MulticastListener),
    ]
}

/// Echo requests to this host.
pub(super) fn ping_requests() -> [Rule; 2] {
    [icmp(Family::V4, &[8], Origin::Ping), icmp(Family::V6, &[128], Origin::Ping)]
}

/// Echo replies from this host.
pub(super) fn ping_replies() -> [Rule; 2] {
    [icmp(Family::V4, &[0], Origin::Ping), icmp(Family::V6, &[129], Origin::Ping)]
}

/// fe80::/10.
const LINK_LOCAL: AddrRange =
    AddrRange::V6(0xfe80_0000_0000_0000_0000_0000_0000_0000, 0xfebf_ffff_ffff_ffff_ffff_ffff_ffff_ffff);

fn udp(family: Family, source: Addresses, from: u16, to: u16) -> Option<Rule> {
    let port = |port: u16| port.to_string().parse::<PortSet>().ok();
    let payload = Payload::Ports {
        protocol: Protocol::UDP,
        source: Some(port(from)?),
        destination: Some(port(to)?),
        guarded: false,
    };
    let matching = Match { family: Some(family), source, payload, ..Match::default() };
    Some(rule(matching, Action::Accept, Origin::Dhcp))
}

/// DHCP and DHCPv6 answers. A DHCPv6 answer comes by unicast to a request that was sent by multicast, so conntrack never knows it.
pub(super) fn dhcp_replies() -> impl Iterator<Item = Rule> {
    let v6 = udp(Family::V6, Addresses::Range(LINK_LOCAL), 547, 546);
    udp(Family::V4, Addresses::Any, 67, 68).into_iter().chain(v6)
}

/// The requests that these answer.
pub(super) fn dhcp_requests() -> impl Iterator<Item = Rule> {
    let v6 = udp(Family::V6, Addresses::Range(LINK_LOCAL), 546, 547);
    udp(Family::V4, Addresses::Any, 68, 67).into_iter().chain(v6)
}
