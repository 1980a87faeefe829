//! Sets and maps as the kernel holds them.

use super::field::{Field, interface};
use crate::dump::{InterfacePattern, Value};
use crate::kernel::nf_tables::{data, element, set, set_flag};
use crate::kernel::wire::{self, Fields, Malformed};
use crate::net::RangeSet;

/// `NFT_SET_EVAL`: rules add to it.
const FILLED_BY_RULES: u64 = 0x20;
/// `NFTA_SET_ELEM_DATA`
const ELEMENT_DATA: u16 = 2;
/// `NFT_SET_ELEM_CATCHALL`
const CATCH_ALL: u64 = 2;

/// A set, its elements still as bytes.
#[derive(Debug)]
pub(super) struct Set<'a> {
    pub(super) name: String,
    pub(super) key_length: usize,
    flags: u64,
    /// Elements do more than count.
    busy: bool,
    elements: Vec<Fields<'a>>,
}

/// What an element maps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target<'a>(pub(super) Option<&'a [u8]>);

/// A part of a map: the elements with one target.
pub(super) struct Group<'a, 's> {
    pub(super) target: Target<'a>,
    pub(super) elements: Vec<&'s Fields<'a>>,
}

impl<'a> Set<'a> {
    pub(super) fn of(fields: &Fields<'a>) -> Result<Self, Malformed> {
        let mut busy = !counts_at_most(fields.get(set::EXPRESSION))?;
        for one in wire::attributes(fields.get(set::EXPRESSIONS).unwrap_or(&[])) {
            busy |= !counts_at_most(Some(one?.value))?;
        }
        Ok(Set {
            name: fields.text(set::NAME)?,
            key_length: fields.number(set::KEY_LENGTH).and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0),
            flags: fields.number(set::FLAGS).unwrap_or(0),
            busy,
            elements: Vec::new(),
        })
    }

    /// Takes a list of elements in.
    pub(super) fn take(&mut self, list: &'a [u8]) -> Result<(), Malformed> {
        for one in wire::attributes(list) {
            let fields = Fields::of(one?.value)?;
            self.busy |= !counts_at_most(fields.get(element::EXPRESSION))?;
            for one in wire::attributes(fields.get(element::EXPRESSIONS).unwrap_or(&[])) {
                self.busy |= !counts_at_most(Some(one?.value))?;
            }
            self.elements.push(fields);
        }
        Ok(())
    }

    /// Whether it has a name that a person knows.
    pub(super) fn is_named(&self) -> bool {
        self.flags & set_flag::ANONYMOUS == 0
    }

    /// Whether what is in it may change from packet to packet.
    pub(super) fn is_volatile(&self) -> bool {
        self.busy || self.flags & FILLED_BY_RULES != 0
    }

    fn is_catch_all(one: &Fields<'_>) -> bool {
        one.number(element::FLAGS).unwrap_or(0) & CATCH_ALL != 0
    }

    /// Whether one element stands for all keys that no other has.
    pub(super) fn has_catch_all(&self) -> bool {
        self.elements.iter().any(Self::is_catch_all)
    }

    /// The target of that element.
    pub(super) fn catch_all(&self) -> Option<Target<'a>> {
        self.elements.iter().find(|one| Self::is_catch_all(one)).map(|one| Target(one.get(ELEMENT_DATA)))
    }

    /// Every element that has a key.
    pub(super) fn all(&self) -> Vec<&Fields<'a>> {
        self.elements.iter().filter(|one| !Self::is_catch_all(one)).collect()
    }

    /// The elements by their targets. Keys are apart from each other, so the order means nothing.
    pub(super) fn groups(&self) -> Option<Vec<Group<'a, '_>>> {
        if self.flags & set_flag::INTERVAL != 0 && self.flags & set_flag::CONCATENATED == 0 {
            return None;
        }
        let mut groups: Vec<Group<'a, '_>> = Vec::new();
        for one in self.all() {
            let target = Target(one.get(ELEMENT_DATA));
            match groups.iter_mut().find(|group| group.target == target) {
                Some(group) => group.elements.push(one),
                None => groups.push(Group { target, elements: vec![one] }),
            }
        }
        Some(groups)
    }

    /// The ranges of a map of plain intervals, with their targets: a start and, unless it reaches the last value, an end behind it.
    pub(super) fn intervals(&self) -> Option<Vec<((u128, u128), Target<'a>)>> {
        let mut all = Vec::with_capacity(self.elements.len());
        let mut largest = 0;
        for one in self.all() {
            let bytes = key(one, element::KEY)?;
            largest = u128::MAX.checked_shr(128u32.checked_sub(8 * u32::try_from(bytes.len()).ok()?)?)?;
            let start = one.number(element::FLAGS).unwrap_or(0) & element::INTERVAL_END == 0;
            all.push((wire::big_endian(bytes)?, start, Target(one.get(ELEMENT_DATA))));
        }
        // Where a range ends as the next one starts, the end comes first.
        all.sort_by_key(|(key, start, _)| (*key, *start));
        let mut ranges = Vec::new();
        let mut open: Option<(u128, Target<'a>)> = None;
        for (key, start, target) in all {
            if let Some((first, target)) = open.take() {
                ranges.push(((first, key.checked_sub(1)?), target));
            }
            open = start.then_some((key, target));
        }
        ranges.extend(open.map(|(first, target)| ((first, largest), target)));
        Some(ranges)
    }

    /// The numbers of some elements of a set with one field.
    pub(super) fn numbers(&self, elements: &[&Fields<'a>]) -> Option<RangeSet<u128>> {
        if self.flags & set_flag::INTERVAL != 0 && elements.iter().all(|one| key(one, element::KEY_END).is_none()) {
            return Some(RangeSet::from_ranges(self.intervals()?.into_iter().map(|(range, _)| range)));
        }
        let range = |one: &&Fields<'a>| {
            let first = key(one, element::KEY)?;
            let last = key(one, element::KEY_END).unwrap_or(first);
            Some((wire::big_endian(first)?, wire::big_endian(last)?))
        };
        Some(RangeSet::from_ranges(elements.iter().map(range).collect::<Option<Vec<_>>>()?))
    }

    /// The names in a set of interfaces, sorted: a hash set lists them as they lie in its table.
    pub(super) fn interfaces(&self, elements: &[&Fields<'a>]) -> Option<Vec<InterfacePattern>> {
        if self.flags & set_flag::INTERVAL != 0 {
            return self.interface_ranges();
        }
        let mut names = elements.iter().map(|one| interface(key(one, element::KEY)?)).collect::<Option<Vec<_>>>()?;
        names.sort_unstable();
        Some(names)
    }

    /// `eth*` in a set is the range of all names that start so.
    fn interface_ranges(&self) -> Option<Vec<InterfacePattern>> {
        let one = |((first, last), _): ((u128, u128), Target<'a>)| name_range(first.to_be_bytes(), last.to_be_bytes());
        self.intervals()?.into_iter().map(one).collect()
    }

    /// The values of some elements of a set with several fields, sorted.
    pub(super) fn keys(&self, elements: &[&Fields<'a>], fields: &[Field]) -> Option<Vec<Vec<Value>>> {
        let mut keys = elements.iter().map(|one| values(one, fields)).collect::<Option<Vec<_>>>()?;
        keys.sort_unstable();
        Some(keys)
    }
}

/// An element's values, one for each field. Each field is padded to 4 bytes.
fn values(one: &Fields<'_>, fields: &[Field]) -> Option<Vec<Value>> {
    let first = key(one, element::KEY)?;
    let last = key(one, element::KEY_END).unwrap_or(first);
    let mut at = 0;
    let mut values = Vec::with_capacity(fields.len());
    for field in fields {
        let (first, last) = (first.get(at..at + field.width())?, last.get(at..at + field.width())?);
        values.push(match field {
            Field::Interface(_) if first == last => Value::Interface(interface(first)?),
            Field::Interface(_) => Value::Interface(name_range(first.try_into().ok()?, last.try_into().ok()?)?),
            _ => Value::Numbers(wire::big_endian(first)?, wire::big_endian(last)?),
        });
        at += field.width().next_multiple_of(4);
    }
    Some(values)
}

/// The names from `first` to `last`: one name, or all with one start.
pub(super) fn name_range(first: [u8; 16], last: [u8; 16]) -> Option<InterfacePattern> {
    let name = wire::text(&first);
    if first == last {
        return interface(&first);
    }
    let free = (first.get(name.len()..)?, last.get(name.len()..)?);
    let whole = free.0.iter().all(|&byte| byte == 0) && free.1.iter().all(|&byte| byte == 0xff);
    (whole && first.get(..name.len()) == last.get(..name.len())).then_some(InterfacePattern { name, prefix: true })
}

/// The bytes of an element's key, or of its last key.
fn key<'a>(one: &Fields<'a>, kind: u16) -> Option<&'a [u8]> {
    Fields::of(one.get(kind)?).ok()?.get(data::VALUE)
}

/// Whether an expression of elements is a counter or is not there.
fn counts_at_most(expression: Option<&[u8]>) -> Result<bool, Malformed> {
    let name = |bytes| Fields::of(bytes)?.text(crate::kernel::nf_tables::expression::NAME);
    expression.map_or(Ok(true), |bytes| Ok(matches!(name(bytes)?.as_str(), "counter" | "last")))
}
