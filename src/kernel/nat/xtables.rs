//! Matches and targets of x_tables, which both iptables-legacy and iptables-nft use. Their numbers are in host byte order
//! unless they are addresses (`linux/netfilter/xt_tcpudp.h`, `xt_multiport.h`, `nf_nat.h`).

use super::facts::{Facts, Field, Values};
use super::{Action, NatKind, address, changes_destination, new_addresses};
use crate::kernel::wire::{u16_at, u32_at};
use crate::net::{Family, RangeSet};
use crate::policy::footprint::{NewAddress, Target};

/// Targets that translate nothing, so that anything else in a NAT table is taken for NAT.
const HARMLESS: &[&str] = &[
    "",
    "ACCEPT",
    "AUDIT",
    "CHECKSUM",
    "CLASSIFY",
    "CONNMARK",
    "CONNSECMARK",
    "CT",
    "DROP",
    "DSCP",
    "ECN",
    "ERROR",
    "HL",
    "HMARK",
    "IDLETIMER",
    "LED",
    "LOG",
    "MARK",
    "NFLOG",
    "NFQUEUE",
    "NOTRACK",
    "QUEUE",
    "RATEEST",
    "REJECT",
    "RETURN",
    "SECMARK",
    "SET",
    "TCPMSS",
    "TCPOPTSTRIP",
    "TEE",
    "TOS",
    "TRACE",
    "TTL",
    "ULOG",
];

/// What a target does, if it is NAT.
pub(super) fn target(name: &str, revision: u8, info: &[u8], family: Option<Family>) -> Option<Action> {
    let kind = match name {
        "MASQUERADE" => NatKind::Masquerade,
        "SNAT" => NatKind::Snat,
        "DNAT" => NatKind::Dnat,
        "REDIRECT" => NatKind::Redirect,
        harmless if HARMLESS.contains(&harmless) => return None,
        other => return Some(Action::plain(NatKind::Other(other.to_string()))),
    };
    let range = if revision == 0 && family != Some(Family::V6) { old_range(info) } else { range(info, family) };
    Some(range.map_or_else(|| Action::plain(kind.clone()), |range| range.action(kind.clone())))
}

const MAP_ADDRESSES: u32 = 1;
const MAP_PORTS: u32 = 2;

/// What a target gives a flow.
struct Range<'a> {
    flags: u32,
    /// First and last address in network order.
    addresses: (&'a [u8], &'a [u8]),
    /// First and last port, host byte order.
    ports: (u16, u16),
}

/// `struct nf_nat_ipv4_multi_range_compat`: count, then flags, addresses, ports.
fn old_range(info: &[u8]) -> Option<Range<'_>> {
    let addresses = (info.get(8..12)?, info.get(12..16)?);
    Some(Range { flags: u32_at(info, 4)?, addresses, ports: ports(info.get(16..20)?)? })
}

/// `struct nf_nat_range` and `nf_nat_range2`: flags, two addresses of 16 bytes, ports.
fn range(info: &[u8], family: Option<Family>) -> Option<Range<'_>> {
    let width = match family? {
        Family::V4 => 4,
        Family::V6 => 16,
    };
    let addresses = (info.get(4..4 + width)?, info.get(20..20 + width)?);
    Some(Range { flags: u32_at(info, 0)?, addresses, ports: ports(info.get(36..40)?)? })
}

fn ports(bytes: &[u8]) -> Option<(u16, u16)> {
    let (first, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(*first), u16::from_be_bytes(*rest.first_chunk()?)))
}

impl Range<'_> {
    fn action(&self, kind: NatKind) -> Action {
        let Range { flags, addresses: (first, last), ports } = *self;
        let (with_address, with_port) = (flags & MAP_ADDRESSES != 0, flags & MAP_PORTS != 0);
        let target = changes_destination(&kind).then(|| Target {
            address: match kind {
                NatKind::Redirect => NewAddress::ThisHost,
                _ if with_address => new_addresses(first, last),
                _ => NewAddress::Kept,
            },
            ports: with_port.then(|| RangeSet::range(ports.0, ports.1)),
        });
        let address = address(first).filter(|_| with_address);
        Action { kind, address, port: with_port.then_some(ports.0), target }
    }
}

/// Takes a match's conditions in.
pub(super) fn narrow(facts: &mut Facts, name: &str, revision: u8, info: &[u8]) {
    let read = match (name, revision) {
        ("comment", _) => Some(()),
        ("tcp", 0) => ports_of(facts, info, 11).map(|()| {
            // Flags and options.
            facts.understood &= info.get(8..11).is_some_and(|rest| rest.iter().all(|&byte| byte == 0));
        }),
        ("udp", 0) => ports_of(facts, info, 8),
        ("multiport", 1) => multiport(facts, info),
        _ => None,
    };
    facts.understood &= read.is_some();
}

/// The two port ranges at the start of `struct xt_tcp` and `xt_udp`, whose inversion flags are at different places.
fn ports_of(facts: &mut Facts, info: &[u8], flags_at: usize) -> Option<()> {
    let flags = *info.get(flags_at)?;
    for (at, bit, field) in [(0, 1, Field::SourcePort), (4, 2, Field::DestinationPort)] {
        let (first, last) = (u16_at(info, at)?, u16_at(info, at + 2)?);
        if (first, last) != (0, u16::MAX) || flags & bit != 0 {
            narrow_ports(facts, field, Values::range(first.into(), last.into()), flags & bit != 0);
        }
    }
    Some(())
}

fn narrow_ports(facts: &mut Facts, field: Field, values: Values, inverted: bool) {
    let all = Values::range(0, u16::MAX.into());
    let values = if inverted { values.complement().intersection(&all) } else { values };
    facts.narrow(field, &values);
}

/// `struct xt_multiport_v1`: which port, how many, 15 ports, 15 flags (1: the next one ends a range), inverted.
fn multiport(facts: &mut Facts, info: &[u8]) -> Option<()> {
    let field = match info.first()? {
        0 => Field::SourcePort,
        1 => Field::DestinationPort,
        _ => return None,
    };
    let count = usize::from(*info.get(1)?).min(15);
    let mut ranges = Vec::new();
    let mut open = None;
    for at in 0..count {
        let port = u128::from(u16_at(info, 2 + 2 * at)?);
        match open.take() {
            Some(start) => ranges.push((start, port)),
            None if *info.get(32 + at)? != 0 => open = Some(port),
            None => ranges.push((port, port)),
        }
    }
    narrow_ports(facts, field, Values::from_ranges(ranges), *info.get(47)? != 0);
    Some(())
}
