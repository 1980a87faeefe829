//! The keys of a set's elements, and whose they are.
//!
//! A key is kept as the kernel compares it: its fields in network order, one behind the other, each padded to 4 bytes where there are several. That
//! takes a few bytes, and a hundred thousand keys are told apart, compared with those of another set and sent without a look at what they mean.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::key_type::{self, width};
use super::program::Field;
use crate::net::{AddrRange, Family, Name, Protocol};
use crate::policy::EntryId;

/// What the comment of an element starts with. The name of the entry that it belongs to follows.
pub(super) const COMMENT: &str = "fwc: ";

/// Keys of several fields, or of one that is no address, each with the entry that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    fields: Vec<Field>,
    /// Whether an element is a first and a last key.
    ranges: bool,
    /// One element behind the other.
    bytes: Vec<u8>,
    owners: Vec<EntryId>,
}

/// One element.
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    fields: &'a [Field],
    /// Its key, or the first of its keys.
    pub first: &'a [u8],
    /// The last of its keys.
    pub last: &'a [u8],
    /// Who it belongs to.
    pub owner: EntryId,
}

/// The value or range of values of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// The name of an interface.
    Interface(&'a str),
    /// Addresses.
    Addresses(AddrRange),
    /// A protocol.
    Protocol(Protocol),
    /// Ports, first and last, host byte order.
    Ports(u16, u16),
}

impl Keys {
    /// None yet. `ranges`: of an interval set.
    #[must_use]
    pub fn new(fields: Vec<Field>, ranges: bool) -> Self {
        Keys { fields, ranges, bytes: Vec::new(), owners: Vec::new() }
    }

    /// The fields of a key.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// Who they belong to.
    #[must_use]
    pub fn owners(&self) -> &[EntryId] {
        &self.owners
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = Element<'_>> {
        let of = |(bytes, owner): (_, &EntryId)| self.element(bytes, *owner);
        self.bytes.chunks_exact(self.stride()).zip(&self.owners).map(of)
    }

    /// Appends an element with a value for each field.
    pub fn push<'v>(&mut self, values: impl Iterator<Item = Value<'v>> + Clone, owner: EntryId) {
        let is_one_of_many = self.fields.len() > 1;
        let ends = if self.ranges { &[End::First, End::Last][..] } else { &[End::First] };
        for &end in ends {
            for value in values.clone() {
                value.write(end, &mut self.bytes);
                if is_one_of_many {
                    self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
                }
            }
        }
        self.owners.push(owner);
    }

    /// Those at these places.
    pub(super) fn picked(&self, places: &[usize]) -> Keys {
        let mut picked = Keys::new(self.fields.clone(), self.ranges);
        for place in places {
            let start = place * self.stride();
            if let (Some(bytes), Some(owner)) = (self.bytes.get(start..start + self.stride()), self.owners.get(*place))
            {
                picked.bytes.extend_from_slice(bytes);
                picked.owners.push(*owner);
            }
        }
        picked
    }

    /// Equal keys once: the first entry has the count.
    pub(super) fn once(self) -> Keys {
        let elements = || self.bytes.chunks_exact(self.stride());
        if elements().is_sorted_by(|a, b| a < b) {
            return self;
        }
        let mut seen: HashSet<&[u8], BuildHasherDefault<KeyHasher>> = HashSet::default();
        seen.reserve(self.len());
        let first: Vec<usize> = elements().enumerate().filter(|(_, key)| seen.insert(key)).map(|(at, _)| at).collect();
        if first.len() == self.len() { self } else { self.picked(&first) }
    }

    /// Whether the elements are the same, with the same comments.
    pub(super) fn is_same(&self, other: &Keys, names: &[Name]) -> bool {
        let name = |owner: &EntryId| names.get(owner.0 as usize);
        (&self.fields, self.ranges, &self.bytes) == (&other.fields, other.ranges, &other.bytes)
            && self.owners.iter().zip(&other.owners).all(|(a, b)| a == b || name(a) == name(b))
    }

    /// Bytes of an element.
    fn stride(&self) -> usize {
        let key = key_type::length(&self.fields) as usize;
        if self.ranges { 2 * key } else { key }
    }

    fn element<'a>(&'a self, bytes: &'a [u8], owner: EntryId) -> Element<'a> {
        let (first, last) = if self.ranges { bytes.split_at(bytes.len() / 2) } else { (bytes, bytes) };
        Element { fields: &self.fields, first, last, owner }
    }
}

impl<'a> Element<'a> {
    /// A value for each field.
    pub fn values(self) -> impl Iterator<Item = Value<'a>> {
        let mut at = 0;
        self.fields.iter().filter_map(move |&field| {
            let start = at;
            at += usize::from(width(field)).next_multiple_of(4);
            Value::read(field, self.first.get(start..)?, self.last.get(start..)?)
        })
    }
}

/// The first or the last of a range.
#[derive(Clone, Copy)]
enum End {
    First,
    Last,
}

impl End {
    fn of<T>(self, first: T, last: T) -> T {
        match self {
            End::First => first,
            End::Last => last,
        }
    }
}

/// Bytes of an interface's name, filled up with zeroes.
const INTERFACE: usize = 16;

impl<'a> Value<'a> {
    /// Whether it is one value, no range.
    #[must_use]
    pub fn is_single(&self) -> bool {
        match self {
            Value::Addresses(AddrRange::V4(first, last)) => first == last,
            Value::Addresses(AddrRange::V6(first, last)) => first == last,
            Value::Ports(first, last) => first == last,
            Value::Interface(_) | Value::Protocol(_) => true,
        }
    }

