//! Comparisons of what was loaded, as conditions.

use super::field::{Field, under_prefix};
use super::register::{Loaded, What, hex};
use crate::dump::{Condition, InterfacePattern, Parts, Side, States, Test, Way};
use crate::kernel::wire;
use crate::net::{Family, RangeSet};

/// What a rule has said of its packets so far.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::dump) struct Known {
    pub(in crate::dump) family: Option<Family>,
    pub(in crate::dump) protocol: Option<u8>,
}

/// A part of a header.
#[derive(Debug, Clone, Copy)]
enum Part {
    Field(Field),
    TcpFlags,
    /// Flags and offset of an IPv4 fragment.
    Fragment,
}

const NFPROTO: u64 = 15;
const L4PROTO: u64 = 16;
/// `NFPROTO_IPV4`, `NFPROTO_IPV6`, and the same as EtherTypes.
const FAMILIES: [(&[u8], Family); 4] =
    [(&[2], Family::V4), (&[10], Family::V6), (&[8, 0], Family::V4), (&[0x86, 0xdd], Family::V6)];
/// `RTN_LOCAL`
const LOCAL: u32 = 2;
/// The index of lo in every namespace.
const LOOPBACK: u32 = 1;

impl Known {
    /// The one field that a value is, if it is one.
    pub(in crate::dump) fn field(self, loaded: &Loaded) -> Option<Field> {
        if loaded.mask.is_some() {
            return None;
        }
        let field = match &loaded.what {
            What::Meta(L4PROTO) => Field::Protocol,
            What::Meta(6) => Field::Interface(Way::In),
            What::Meta(7) => Field::Interface(Way::Out),
            What::Conntrack { key: 9, original: true } => match loaded.length {
                4 => Field::OriginalDestination(Family::V4),
                _ => Field::OriginalDestination(Family::V6),
            },
            What::Conntrack { key: 20, original: true } => Field::OriginalDestination(Family::V4),
            What::Conntrack { key: 22, original: true } => Field::OriginalDestination(Family::V6),
            What::Conntrack { key: 12, original: true } => Field::OriginalPort,
            What::Network { offset } | What::Transport { offset } => {
                let parts = self.parts(&loaded.what);
                match parts.iter().find(|part| part.1 == *offset && part.2 == loaded.length)?.0 {
                    Part::Field(field) => field,
                    _ => return None,
                }
            }
            _ => return None,
        };
        (field.width() == loaded.length).then_some(field)
    }

    /// The parts of a header, with offset and length.
    fn parts(self, what: &What) -> Vec<(Part, usize, usize)> {
        let field = |field: Field, at| (Part::Field(field), at, field.width());
        let (source, destination) = (Side::Source, Side::Destination);
        match (what, self.family, self.protocol) {
            (What::Network { .. }, Some(Family::V4), _) => vec![
                (Part::Fragment, 6, 2),
                field(Field::Protocol, 9),
                field(Field::Address(Family::V4, source), 12),
                field(Field::Address(Family::V4, destination), 16),
            ],
            (What::Network { .. }, Some(Family::V6), _) => {
                vec![field(Field::Address(Family::V6, source), 8), field(Field::Address(Family::V6, destination), 24)]
            }
            (What::Transport { .. }, _, Some(1)) => {
                vec![field(Field::IcmpType(Family::V4), 0), field(Field::IcmpCode(Family::V4), 1)]
            }
            (What::Transport { .. }, _, Some(58)) => {
                vec![field(Field::IcmpType(Family::V6), 0), field(Field::IcmpCode(Family::V6), 1)]
            }
            (What::Transport { .. }, _, Some(6)) => {
                vec![field(Field::Port(source), 0), field(Field::Port(destination), 2), (Part::TcpFlags, 13, 1)]
            }
            // Without a protocol, ports are of any protocol that has them.
            (What::Transport { .. }, _, None | Some(17 | 33 | 132 | 136)) => {
                vec![field(Field::Port(source), 0), field(Field::Port(destination), 2)]
            }
            _ => Vec::new(),
        }
    }

    /// The value is (or is not) this. Learns the family and the protocol.
    pub(in crate::dump) fn equal(&mut self, loaded: &Loaded, wanted: &[u8], negated: bool) -> Vec<Condition> {
        let found = match &loaded.what {
            // The start of a name is compared as far as it goes.
            What::Meta(key @ (6 | 7)) if loaded.mask.is_none() => super::field::interface(wanted).map(|name| {
                let way = if *key == 6 { Way::In } else { Way::Out };
                vec![(Test::Interface(way, vec![name]), false)]
            }),
            _ if wanted.len() != loaded.length => None,
            What::Network { offset } | What::Transport { offset } => self.header(loaded, *offset, wanted),
            What::Meta(NFPROTO | 1) => FAMILIES
                .iter()
                .find(|(bytes, _)| *bytes == wanted)
                .map(|(_, family)| vec![(Test::Family(*family), false)]),
            What::Meta(key @ (4 | 5)) => (wanted == LOOPBACK.to_ne_bytes().as_slice()).then(|| {
                let way = if *key == 4 { Way::In } else { Way::Out };
                vec![(Test::Interface(way, vec![InterfacePattern::exact("lo")]), false)]
            }),
            What::Conntrack { key, .. } if matches!(key, 0 | 2) => {
                bits(*key, loaded.mask.as_deref(), wanted).map(|one| vec![one])
            }
            What::AddressType(flags) => (wanted == LOCAL.to_ne_bytes().as_slice())
                .then_some(())
                .and_then(|()| side_of(*flags).map(|side| vec![(Test::Local(side), false)])),
            What::Extension { kind: 44, offset: _, present: true } => {
                (wanted == [1]).then(|| vec![(Test::Fragment(Parts::FRAGMENT), false)])
            }
            What::Extension { kind: 44, offset: 2, present: false } => {
                let later = loaded.mask.as_deref() == Some(&[0xff, 0xf8]) && wanted == [0, 0] && negated;
                // Turned round below.
                later.then(|| vec![(Test::Fragment(Parts::LATER), true)])
            }
            _ => self.masked(loaded, wanted),
        };
        let Some(tests) = found else { return vec![opaque(loaded, "==", wanted, negated)] };
        if !negated && let [(test, false)] = tests.as_slice() {
            self.learn(test);
        }
        combine(tests, negated)
    }

