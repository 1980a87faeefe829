//! How lines are told apart: by one key, into two halves.

use super::address::{Address, Span};
use super::line::{Line, Side};
use super::lines::Spans;

/// Lines of a chain in a tree that are not split further. Measured with 1,000 services: from 3 to 8 lines a packet costs the same, since a gate and
/// a chain more touch as much memory as the lines that they save; with 8 the files are smallest.
pub(super) const LEAF: usize = 8;

/// What lines are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Destination,
    DestinationPorts,
    Source,
    SourcePorts,
}

/// In the order of their numbers.
pub(super) const KEYS: [Key; 4] = [Key::Destination, Key::DestinationPorts, Key::Source, Key::SourcePorts];

/// What a gate of ports, and one of addresses that are no prefix, costs more than a prefix, in eighths of a line's worth.
const PORTS: usize = 3;
const UNEVEN: usize = 4;

impl Key {
    /// No split of so many lines costs less: it leaves at least half of them, and where they are odd, leaving one behind makes the halves smaller.
    pub fn least_cost(self, lines: usize) -> usize {
        let half = lines.div_ceil(2);
        if self.is_address() { half } else { half + half.saturating_sub(1) * PORTS / 8 }
    }

    fn is_address(self) -> bool {
        matches!(self, Key::Destination | Key::Source)
    }

    /// The values that a line's packets may have; `None` is any.
    pub fn span<A: Address>(self, line: &Line<A>) -> Option<Span<A>> {
        let side = match self {
            Key::Destination => line.destination,
            Key::Source => line.source,
            Key::DestinationPorts => return hull(line.destination_ports),
            Key::SourcePorts => return hull(line.source_ports),
        };
        match side {
            Side::Range(span) => Some(span),
            Side::Any | Side::Ipset(_) => None,
        }
    }
}

fn hull<A: Address>(ports: &[(u16, u16)]) -> Option<Span<A>> {
    Some((ports.first()?.0.into(), ports.last()?.1.into()))
}

/// Lines in the order of a key: the one whose span ends first comes first.
#[derive(Clone, Copy)]
pub(super) struct Sorted<'k, A> {
    pub key: Key,
    pub spans: &'k Spans<A>,
    pub lines: &'k [u32],
    /// Whether their spans are known to be equal or disjoint.
    pub disjoint: bool,
}

impl<A: Address> Sorted<'_, A> {
    /// Whether all spans are equal or disjoint.
    pub fn is_disjoint(&self) -> bool {
        let span = |&number: &u32| self.spans.get(number);
        self.lines.iter().map(span).is_sorted_by(|a, b| match (a, b) {
            (Some(a), Some(b)) => a == b || a.1 < b.0,
            _ => false,
        })
    }

    /// The most lines whose spans are equal or disjoint.
    pub fn disjoint(&self) -> Vec<u32> {
        // The range that ends first never overlaps more of the later ones than another would.
        let mut last: Option<Span<A>> = None;
        let mut kept = Vec::with_capacity(self.lines.len());
        for &number in self.lines {
            let Some(span) = self.spans.get(number) else { continue };
            if last.is_none_or(|last| last == span || last.1 < span.0) {
                last = Some(span);
                kept.push(number);
            }
        }
        kept
    }
}

/// A way to split lines.
pub(super) struct Split<A> {
    pub key: Key,
    /// The values that lead to the gated half: those of all its lines and of none of the other half.
    pub gate: Span<A>,
    /// The values of all lines that are kept, as a prefix where they are addresses.
    pub hull: Span<A>,
    /// The lines that lie in one half, sorted by their spans, which are equal or disjoint.
    pub kept: Kept,
    /// How many of them are in the lower half.
    pub place: usize,
    /// Whether it is the lower half that is behind the gate.
    pub low: bool,
    /// How many lines lie on both sides.
    pub rest: usize,
    /// Lines that a packet still meets behind the split, at worst; and what the gate is worth in them.
    pub cost: usize,
}