    fn write(self, end: End, to: &mut Vec<u8>) {
        match self {
            Value::Interface(name) => {
                let start = to.len();
                to.extend_from_slice(name.as_bytes());
                to.resize(start + INTERFACE, 0);
            }
            Value::Addresses(AddrRange::V4(first, last)) => to.extend_from_slice(&end.of(first, last).to_be_bytes()),
            Value::Addresses(AddrRange::V6(first, last)) => to.extend_from_slice(&end.of(first, last).to_be_bytes()),
            Value::Protocol(protocol) => to.push(protocol.number()),
            Value::Ports(first, last) => to.extend_from_slice(&end.of(first, last).to_be_bytes()),
        }
    }

    /// What stands at the start of a first and a last key; none only of bytes that have not been written as this field.
    fn read(field: Field, first: &'a [u8], last: &'a [u8]) -> Option<Self> {
        Some(match field {
            Field::Interface => {
                let name = first.get(..INTERFACE)?.split(|byte| *byte == 0).next()?;
                Value::Interface(std::str::from_utf8(name).ok()?)
            }
            Field::Address(Family::V4) => {
                let number = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
                Value::Addresses(AddrRange::V4(number(first)?, number(last)?))
            }
            Field::Address(Family::V6) => {
                let number = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u128::from_be_bytes(*bytes));
                Value::Addresses(AddrRange::V6(number(first)?, number(last)?))
            }
            Field::Protocol => Value::Protocol(Protocol::numbered(*first.first()?)?),
            Field::Port => {
                let number = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
                Value::Ports(number(first)?, number(last)?)
            }
        })
    }
}

/// XXH3 of keys, which are short and our own.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// The length, which is the same for all.
    fn write_usize(&mut self, length: usize) {
        self.0 ^= length as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = (Field, Value<'static>)> {
        prop_oneof![
            prop_oneof![Just("eth0"), Just("fifteen-letters")]
                .prop_map(|name| (Field::Interface, Value::Interface(name))),
            any::<(u32, u32)>()
                .prop_map(|(a, b)| (Field::Address(Family::V4), Value::Addresses(AddrRange::V4(a.min(b), a.max(b))))),
            any::<(u128, u128)>()
                .prop_map(|(a, b)| (Field::Address(Family::V6), Value::Addresses(AddrRange::V6(a.min(b), a.max(b))))),
            Just((Field::Protocol, Value::Protocol(Protocol::UDP))),
            any::<(u16, u16)>().prop_map(|(a, b)| (Field::Port, Value::Ports(a.min(b), a.max(b)))),
        ]
    }

    proptest! {
        #[test]
        fn a_key_is_read_as_it_was_written(values in proptest::collection::vec(value(), 1..5)) {
            let (fields, values): (Vec<Field>, Vec<Value<'_>>) = values.into_iter().unzip();
            let mut keys = Keys::new(fields, true);
            keys.push(values.iter().copied(), EntryId(7));
            keys.push(values.iter().copied(), EntryId(8));
            let read: Vec<(Vec<Value<'_>>, EntryId)> =
                keys.iter().map(|element| (element.values().collect(), element.owner)).collect();
            prop_assert_eq!(read, [(values.clone(), EntryId(7)), (values, EntryId(8))]);
        }

        #[test]
        fn the_first_of_equal_keys_stays(ports in proptest::collection::vec(1u16..6, 0..12)) {
            let mut keys = Keys::new(vec![Field::Protocol, Field::Port], false);
            for (&port, number) in ports.iter().zip(0..) {
                keys.push([Value::Protocol(Protocol::UDP), Value::Ports(port, port)].into_iter(), EntryId(number));
            }
            let is_first = |at: &usize| !ports[..*at].contains(&ports[*at]);
            let first: Vec<EntryId> =
                (0..ports.len()).filter(is_first).map(|at| EntryId(u32::try_from(at).unwrap())).collect();
            let once = keys.once();
            prop_assert_eq!(once.owners(), first);
        }
    }

    #[test]
    fn a_key_is_what_the_kernel_compares() {
        let mut keys = Keys::new(vec![Field::Address(Family::V4), Field::Protocol, Field::Port], true);
        let address = Value::Addresses(AddrRange::V4(0x0a00_0001, 0x0a00_00ff));
        keys.push([address, Value::Protocol(Protocol::TCP), Value::Ports(80, 443)].into_iter(), EntryId(0));
        let element = keys.iter().next().unwrap();
        assert_eq!(element.first, [10, 0, 0, 1, 6, 0, 0, 0, 0, 80, 0, 0]);
        assert_eq!(element.last, [10, 0, 0, 255, 6, 0, 0, 0, 1, 187, 0, 0]);
        let mut alone = Keys::new(vec![Field::Protocol], false);
        alone.push(std::iter::once(Value::Protocol(Protocol::TCP)), EntryId(0));
        assert_eq!(alone.iter().next().unwrap().first, [6]);
    }

    #[test]
    fn the_same_keys_of_entries_of_the_same_name_are_the_same() {
        let keys = |owner| {
            let mut keys = Keys::new(vec![Field::Protocol], false);
            keys.push(std::iter::once(Value::Protocol(Protocol::TCP)), EntryId(owner));
            keys
        };
        let names: Vec<Name> = ["dns", "web", "dns"].map(|name| name.parse().unwrap()).to_vec();
        assert!(keys(0).is_same(&keys(2), &names));
        assert!(!keys(0).is_same(&keys(1), &names));
    }
}
