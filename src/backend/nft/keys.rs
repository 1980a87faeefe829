//! The keys of a set's elements, and whose they are.
//!
//! A key is kept as the kernel compares it: its fields in network order, one behind the other, each padded to 4 bytes where there are several. That
//! takes a few bytes, and a hundred thousand keys are told apart, compared with those of another set and sent without a look at what they mean.

use std::collections::{BTreeSet, HashSet};

use super::key_type::{self, Field, width};
use crate::hash::Seeded;
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

    /// Makes room for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        self.bytes.reserve(more * self.stride());
        self.owners.reserve(more);
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

    /// Appends an element.
    pub fn push(&mut self, key: &Key, owner: EntryId) {
        let (first, last) = key.ends();
        self.bytes.extend_from_slice(first);
        if self.ranges {
            self.bytes.extend_from_slice(last);
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
        let mut seen: HashSet<&[u8], Seeded> = HashSet::default();
        seen.reserve(self.len());
        let first: Vec<usize> = elements().enumerate().filter(|(_, key)| seen.insert(key)).map(|(at, _)| at).collect();
        if first.len() == self.len() { self } else { self.picked(&first) }
    }

    /// Whether the elements are the same, with the same comments.
    pub(super) fn is_same<'n>(&self, other: &Keys, name: impl Fn(EntryId) -> Option<&'n Name>) -> bool {
        (&self.fields, self.ranges, &self.bytes) == (&other.fields, other.ranges, &other.bytes)
            && self.owners.iter().zip(&other.owners).all(|(a, b)| a == b || name(*a) == name(*b))
    }

    /// The protocols among them.
    pub(super) fn protocols(&self) -> BTreeSet<Protocol> {
        let before = self.fields.iter().take_while(|field| **field != Field::Protocol);
        let place: usize = before.map(|field| padded(*field)).sum();
        let mut numbers: Vec<u8> =
            self.bytes.chunks_exact(self.stride()).filter_map(|key| key.get(place)).copied().collect();
        numbers.dedup();
        numbers.into_iter().filter_map(Protocol::numbered).collect()
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

/// Bytes of a field that is one of several.
fn padded(field: Field) -> usize {
    usize::from(width(field)).next_multiple_of(4)
}

impl<'a> Element<'a> {
    /// A value for each field.
    pub fn values(self) -> impl Iterator<Item = Value<'a>> {
        let mut at = 0;
        self.fields.iter().filter_map(move |&field| {
            let start = at;
            at += padded(field);
            Value::read(field, self.first.get(start..)?, self.last.get(start..)?)
        })
    }
}

/// What a key can be long, in bytes: the kernel loads it into registers, and has no more (`NFT_REG32_COUNT`).
const LONGEST: usize = 64;

/// A key, or the first and the last of a range of keys, while its fields are put together.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    first: [u8; LONGEST],
    last: [u8; LONGEST],
    width: usize,
}

impl Key {
    pub(super) const EMPTY: Key = Key { first: [0; LONGEST], last: [0; LONGEST], width: 0 };