    /// What one test says of the packets.
    pub(in crate::dump) fn learn(&mut self, test: &Test) {
        match test {
            Test::Family(family) => self.family = Some(*family),
            Test::Protocol(set) => self.protocol = set.as_single().or(self.protocol),
            _ => {}
        }
    }

    fn masked(self, loaded: &Loaded, wanted: &[u8]) -> Option<Vec<(Test, bool)>> {
        let field = self.field(&Loaded { mask: None, ..loaded.clone() })?;
        let range = match &loaded.mask {
            Some(mask) => under_prefix(wanted, mask)?,
            None => wire::big_endian(wanted).map(|value| (value, value))?,
        };
        Some(vec![(field.among(&RangeSet::range(range.0, range.1))?, false)])
    }

    /// Bytes of a header: nft loads only those that a prefix covers, and neighbouring fields at once.
    fn header(self, loaded: &Loaded, offset: usize, wanted: &[u8]) -> Option<Vec<(Test, bool)>> {
        let whole = vec![0xff; loaded.length];
        let mask = loaded.mask.as_deref().unwrap_or(&whole);
        let mut tests = Vec::new();
        let mut covered = 0;
        for (part, at, width) in self.parts(&loaded.what) {
            let pick = |bytes: &[u8]| -> Vec<u8> {
                let byte = |place: usize| place.checked_sub(offset).and_then(|place| bytes.get(place)).copied();
                (at..at + width).map(|place| byte(place).unwrap_or(0)).collect()
            };
            let (mask, value) = (pick(mask), pick(wanted));
            covered += ones(&mask);
            if ones(&mask) > 0 {
                tests.push(part_test(part, &mask, &value)?);
            }
        }
        (covered == ones(mask)).then_some(tests)
    }
}

fn ones(bytes: &[u8]) -> u32 {
    bytes.iter().map(|byte| byte.count_ones()).sum()
}

/// A part of a header is this under a mask; the flag says that it must not be so.
fn part_test(part: Part, mask: &[u8], value: &[u8]) -> Option<(Test, bool)> {
    match (part, mask, value) {
        (Part::Field(field), ..) => {
            let (first, last) = under_prefix(value, mask)?;
            Some((field.among(&RangeSet::range(first, last))?, false))
        }
        (Part::TcpFlags, [mask], [value]) => Some((Test::TcpFlags { mask: *mask, value: *value }, false)),
        (Part::Fragment, [0x1f, 0xff], [0, 0]) => Some((Test::Fragment(Parts::LATER), true)),
        (Part::Fragment, [0x3f, 0xff], [0, 0]) => Some((Test::Fragment(Parts::FRAGMENT), true)),
        _ => None,
    }
}

/// All of the tests, or not all of them.
fn combine(tests: Vec<(Test, bool)>, negated: bool) -> Vec<Condition> {
    let each = tests.into_iter().map(|(test, turned)| Condition { negated: turned != negated, test });
    if !negated {
        return each.collect();
    }
    let mut all: Vec<Condition> = each.collect();
    match all.len() {
        0 => vec![Condition::is(Test::Never)],
        1 => all.pop().into_iter().collect(),
        _ => vec![Condition::is(Test::AnyOf(all))],
    }
}

/// `ct state` (0) and `ct status` (2) under a mask. A packet has exactly one state.
fn bits(key: u64, mask: Option<&[u8]>, wanted: &[u8]) -> Option<(Test, bool)> {
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_ne_bytes);
    let (mask, wanted) = (mask.map_or(Some(u32::MAX), number)?, number(wanted)?);
    if key == 0 {
        return match wanted {
            0 => Some((Test::State(states(mask)?), true)),
            one if one.is_power_of_two() && one & mask == one => Some((Test::State(states(one)?), false)),
            _ => None,
        };
    }
    let side = match mask {
        0x10 => Side::Source,
        0x20 => Side::Destination,
        _ => return None,
    };
    (wanted == 0 || wanted == mask).then_some((Test::Translated(side), wanted == 0))
}

/// The states of bits as nft shows them.
pub(in crate::dump) fn states(bits: u32) -> Option<States> {
    let has = |bit: u32| bits & bit != 0;
    let states = States { invalid: has(1), established: has(2), related: has(4), new: has(8), untracked: has(64) };
    (bits & !0x4f == 0 || bits == u32::MAX).then_some(states)
}

fn side_of(flags: u64) -> Option<Side> {
    match flags {
        1 => Some(Side::Source),
        2 => Some(Side::Destination),
        _ => None,
    }
}

/// A comparison that is not understood.
pub(in crate::dump) fn opaque(loaded: &Loaded, how: &str, wanted: &[u8], negated: bool) -> Condition {
    let (text, volatile) = loaded.words();
    let test = Test::Opaque { text: format!("{text} {how} {}", hex(wanted)).into(), volatile };
    Condition { negated, test }
}
