//! Sets of packets as binary decision diagrams: the only place that knows oxidd.
//!
//! A diagram decides by one bit after the other whether a packet is in the set. Equal sets are the same diagram, so equality costs nothing.

use std::cell::RefCell;

use oxidd::bcdd::{self, BCDDFunction, BCDDManagerRef};
use oxidd::util::OptBool;
use oxidd::{BooleanFunction, BooleanFunctionQuant, Manager, ManagerRef};

use super::TooLarge;

/// Nodes that all diagrams together may have; memory is taken as they come, 16 bytes each.
const NODES: usize = 1 << 26;
/// Results that are remembered.
const REMEMBERED: usize = 1 << 20;

/// A set of packets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Set(BCDDFunction);

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_empty() { "Set(empty)" } else { "Set(..)" })
    }
}

/// What an operation gives: a set, unless the diagrams have grown too large.
pub type Result<T> = std::result::Result<T, TooLarge>;

impl Set {
    /// In both.
    pub fn and(&self, other: &Set) -> Result<Set> {
        Ok(Set(self.0.and(&other.0)?))
    }

    /// In one of them.
    pub fn or(&self, other: &Set) -> Result<Set> {
        Ok(Set(self.0.or(&other.0)?))
    }

    /// In this one, but not in the other.
    pub fn minus(&self, other: &Set) -> Result<Set> {
        Ok(Set(self.0.and(&other.0.not()?)?))
    }

    /// In exactly one of the two.
    pub fn differs(&self, other: &Set) -> Result<Set> {
        Ok(Set(self.0.xor(&other.0)?))
    }

    /// Everything else.
    pub fn not(&self) -> Result<Set> {
        Ok(Set(self.0.not()?))
    }

    /// Those that are in it whatever these bits are; `bits` is the conjunction of them.
    pub fn whatever(&self, bits: &Set) -> Result<Set> {
        Ok(Set(self.0.forall(&bits.0)?))
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.0.satisfiable()
    }

    /// Whether everything is in it.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.valid()
    }

    /// One member, as a value for each bit; a bit that does not matter is false. `None` of an empty set.
    #[must_use]
    pub fn member(&self) -> Option<Member> {
        let cube = self.0.pick_cube(|_, _, _| false)?;
        Some(Member(cube.into_iter().map(|value| value == OptBool::True).collect()))
    }

    /// Whether it has this member.
    #[must_use]
    pub fn has(&self, member: &Member) -> bool {
        self.0.eval((0..).zip(member.0.iter().copied()))
    }
}

/// One packet, as a value for each bit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member(Vec<bool>);

impl Member {
    /// The number that these bits make.
    #[must_use]
    pub fn number(&self, bits: Bits) -> usize {
        (bits.first..bits.first + bits.count)
            .fold(0, |number, bit| number << 1 | usize::from(self.0.get(bit as usize).copied().unwrap_or(false)))
    }
}

/// Neighbouring bits that make a number, the highest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bits {
    /// The first of them.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// The diagrams of one proof.
pub struct Engine {
    manager: BCDDManagerRef,
    bits: RefCell<Vec<Set>>,
    all: Set,
    none: Set,
}

impl Engine {
    /// An engine without any bits yet.
    #[must_use]
    pub fn new() -> Self {
        Engine::within(NODES)
    }

    /// The same, with a limit of nodes.
    #[must_use]
    pub fn within(nodes: usize) -> Self {
        let manager = bcdd::new_manager(nodes, REMEMBERED.min(nodes.next_power_of_two()), 1);
        let (all, none) = manager.with_manager_shared(|manager| (BCDDFunction::t(manager), BCDDFunction::f(manager)));
        Engine { manager, bits: RefCell::new(Vec::new()), all: Set(all), none: Set(none) }
    }

    /// Every packet.
    #[must_use]
    pub fn all(&self) -> Set {
        self.all.clone()
    }

    /// No packet.
    #[must_use]
    pub fn none(&self) -> Set {
        self.none.clone()
    }

