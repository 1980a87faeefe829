//! The space of all packets: which bits stand for what.
//!
//! Every header field that rules compare has bits of its own; addresses and ports are numbered by class (see `partition`). What conntrack says
//! and which interfaces a packet passes are fields like any other. A question that is not understood gets a bit of its own too: it may be
//! answered either way.

mod example;
mod header;
mod host;
mod layout;
mod question;

use std::cell::RefCell;
use std::collections::HashMap;

use super::bdd::{Bits, Engine, Result, Set};
use super::names::Names;
use super::partition::Partition;
use super::survey::Survey;
use crate::dump::Side;
use crate::net::Family;
use layout::Layout;

pub use header::icmp;

/// A field whose values are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// An address.
    Address(Side),
    /// A port.
    Port(Side),
    /// The destination before a translation.
    OriginalAddress,
    /// The destination port before a translation.
    OriginalPort,
    /// The protocol's number.
    Protocol,
    /// The type of an ICMP or ICMPv6 message.
    IcmpType,
    /// Its code.
    IcmpCode,
}

/// See the module.
pub struct Space {
    /// Makes the sets.
    pub engine: Engine,
    v4: Partition,
    v6: Partition,
    ports: Partition,
    names: Names,
    layout: Layout,
    /// Packets with a field in a single interval, as far as they have been asked for.
    intervals: RefCell<HashMap<(Bits, usize, usize), Set>>,
    opaque: RefCell<HashMap<String, Set>>,
    occurrences: RefCell<u32>,
}

impl Space {
    /// A space in which everything that the survey has seen can be told apart.
    pub fn of(survey: &Survey) -> Result<Space> {
        Space::with(Engine::new(), survey)
    }

    /// The same, with an engine of one's own.
    pub fn with(engine: Engine, survey: &Survey) -> Result<Space> {
        let (v4, v6) = (Partition::of(&survey.v4, u32::MAX.into()), Partition::of(&survey.v6, u128::MAX));
        let ports = Partition::of(&survey.ports, u16::MAX.into());
        let names = Names::of(&survey.interfaces);
        let layout = Layout::of(&engine, v4.bits().max(v6.bits()), ports.bits(), names.bits())?;
        let (intervals, opaque) = (RefCell::default(), RefCell::default());
        Ok(Space { engine, v4, v6, ports, names, layout, intervals, opaque, occurrences: RefCell::new(0) })
    }

    /// How the values of a field are divided; `None`: each value is a class of its own.
    fn partition(&self, field: Field, family: Family) -> Option<&Partition> {
        match (field, family) {
            (Field::Address(_) | Field::OriginalAddress, Family::V4) => Some(&self.v4),
            (Field::Address(_) | Field::OriginalAddress, Family::V6) => Some(&self.v6),
            (Field::Port(_) | Field::OriginalPort, _) => Some(&self.ports),
            _ => None,
        }
    }

    /// First and last class of a range. The last class also stands for the numbers behind it, so that every number stands for a class.
    pub(super) fn classes(&self, field: Field, family: Family, range: (u128, u128)) -> (usize, usize) {
        let Some(partition) = self.partition(field, family) else {
            let small = |value: u128| usize::try_from(value).unwrap_or(usize::MAX);
            return (small(range.0), small(range.1));
        };
        let (first, last) = partition.classes(range);
        let end = if last + 1 == partition.len() { (1 << self.layout.bits(field).count) - 1 } else { last };
        (first, end)
    }

    /// Packets with the field in one interval and in the set beside it. The intervals are of one family, sorted and apart from each other.
    pub(super) fn choose(&self, field: Field, intervals: &[(usize, usize, Set)]) -> Result<Set> {
        self.engine.choose(self.layout.bits(field), intervals)
    }

    /// Packets with the field in a range; nothing is said about the packet having the field, nor about its family.
    pub(super) fn range(&self, field: Field, family: Family, range: (u128, u128)) -> Result<Set> {
        self.interval(self.layout.bits(field), self.classes(field, family, range))
    }

    fn ranges(&self, field: Field, family: Family, ranges: impl Iterator<Item = (u128, u128)>) -> Result<Set> {
        let bits = self.layout.bits(field);
        let intervals: Vec<(usize, usize)> = ranges.map(|range| self.classes(field, family, range)).collect();
        if let [one] = *intervals { self.interval(bits, one) } else { self.among(bits, intervals) }
    }

    /// Packets whose number in `bits` is in an interval. It is remembered: rules ask for the same ones again and again.
    fn interval(&self, bits: Bits, (first, last): (usize, usize)) -> Result<Set> {
        if let Some(known) = self.intervals.borrow().get(&(bits, first, last)) {
            return Ok(known.clone());
        }
        let made = self.among(bits, [(first, last)])?;
        self.intervals.borrow_mut().insert((bits, first, last), made.clone());
        Ok(made)
    }

    /// Packets whose number in `bits` is in one of the intervals, which are sorted and apart from each other.
    fn among(&self, bits: Bits, intervals: impl IntoIterator<Item = (usize, usize)>) -> Result<Set> {
        let intervals: Vec<_> = intervals.into_iter().map(|(first, last)| (first, last, self.engine.all())).collect();
        self.engine.choose(bits, &intervals)
    }
}
