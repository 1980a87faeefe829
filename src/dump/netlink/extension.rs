//! Matches and translations of x_tables, in a rule of nf_tables as iptables-nft makes them or in a table of iptables-legacy: what the kernel's modules
//! were given, in their own layout (`linux/netfilter/xt_*.h`, `nf_nat.h`), host byte order but for addresses and the ports of a translation.
//!
//! Only what decides about most rulesets is read: ports, flags, ICMP types, conntrack's states, local addresses, ranges of addresses. Everything else is not understood.

use std::sync::Arc;

use super::action::{ip, port, translation_kind};
use super::field::{addresses, under_prefix};
use crate::dump::{Condition, Side, States, Test, Translation, TranslationKind, Varies};
use crate::kernel::wire::{big_endian, u16_at, u32_at};
use crate::net::{Family, RangeSet};

/// The conditions of a match in a rule for this family; `None` where it is not understood.
pub(super) fn conditions(name: &str, revision: u64, info: &[u8], family: Option<Family>) -> Option<Vec<Condition>> {
    match (name, revision) {
        ("tcp", 0) => tcp(info),
        ("udp" | "udplite", 0) => ports(info, *info.get(8)?),
        ("multiport", 1) => multiport(info).map(|one| vec![one]),
        ("icmp", 0) => icmp(info, Family::V4).map(|one| vec![one]),
        ("icmp6", 0) => icmp(info, Family::V6).map(|one| vec![one]),
        ("addrtype", 1) => addrtype(info),
        ("state", 0) => Some(vec![Condition::is(Test::State(states(u32_at(info, 0)?, 1 << 6)?))]),
        ("conntrack", 1..=3) => conntrack(revision, info, family),
        ("iprange", 1) => iprange(info, family?),
        _ => None,
    }
}

const MAP_ADDRESSES: u32 = 1;
const MAP_PORTS: u32 = 2;

/// What a target does, if it is NAT, in a rule for this family.
pub(super) fn translation(name: &str, revision: u64, info: &[u8], family: Option<Family>) -> Option<Translation> {
    let kind = translation_kind(name)?;
    let unknown = Translation { kind, address: None, ports: None, varies: Varies::ALL };
    if kind == TranslationKind::Netmap {
        return Some(unknown);
    }
    // `struct nf_nat_ipv4_multi_range_compat`: a count, flags, two addresses, two ports; `struct nf_nat_range` and `nf_nat_range2`: flags, two
    // addresses of 16 bytes each, two ports.
    let (flags_at, first_at, last_at, ports_at, width) = match (family, revision) {
        (Some(Family::V4), 0) => (4, 8, 12, 16, 4),
        (Some(Family::V4), _) => (0, 4, 20, 36, 4),
        (Some(Family::V6), _) => (0, 4, 20, 36, 16),
        (None, _) => return Some(unknown),
    };
    let address = |at: usize| ip(info.get(at..at + width)?);
    let ports = |at: usize| port(info.get(at..)?);
    let read = || {
        let flags = u32_at(info, flags_at)?;
        let addresses = (address(first_at)?, address(last_at)?);
        let ports = (ports(ports_at)?, ports(ports_at + 2)?);
        let (address, ports) =
            ((flags & MAP_ADDRESSES != 0).then_some(addresses), (flags & MAP_PORTS != 0).then_some(ports));
        Some(Translation { kind, address, ports, varies: Varies::default() })
    };
    Some(read().unwrap_or(unknown))
}

/// `struct xt_tcp`: source ports, destination ports, an option, mask and value of flags, what is inverted.
fn tcp(info: &[u8]) -> Option<Vec<Condition>> {
    let inverted = *info.get(11)?;
    let mut all = ports(info, inverted)?;
    let (option, mask, value) = (*info.get(8)?, *info.get(9)?, *info.get(10)?);
    if option != 0 {
        return None;
    }
    if mask != 0 || inverted & 4 != 0 {
        all.push(Condition { negated: inverted & 4 != 0, test: Test::TcpFlags { mask, value } });
    }
    Some(all)
}

/// The two ranges of ports that `struct xt_tcp` and `xt_udp` begin with. A later fragment never matches, whatever ports are asked for.
fn ports(info: &[u8], inverted: u8) -> Option<Vec<Condition>> {
    let mut all = Vec::new();
    for (at, bit, side) in [(0, 1, Side::Source), (4, 2, Side::Destination)] {
        let range = RangeSet::range(u16_at(info, at)?, u16_at(info, at + 2)?);
        all.push(Condition { negated: inverted & bit != 0, test: Test::Port(side, range) });
    }
    // The whole range of ports asks nothing but that there is a port; once is enough.
    let any = |one: &Condition| !one.negated && matches!(&one.test, Test::Port(_, ports) if ports.is_all());
    if !all.iter().all(any) {
        all.retain(|one| !any(one));
    }
    all.dedup_by(|a, b| any(a) && any(b));
    Some(all)
}

/// `struct xt_multiport_v1`: which port, how many, 15 ports, 15 flags (1: the next one ends a range), inverted.
fn multiport(info: &[u8]) -> Option<Condition> {
    let count = usize::from(*info.get(1)?).min(15);
    let mut ranges = Vec::new();
    let mut open = None;
    for at in 0..count {
        let port = u16_at(info, 2 + 2 * at)?;
        match open.take() {
            Some(first) => ranges.push((first, port)),
            None if *info.get(32 + at)? != 0 => open = Some(port),
            None => ranges.push((port, port)),
        }
    }
    let ports = RangeSet::from_ranges(ranges);
    let negated = *info.get(47)? != 0;
    let test = match info.first()? {
        0 => Test::Port(Side::Source, ports),
        1 => Test::Port(Side::Destination, ports),
        2 => {
            let sides = [Side::Source, Side::Destination];
            Test::AnyOf(sides.map(|side| Condition::is(Test::Port(side, ports.clone()))).to_vec())
        }
        _ => return None,
    };
    Some(Condition { negated, test })
}