    /// New bits, decided after those that there are.
    pub fn add(&self, count: u32) -> Result<Bits> {
        let first = u32::try_from(self.bits.borrow().len()).map_err(|_| TooLarge)?;
        let made: Vec<Set> = self.manager.with_manager_exclusive(|manager| {
            let range = manager.add_vars(count);
            range.map(|bit| BCDDFunction::var(manager, bit).map(Set)).collect::<std::result::Result<_, _>>()
        })?;
        self.bits.borrow_mut().extend(made);
        Ok(Bits { first, count })
    }

    /// The packets in which a bit is set.
    pub fn bit(&self, bits: Bits, at: u32) -> Result<Set> {
        self.bits.borrow().get((bits.first + at) as usize).cloned().ok_or(TooLarge)
    }

    /// The packets whose number in `bits` is in one of the intervals and which are in the set beside it.
    ///
    /// The intervals (first and last, both included) are sorted and do not overlap.
    pub fn choose(&self, bits: Bits, intervals: &[(usize, usize, Set)]) -> Result<Set> {
        self.branch(bits, 0, 0, intervals)
    }

    fn branch(&self, bits: Bits, level: u32, base: usize, intervals: &[(usize, usize, Set)]) -> Result<Set> {
        let size = 1usize << (bits.count - level);
        match intervals {
            [] => return Ok(self.none()),
            [(first, last, set)] if *first <= base && base + size - 1 <= *last => return Ok(set.clone()),
            _ => {}
        }
        let middle = base + size / 2;
        // An interval may lie in both halves.
        let low_end = intervals.partition_point(|(first, ..)| *first < middle);
        let high_start = intervals.partition_point(|(_, last, _)| *last < middle);
        let low = self.branch(bits, level + 1, base, intervals.get(..low_end).unwrap_or_default())?;
        let high = self.branch(bits, level + 1, middle, intervals.get(high_start..).unwrap_or_default())?;
        if low == high {
            return Ok(low);
        }
        Ok(Set(self.bit(bits, level)?.0.ite(&high.0, &low.0)?))
    }

    /// In at least one of the sets. Neighbours are joined first: they mostly are alike.
    pub fn any(&self, mut sets: Vec<Set>) -> Result<Set> {
        while sets.len() > 1 {
            let joined: Result<Vec<Set>> = sets
                .chunks(2)
                .map(|pair| match pair {
                    [one, other] => one.or(other),
                    rest => Ok(rest.first().cloned().unwrap_or_else(|| self.none())),
                })
                .collect();
            sets = joined?;
        }
        Ok(sets.pop().unwrap_or_else(|| self.none()))
    }

    /// In each of the sets.
    pub fn every<'s>(&self, sets: impl IntoIterator<Item = &'s Set>) -> Result<Set> {
        sets.into_iter().try_fold(self.all(), |all, set| all.and(set))
    }
}

impl Default for Engine {
    fn default() -> Self {
        Engine::new()
    }
}

impl From<oxidd::util::OutOfMemory> for TooLarge {
    fn from(_: oxidd::util::OutOfMemory) -> Self {
        TooLarge
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_hold_what_lies_in_them() {
        let engine = Engine::new();
        let bits = engine.add(4).unwrap();
        let set = engine.choose(bits, &[(2, 5, engine.all()), (9, 9, engine.all()), (12, 15, engine.all())]).unwrap();
        for number in 0..16usize {
            let member = Member((0..4).rev().map(|bit| number >> bit & 1 == 1).collect());
            assert_eq!(member.number(bits), number);
            let wanted = (2..=5).contains(&number) || number == 9 || number >= 12;
            assert_eq!(set.has(&member), wanted, "{number}");
        }
        assert_eq!(set.member().map(|member| set.has(&member)), Some(true));
        assert!(engine.none().member().is_none());
        // Whatever the lowest bit is: 2 to 5 and 12 to 15 come in pairs, 9 does not.
        let pairs = engine.choose(bits, &[(2, 5, engine.all()), (12, 15, engine.all())]).unwrap();
        assert_eq!(set.whatever(&engine.bit(bits, 3).unwrap()).unwrap(), pairs);
        assert!(set.or(&set.not().unwrap()).unwrap().is_all());
    }
}
