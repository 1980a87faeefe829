//! The expressions of an nf_tables rule, followed from register to register until its conditions are known.

use std::collections::BTreeMap;

use nix::net::if_::if_indextoname;

use super::facts::{Facts, Field, Values};
use super::{
    Action, InterfacePattern, NatKind, NatMatch, TableFamily, address, changes_destination, new_addresses, xtables,
};
use crate::kernel::nf_tables::{data, expression};
use crate::kernel::wire::{self, Attribute, Fields, Malformed, big_endian};
use crate::net::{Family, RangeSet};
use crate::policy::footprint::{NewAddress, Target};

/// Expressions that translate nothing. Any other one in a table with a NAT hook is taken for NAT.
const HARMLESS: &[&str] = &[
    "bitwise",
    "byteorder",
    "cmp",
    "connlimit",
    "counter",
    "ct",
    "dup",
    "dynset",
    "exthdr",
    "fib",
    "flow_offload",
    "fwd",
    "hash",
    "immediate",
    "inner",
    "last",
    "limit",
    "log",
    "lookup",
    "match",
    "meta",
    "notrack",
    "numgen",
    "objref",
    "osf",
    "payload",
    "queue",
    "quota",
    "range",
    "reject",
    "rt",
    "secmark",
    "socket",
    "synproxy",
    "tproxy",
    "tunnel",
    "xfrm",
];

/// Bytes of header that may be compared: a whole IPv6 header fits.
const HEADER: usize = 40;

/// Bytes of an interface's name with its final NUL.
const IFNAMSIZ: usize = 16;

/// What a foreign set holds: its values, and the length of its keys in bytes.
pub(super) type ForeignSet = (Values, u64);

/// One expression.
struct Expression<'a> {
    name: String,
    data: Fields<'a>,
}

fn expressions(bytes: &[u8]) -> impl Iterator<Item = Result<Expression<'_>, Malformed>> {
    wire::attributes(bytes).map(|attribute| {
        let Attribute { value, .. } = attribute?;
        let fields = Fields::of(value)?;
        let data = Fields::of(fields.get(expression::DATA).unwrap_or(&[]))?;
        Ok(Expression { name: fields.text(expression::NAME)?, data })
    })
}