/// `struct ipt_icmp`: the type, 255 for any; first and last code; whether inverted.
fn icmp(info: &[u8], family: Family) -> Option<Condition> {
    let kind = *info.first()?;
    let any = family == Family::V4 && kind == u8::MAX;
    let types = if any { RangeSet::all() } else { RangeSet::single(kind) };
    let codes = RangeSet::range(*info.get(1)?, *info.get(2)?);
    Some(Condition { negated: *info.get(3)? & 1 != 0, test: Test::Icmp(family, types, codes) })
}

/// `struct xt_addrtype_info_v1`: types of the source, of the destination, flags.
fn addrtype(info: &[u8]) -> Option<Vec<Condition>> {
    /// `XT_ADDRTYPE_LOCAL`
    const LOCAL: u16 = 1 << 2;
    let flags = u32_at(info, 4)?;
    let mut all = Vec::new();
    for (at, bit, side) in [(0, 1, Side::Source), (2, 2, Side::Destination)] {
        match u16_at(info, at)? {
            0 => {}
            LOCAL => all.push(Condition { negated: flags & bit != 0, test: Test::Local(side) }),
            _ => return None,
        }
    }
    // The flags above ask for the address of one interface.
    (flags & !3 == 0).then_some(all)
}

/// `struct xt_conntrack_mtinfo1` to `3`: eight addresses with masks, of which the second is the original destination; ports; what is asked and what of
/// it is inverted. Only states and the original destination are read.
fn conntrack(revision: u64, info: &[u8], family: Option<Family>) -> Option<Vec<Condition>> {
    /// `XT_CONNTRACK_STATE`, and the sign that the words were `-m state`.
    const STATE: u16 = 1;
    const ALIAS: u16 = 1 << 13;
    const ORIGINAL_DESTINATION: u16 = 1 << 3;
    const ORIGINAL_PORT: u16 = 1 << 9;
    let (asked, inverted) = (u16_at(info, 146)?, u16_at(info, 148)?);
    if asked & !(STATE | ALIAS | ORIGINAL_DESTINATION | ORIGINAL_PORT) != 0 {
        return None;
    }
    let mut all = Vec::new();
    let mut add = |bit: u16, test: Test| all.push(Condition { negated: inverted & bit != 0, test });
    if asked & STATE != 0 {
        let mask = if revision == 1 { u16::from(*info.get(150)?) } else { u16_at(info, 150)? };
        add(STATE, state_or_translated(mask)?);
    }
    if asked & ORIGINAL_DESTINATION != 0 {
        let width = width(family?);
        let (first, last) = under_prefix(info.get(32..32 + width)?, info.get(48..48 + width)?)?;
        add(
            ORIGINAL_DESTINATION,
            Test::OriginalDestination(Arc::new(addresses(family?, &RangeSet::range(first, last)))),
        );
    }
    if asked & ORIGINAL_PORT != 0 {
        // Only the third revision has ranges, and numbers in host order.
        let ends = (u16_at(info, 140)?, u16_at(info, 156)?);
        let range =
            if revision == 3 { RangeSet::range(ends.0, ends.1) } else { RangeSet::single(u16::from_be(ends.0)) };
        add(ORIGINAL_PORT, Test::OriginalPort(range));
    }
    Some(all)
}

/// The states of a mask, among which translations are states, too (`XT_CONNTRACK_STATE_SNAT`, `DNAT`).
fn state_or_translated(mask: u16) -> Option<Test> {
    let sides = [(1 << 7, Side::Destination), (1 << 6, Side::Source)];
    let plain = states(u32::from(mask & !(1 << 6 | 1 << 7)), 1 << 8)?;
    let mut all: Vec<Test> =
        sides.into_iter().filter(|(bit, _)| mask & bit != 0).map(|(_, side)| Test::Translated(side)).collect();
    if all.is_empty() || plain != States::default() {
        all.push(Test::State(plain));
    }
    if all.len() == 1 { all.pop() } else { Some(Test::AnyOf(all.into_iter().map(Condition::is).collect())) }
}

/// `struct xt_iprange_mtinfo`: first and last source, first and last destination, each of 16 bytes; which are asked, which of them inverted.
fn iprange(info: &[u8], family: Family) -> Option<Vec<Condition>> {
    let flags = *info.get(64)?;
    let number = |at: usize| big_endian(info.get(at..at + width(family))?);
    let mut all = Vec::new();
    for (at, bit, side) in [(0, 1, Side::Source), (32, 2, Side::Destination)] {
        if flags & bit != 0 {
            let set = addresses(family, &RangeSet::range(number(at)?, number(at + 16)?));
            all.push(Condition { negated: flags & bit << 4 != 0, test: Test::Address(side, Arc::new(set)) });
        }
    }
    Some(all)
}

/// Bytes of an address.
fn width(family: Family) -> usize {
    match family {
        Family::V4 => 4,
        Family::V6 => 16,
    }
}

/// The states of a mask.
fn states(mask: u32, untracked: u32) -> Option<States> {
    let has = |bit: u32| mask & bit != 0;
    let states = States {
        invalid: has(1),
        established: has(1 << 1),
        related: has(1 << 2),
        new: has(1 << 3),
        untracked: has(untracked),
    };
    (mask & !(0xf | untracked) == 0).then_some(states)
}