    /// With a value for each field.
    #[must_use]
    pub fn of(values: &[Value<'_>]) -> Self {
        let mut key = Key::EMPTY;
        let is_alone = values.len() == 1;
        values.iter().fold(0, |at, value| key.put(at, Some(*value), is_alone));
        key
    }

    /// Writes a field, which may be the only one, and takes back what stood there and behind it. Gives where the next one begins, which is the same
    /// place if there is no such field.
    pub(super) fn put(&mut self, at: usize, value: Option<Value<'_>>, is_alone: bool) -> usize {
        self.width = at;
        match value {
            None => {}
            Some(Value::Interface(name)) => {
                let bytes = interface_bytes(name);
                self.append(bytes, bytes);
            }
            Some(Value::Addresses(AddrRange::V4(first, last))) => self.append(first.to_be_bytes(), last.to_be_bytes()),
            Some(Value::Addresses(AddrRange::V6(first, last))) => self.append(first.to_be_bytes(), last.to_be_bytes()),
            Some(Value::Protocol(protocol)) if is_alone => self.append([protocol.number()], [protocol.number()]),
            Some(Value::Protocol(protocol)) => {
                let bytes = [protocol.number(), 0, 0, 0];
                self.append(bytes, bytes);
            }
            Some(Value::Ports(first, last)) if is_alone => self.append(first.to_be_bytes(), last.to_be_bytes()),
            Some(Value::Ports(first, last)) => {
                let padded = |port: u16| (u32::from(port) << 16).to_be_bytes();
                self.append(padded(first), padded(last));
            }
        }
        self.width
    }

    fn append<const N: usize>(&mut self, first: [u8; N], last: [u8; N]) {
        for (bytes, new) in [(&mut self.first, first), (&mut self.last, last)] {
            if let Some(slot) = bytes.get_mut(self.width..).and_then(|rest| rest.first_chunk_mut()) {
                *slot = new;
            }
        }
        self.width += N;
    }

    /// The first and the last.
    fn ends(&self) -> (&[u8], &[u8]) {
        (self.first.get(..self.width).unwrap_or_default(), self.last.get(..self.width).unwrap_or_default())
    }

    /// Whether it is one key, no range.
    pub(super) fn is_single(&self) -> bool {
        let (first, last) = self.ends();
        first == last
    }
}

/// Bytes of an interface's name.
const INTERFACE: usize = 16;

/// An interface's name as the kernel compares it: filled up with zeroes.
pub(super) fn interface_bytes(name: &str) -> [u8; INTERFACE] {
    let mut bytes = [0; INTERFACE];
    bytes.iter_mut().zip(name.bytes()).for_each(|(slot, byte)| *slot = byte);
    bytes
}

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
            keys.push(&Key::of(&values), EntryId(7));
            keys.push(&Key::of(&values), EntryId(8));
            let read: Vec<(Vec<Value<'_>>, EntryId)> =
                keys.iter().map(|element| (element.values().collect(), element.owner)).collect();
            prop_assert_eq!(read, [(values.clone(), EntryId(7)), (values, EntryId(8))]);
        }

        #[test]
        fn the_first_of_equal_keys_stays(ports in proptest::collection::vec(1u16..6, 0..12)) {
            let mut keys = Keys::new(vec![Field::Protocol, Field::Port], false);
            for (&port, number) in ports.iter().zip(0..) {
                keys.push(&Key::of(&[Value::Protocol(Protocol::UDP), Value::Ports(port, port)]), EntryId(number));
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
        keys.push(&Key::of(&[address, Value::Protocol(Protocol::TCP), Value::Ports(80, 443)]), EntryId(0));
        let element = keys.iter().next().unwrap();
        assert_eq!(element.first, [10, 0, 0, 1, 6, 0, 0, 0, 0, 80, 0, 0]);
        assert_eq!(element.last, [10, 0, 0, 255, 6, 0, 0, 0, 1, 187, 0, 0]);
        let mut alone = Keys::new(vec![Field::Protocol], false);
        alone.push(&Key::of(&[Value::Protocol(Protocol::TCP)]), EntryId(0));
        assert_eq!(alone.iter().next().unwrap().first, [6]);
    }

    #[test]
    fn the_same_keys_of_entries_of_the_same_name_are_the_same() {
        let keys = |owner| {
            let mut keys = Keys::new(vec![Field::Protocol], false);
            keys.push(&Key::of(&[Value::Protocol(Protocol::TCP)]), EntryId(owner));
            keys
        };
        let names: Vec<Name> = ["dns", "web", "dns"].map(|name| name.parse().unwrap()).to_vec();
        let name = |owner: EntryId| names.get(owner.0 as usize);
        assert!(keys(0).is_same(&keys(2), name));
        assert!(!keys(0).is_same(&keys(1), name));
    }
}