/// Whether a rule translates addresses or ports, or does something that fwc does not know.
pub(super) fn is_nat(bytes: &[u8]) -> Result<bool, Malformed> {
    for expression in expressions(bytes) {
        let Expression { name, data } = expression?;
        let nat = match name.as_str() {
            "target" => xtables::target(&data.text(1)?, 0, &[], None).is_some(),
            other => !HARMLESS.contains(&other),
        };
        if nat {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a register holds.
#[derive(Debug, Clone)]
enum Register {
    /// Bytes of a header, seen through a mask.
    Header { transport: bool, offset: usize, mask: Vec<u8> },
    /// `NFT_META_*`, by number.
    Meta(u64),
    /// A constant.
    Constant(Vec<u8>),
    /// Something that fwc does not follow.
    Unknown,
}

/// `NFT_META_*`.
mod meta {
    pub const IIF: u64 = 4;
    pub const OIF: u64 = 5;
    pub const IIFNAME: u64 = 6;
    pub const OIFNAME: u64 = 7;
    pub const NFPROTO: u64 = 15;
    pub const L4PROTO: u64 = 16;
}

/// A rule as far as it has been read.
pub(super) struct Program {
    registers: BTreeMap<u64, Register>,
    facts: Facts,
    action: Option<Action>,
}

impl Program {
    /// Reads a rule: what it does, if it is NAT, and to which packets. `sets` gives the values of a named set.
    pub fn read(
        bytes: &[u8],
        family: TableFamily,
        mut sets: impl FnMut(&str) -> Option<ForeignSet>,
    ) -> Result<Option<(Action, NatMatch)>, Malformed> {
        let family = match family {
            TableFamily::Ip => Some(Family::V4),
            TableFamily::Ip6 => Some(Family::V6),
            _ => None,
        };
        let mut program = Program { registers: BTreeMap::new(), facts: Facts::new(family), action: None };
        for expression in expressions(bytes) {
            let expression = expression?;
            let read = program.take(&expression, &mut sets);
            program.facts.understood &= read.is_some();
        }
        Ok(program.action.map(|action| (action, program.facts.finish())))
    }

    /// Takes one expression in; none if it restricts the rule in a way that is not understood.
    fn take(&mut self, expression: &Expression<'_>, sets: &mut dyn FnMut(&str) -> Option<ForeignSet>) -> Option<()> {
        let data = &expression.data;
        match expression.name.as_str() {
            "counter" | "log" | "last" | "notrack" => Some(()),
            "immediate" => self.immediate(data),
            "payload" => self.payload(data),
            "meta" => {
                self.put(data.number(1), data.number(2).map_or(Register::Unknown, Register::Meta));
                Some(())
            }
            "bitwise" => self.bitwise(data),
            "cmp" => self.compare(data),
            "range" => self.range(data),
            "lookup" => self.lookup(data, sets),
            "match" => {
                let name = data.text(1).ok()?;
                let revision = u8::try_from(data.number(2)?).ok()?;
                xtables::narrow(&mut self.facts, &name, revision, data.get(3).unwrap_or(&[]));
                Some(())
            }
            "target" => {
                let name = data.text(1).ok()?;
                let revision = u8::try_from(data.number(2)?).ok()?;
                self.action = xtables::target(&name, revision, data.get(3).unwrap_or(&[]), self.facts.family);
                Some(())
            }
            "nat" => {
                let kind = if data.number(1) == Some(0) { NatKind::Snat } else { NatKind::Dnat };
                self.act(kind, registers(data, 3, 4), registers(data, 5, 6));
                Some(())
            }
            "masq" => {
                self.act(NatKind::Masquerade, None, registers(data, 2, 3));
                Some(())
            }
            "redir" => {
                self.act(NatKind::Redirect, None, registers(data, 1, 2));
                Some(())
            }
            harmless if HARMLESS.contains(&harmless) => {
                // It may load any register with something that is not followed.
                self.registers.clear();
                None
            }
            other => {
                self.action = Some(Action::plain(NatKind::Other(other.to_string())));
                None
            }
        }
    }

    /// Registers as 4-byte words: 1 to 4 are the old names of the words 8, 12, 16 and 20.
    fn word(register: Option<u64>) -> Option<u64> {
        register.map(|register| if (1..=4).contains(&register) { 4 + 4 * register } else { register })
    }

    fn put(&mut self, register: Option<u64>, value: Register) {
        if let Some(word) = Self::word(register) {
            // Up to 16 bytes: what lay in the words behind is gone.
            let words = if let Register::Constant(bytes) = &value { bytes.len().div_ceil(4) as u64 } else { 4 };
            self.registers.retain(|known, _| !(word..word.saturating_add(words)).contains(known));
            self.registers.insert(word, value);
        }
    }

    fn get(&self, register: Option<u64>) -> Option<&Register> {
        self.registers.get(&Self::word(register)?)
    }

    fn constant(&self, register: Option<u64>) -> Option<&[u8]> {
        match self.get(register)? {
            Register::Constant(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Takes a translation in: what it does, and the registers of the first and last address and port, where it gives any.
    fn act(&mut self, kind: NatKind, addresses: Option<(u64, u64)>, ports: Option<(u64, u64)>) {
        let both = |(first, last)| self.constant(Some(first)).zip(self.constant(Some(last)));
        let port = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
        let given = addresses.map(both);
        let ports = ports.map(|ports| both(ports).and_then(|(first, last)| port(first).zip(port(last))));
        let target = changes_destination(&kind).then(|| Target {
            address: match given {
                None if kind == NatKind::Redirect => NewAddress::ThisHost,
                None => NewAddress::Kept,
                // What no immediate has put there is empty here, and so not understood.
                Some(ends) => {
                    let (first, last) = ends.unwrap_or_default();
                    new_addresses(first, last)
                }
            },
            ports: ports.map(|ends| ends.map_or_else(RangeSet::all, |(first, last)| RangeSet::range(first, last))),
        });
        let address = given.flatten().and_then(|(first, _)| address(first));
        self.action = Some(Action { kind, address, port: ports.flatten().map(|(first, _)| first), target });
    }

    fn immediate(&mut self, data: &Fields<'_>) -> Option<()> {
        let value = value(data, 2).map_or(Register::Unknown, |bytes| Register::Constant(bytes.to_vec()));
        self.put(data.number(1), value);
        Some(())
    }

    fn payload(&mut self, data: &Fields<'_>) -> Option<()> {
        let transport = data.number(2);
        let (offset, length) = (data.number(3).unwrap_or(0), data.number(4).unwrap_or(0));
        let (offset, length) = (usize::try_from(offset).ok()?, usize::try_from(length).ok()?);
        let followed = matches!(transport, Some(1 | 2)) && offset.checked_add(length).is_some_and(|end| end <= HEADER);
        let register = if followed {
            Register::Header { transport: transport == Some(2), offset, mask: vec![0xff; length] }
        } else {
            Register::Unknown
        };
        self.put(data.number(1), register);
        Some(())
    }

    fn bitwise(&mut self, data: &Fields<'_>) -> Option<()> {
        let xor = value(data, 5).unwrap_or(&[]);
        let plain = data.number(6).unwrap_or(0) == 0 && xor.iter().all(|&byte| byte == 0);
        let masked = match (self.get(data.number(1)), value(data, 4)) {
            (Some(Register::Header { transport, offset, mask }), Some(new)) if plain && new.len() == mask.len() => {
                let mask = mask.iter().zip(new).map(|(a, b)| a & b).collect();
                Register::Header { transport: *transport, offset: *offset, mask }
            }
            _ => Register::Unknown,
        };
        self.put(data.number(2), masked);
        Some(())
    }

    fn compare(&mut self, data: &Fields<'_>) -> Option<()> {
        let operator = data.number(2).unwrap_or(0);
        let wanted = value(data, 3)?;
        match (self.get(data.number(1))?.clone(), operator) {
            // More bytes than were loaded: several registers are compared at once.
            (Register::Header { mask, .. }, _) if mask.len() != wanted.len() => None,
            (Register::Header { transport, offset, mask }, 0 | 1) => {
                self.bits(transport, offset, &mask, wanted, operator == 1)
            }
            (Register::Header { transport, offset, mask }, 2..=5) => {
                let (field, width) = self.field(transport, offset, &mask)?;
                let value = big_endian(wanted)?;
                let all = if width >= 128 { u128::MAX } else { (1 << width) - 1 };
                let values = match operator {
                    2 => Values::range(0, value.checked_sub(1)?),
                    3 => Values::range(0, value),
                    4 => Values::range(value.checked_add(1)?, all),
                    _ => Values::range(value, all),
                };
                self.facts.narrow(field, &values);
                Some(())
            }
            (Register::Meta(key), 0) => self.meta(key, wanted),
            (Register::Meta(meta::L4PROTO), 1) if wanted.len() == 1 => {
                self.facts.narrow_bits(Field::Protocol, 8, big_endian(wanted)?, 0xff, true);
                Some(())
            }
            _ => None,
        }
    }

    fn meta(&mut self, key: u64, wanted: &[u8]) -> Option<()> {
        match key {
            meta::NFPROTO => match wanted {
                [2] => self.facts.family = Some(Family::V4),
                [10] => self.facts.family = Some(Family::V6),
                _ => return None,
            },
            meta::L4PROTO => match wanted {
                [protocol] => self.facts.narrow_bits(Field::Protocol, 8, (*protocol).into(), 0xff, false),
                _ => return None,
            },
            meta::IIFNAME => self.facts.incoming = Some(pattern(wanted)?),
            meta::OIFNAME => self.facts.outgoing = Some(pattern(wanted)?),
            meta::IIF => self.facts.incoming = Some(by_index(wanted)?),
            meta::OIF => self.facts.outgoing = Some(by_index(wanted)?),
            _ => return None,
        }
        Some(())
    }

    /// The field that exactly these bytes are, whole, and its width in bits.
    fn field(&self, transport: bool, offset: usize, mask: &[u8]) -> Option<(Field, u32)> {
        let whole = mask.iter().all(|&byte| byte == 0xff);
        let known = self.fields(transport).iter().find(|known| (known.1, known.2) == (offset, mask.len()));
        known.filter(|_| whole).map(|known| (known.0, known.2 as u32 * 8))
    }

    /// The fields of a header that count, with offset and length in bytes.
    fn fields(&self, transport: bool) -> &'static [(Field, usize, usize)] {
        match (transport, self.facts.family) {
            (true, _) => &[(Field::SourcePort, 0, 2), (Field::DestinationPort, 2, 2)],
            (false, Some(Family::V4)) => {
                &[(Field::Protocol, 9, 1), (Field::Source, 12, 4), (Field::Destination, 16, 4)]
            }
            (false, Some(Family::V6)) => {
                &[(Field::Protocol, 6, 1), (Field::Source, 8, 16), (Field::Destination, 24, 16)]
            }
            (false, None) => &[],
        }
    }

    /// A comparison of header bytes. nft loads only the bytes that a prefix covers, and neighbouring fields at once.
    fn bits(&mut self, transport: bool, offset: usize, mask: &[u8], wanted: &[u8], inverted: bool) -> Option<()> {
        let mut header = [(0u8, 0u8); HEADER];
        for (slot, (mask, value)) in header.iter_mut().skip(offset).zip(mask.iter().zip(wanted)) {
            *slot = (*mask, *value);
        }
        let touched: Vec<_> = self
            .fields(transport)
            .iter()
            .filter_map(|&(field, at, length)| {
                let part = header.get(at..at + length)?;
                let number = |pick: fn(&(u8, u8)) -> u8| big_endian(&part.iter().map(pick).collect::<Vec<_>>());
                let (mask, value) = (number(|byte| byte.0)?, number(|byte| byte.1)?);
                (mask != 0).then_some((field, length as u32 * 8, value, mask))
            })
            .collect();
        let covered: u32 = touched.iter().map(|(.., mask)| mask.count_ones()).sum();
        let all: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
        // Of several fields, it is enough that one differs.
        if inverted && (touched.len() != 1 || covered != all) {
            return None;
        }
        for (field, width, value, mask) in touched {
            self.facts.narrow_bits(field, width, value, mask, inverted);
        }
        (covered == all).then_some(())
    }

    fn range(&mut self, data: &Fields<'_>) -> Option<()> {
        let Some(Register::Header { transport, offset, mask }) = self.get(data.number(1)) else { return None };
        let (field, width) = self.field(*transport, *offset, mask)?;
        let (from, to) = (value(data, 3)?, value(data, 4)?);
        if (from.len(), to.len()) != (mask.len(), mask.len()) {
            return None;
        }
        let values = Values::range(big_endian(from)?, big_endian(to)?);
        self.one_of(field, width, &values, data.number(2) == Some(1));
        Some(())
    }

    fn lookup(&mut self, data: &Fields<'_>, sets: &mut dyn FnMut(&str) -> Option<ForeignSet>) -> Option<()> {
        let key = self.get(data.number(2)).cloned();
        if let Some(word) = Self::word(data.number(3)) {
            // A map fills the registers from here on, nobody knows how many.
            self.registers.retain(|known, _| *known < word);
        }
        let (field, width) = match key? {
            Register::Header { transport, offset, mask } => self.field(transport, offset, &mask)?,
            Register::Meta(meta::L4PROTO) => (Field::Protocol, 8),
            _ => return None,
        };
        let (values, length) = sets(&data.text(1).ok()?)?;
        if length * 8 != u64::from(width) {
            // A concatenation: other registers count too.
            return None;
        }
        // With a destination register it is a map: the keys are a condition all the same.
        self.one_of(field, width, &values, data.number(5).unwrap_or(0) & 1 != 0);
        Some(())
    }

    fn one_of(&mut self, field: Field, width: u32, values: &Values, inverted: bool) {
        let all = Values::range(0, if width >= 128 { u128::MAX } else { (1 << width) - 1 });
        let values = if inverted { values.complement() } else { values.clone() };
        self.facts.narrow(field, &values.intersection(&all));
    }
}

/// The registers of a range's ends, given by two attributes of which the second may be left out.
fn registers(data: &Fields<'_>, first: u16, last: u16) -> Option<(u64, u64)> {
    data.number(first).map(|first| (first, data.number(last).unwrap_or(first)))
}

/// The bytes in a data attribute.
fn value<'a>(fields: &Fields<'a>, kind: u16) -> Option<&'a [u8]> {
    Fields::of(fields.get(kind)?).ok()?.get(data::VALUE)
}

/// An interface's name; without its final NUL it is the start of one.
fn pattern(bytes: &[u8]) -> Option<InterfacePattern> {
    (bytes.len() <= IFNAMSIZ).then(|| InterfacePattern { name: wire::text(bytes), prefix: !bytes.contains(&0) })
}

fn by_index(bytes: &[u8]) -> Option<InterfacePattern> {
    let index = u32::from_ne_bytes(bytes.try_into().ok()?);
    let name = if_indextoname(index).ok()?.to_str().ok()?.to_string();
    Some(InterfacePattern { name, prefix: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::wire::{Request, messages};
    use crate::net::RangeSet;
    use proptest::prelude::*;

    /// The expressions that `fill` writes, as they stand in a rule.
    fn list(fill: impl FnOnce(Request) -> Request) -> Vec<u8> {
        let bytes = fill(Request::netfilter(0, 0, 0)).finish(0);
        messages(&bytes).next().unwrap().unwrap().attributes().to_vec()
    }

    fn one(name: &'static str, data: impl FnOnce(Request) -> Request) -> impl FnOnce(Request) -> Request {
        move |list| list.with_nested(1, |one| one.with_text(1, name).with_nested(2, data))
    }

    fn load(base: u32, offset: u32, length: u32) -> impl FnOnce(Request) -> Request {
        one("payload", move |d| d.with_be32(1, 1).with_be32(2, base).with_be32(3, offset).with_be32(4, length))
    }

    fn compare(operator: u32, value: &'static [u8]) -> impl FnOnce(Request) -> Request {
        one("cmp", move |d| d.with_be32(1, 1).with_be32(2, operator).with_nested(3, |v| v.with(1, value)))
    }

    fn read(bytes: &[u8]) -> NatMatch {
        Program::read(bytes, TableFamily::Ip, |_| None).unwrap().unwrap().1
    }

    fn masquerade(list: Request) -> Request {
        one("masq", |d| d)(list)
    }

    #[test]
    fn a_short_load_is_a_prefix() {
        let matching = read(&list(|l| masquerade(compare(0, &[10])(load(1, 12, 1)(l)))));
        assert_eq!(matching.source, Some(["10.0.0.0/8".parse().unwrap()].into_iter().collect()));
        assert!(matching.understood);
    }

    #[test]
    fn a_register_that_something_unknown_may_have_filled_says_nothing() {
        let matching = read(&list(|l| masquerade(compare(0, &[0, 80])(one("hash", |d| d)(load(2, 2, 2)(l))))));
        assert_eq!(matching.destination_ports, None);
        assert!(!matching.understood);
    }

    #[test]
    fn of_two_fields_at_once_only_equality_says_something() {
        let equal = read(&list(|l| masquerade(compare(0, &[0, 1, 0, 80])(load(2, 0, 4)(l)))));
        assert_eq!(equal.source_ports, Some(RangeSet::single(1)));
        assert_eq!(equal.destination_ports, Some(RangeSet::single(80)));
        let different = read(&list(|l| masquerade(compare(1, &[0, 1, 0, 80])(load(2, 0, 4)(l)))));
        assert_eq!((different.source_ports, different.destination_ports), (None, None));
        // More bytes than were loaded: a second register is part of the comparison.
        let wider = read(&list(|l| masquerade(compare(1, &[0, 80, 0, 0, 6, 0, 0, 0])(load(2, 2, 2)(l)))));
        assert_eq!((wider.destination_ports, wider.understood), (None, false));
    }

    #[test]
    fn what_is_not_known_is_nat_of_another_kind() {
        let bytes = list(one("fullcone", |d| d));
        assert!(is_nat(&bytes).unwrap());
        let (action, _) = Program::read(&bytes, TableFamily::Inet, |_| None).unwrap().unwrap();
        assert_eq!(action.kind, NatKind::Other("fullcone".into()));
        assert!(!is_nat(&list(one("counter", |d| d))).unwrap());
    }

    proptest! {
        #[test]
        fn no_rule_can_make_it_panic(
            steps in proptest::collection::vec(
                (0usize..14, proptest::collection::vec((0u16..9, proptest::collection::vec(any::<u8>(), 0..24)), 0..8)), 0..8),
            family in 0u8..12,
        ) {
            let names = ["payload", "meta", "bitwise", "cmp", "range", "lookup", "match", "target", "nat", "masq", "redir",
                "immediate", "ct", "other"];
            let bytes = list(|request| steps.iter().fold(request, |request, (name, data)| {
                request.with_nested(1, |one| one.with_text(1, names[*name]).with_nested(2, |all| {
                    data.iter().fold(all, |all, (kind, value)| match kind % 3 {
                        0 => all.with(*kind, value),
                        1 => all.with_be32(*kind, u32::from(value.first().copied().unwrap_or(1))),
                        _ => all.with_nested(*kind, |inner| inner.with(1, value)),
                    })
                }))
            }));
            let _ = is_nat(&bytes);
            let _ = Program::read(&bytes, TableFamily::of(family), |_| Some((Values::range(1, 9), 2)));
        }
    }
}