/// The lines that a split keeps.
pub(super) enum Kept {
    /// Those that have the key.
    All,
    /// Some of them.
    Some(Vec<u32>),
}

impl<A: Address> Split<A> {
    /// Keeps the most lines that can lie in disjoint halves. `sorted` are those of the `all` lines that have the key.
    pub fn of(sorted: Sorted<A>, all: usize) -> Option<Self> {
        let key = sorted.key;
        let kept = if sorted.disjoint { Kept::All } else { Kept::Some(sorted.disjoint()) };
        let lines = match &kept {
            Kept::All => sorted.lines,
            Kept::Some(lines) => lines,
        };
        let piece = Piece { spans: sorted.spans, kept: lines };
        let (cut, hull) = (Cut::of(key, piece)?, piece.hull()?);
        let hull = if key.is_address() { A::prefix(hull).1 } else { hull };
        let (worst, rest) = (cut.place.max(lines.len() - cut.place), all - lines.len());
        let cost = worst + worst * cut.dearness / 8 + rest;
        Some(Split { key, gate: cut.gate, hull, place: cut.place, low: cut.low, kept, rest, cost })
    }
}

/// Lines, sorted by their spans, which are equal or disjoint.
#[derive(Clone, Copy)]
struct Piece<'p, A> {
    spans: &'p Spans<A>,
    kept: &'p [u32],
}

impl<A: Address> Piece<'_, A> {
    fn span(self, place: usize) -> Option<Span<A>> {
        self.spans.get(*self.kept.get(place)?)
    }

    /// From the first value to the last.
    fn hull(self) -> Option<Span<A>> {
        Some((self.span(0)?.0, self.span(self.kept.len() - 1)?.1))
    }
}

/// Where sorted lines are cut in two.
struct Cut<A> {
    /// The first line of the upper half.
    place: usize,
    /// Whether it is the lower half that is behind the gate.
    low: bool,
    gate: Span<A>,
    /// What the gate costs more than a prefix.
    dearness: usize,
}

impl<A: Address> Cut<A> {
    /// As near to the middle as possible. Addresses are cut between two prefixes, if they can be without one half becoming thrice the other:
    /// prefixes read better, and cost the kernel less, than ports and other ranges.
    fn of(key: Key, kept: Piece<A>) -> Option<Cut<A>> {
        if kept.span(0)? == kept.span(kept.kept.len() - 1)? {
            return None;
        }
        let middle = kept.kept.len() / 2;
        let outwards = || (0..=middle).flat_map(|away| [middle - away, middle + away]);
        let plain = || outwards().find_map(|place| Cut::at(kept, place, |low, _| Some((true, low))));
        if !key.is_address() {
            return plain().map(|cut| Cut { dearness: PORTS, ..cut });
        }
        let reach = kept.kept.len() / 4;
        let prefixes = outwards().take_while(|place| place.abs_diff(middle) <= reach).find_map(|place| {
            Cut::at(kept, place, |low, high| {
                let (below, above) = (A::prefix(low).1, A::prefix(high).1);
                let low_gate = (below.1 < high.0).then_some((true, below));
                low_gate.or_else(|| (above.0 > low.1).then_some((false, above)))
            })
        });
        prefixes.or_else(|| plain().map(|cut| Cut { dearness: UNEVEN, ..cut }))
    }

    /// `None` where the same values lie on both sides, or `gate` finds none between the spans of the halves.
    fn at(kept: Piece<A>, place: usize, gate: impl Fn(Span<A>, Span<A>) -> Option<(bool, Span<A>)>) -> Option<Cut<A>> {
        let (before, after) = (kept.span(place.checked_sub(1)?)?, kept.span(place)?);
        if before == after {
            return None;
        }
        let (low, gate) = gate((kept.span(0)?.0, before.1), (after.0, kept.span(kept.kept.len() - 1)?.1))?;
        Some(Cut { place, low, gate, dearness: 0 })
    }
}
