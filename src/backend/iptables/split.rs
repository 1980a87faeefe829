//! How lines are told apart: by one key, into two halves.

use std::borrow::Cow;

use super::line::{Line, Side};
use super::members::{Keyed, Sorted};
use crate::net::AddrRange;

/// Lines of a chain in a tree that are not split further. Measured with 1,000 services: from 3 to 8 lines a packet costs the same, since a gate and
/// a chain more touch as much memory as the lines that they save; with 8 the files are smallest.
pub(super) const LEAF: usize = 8;

/// What lines are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Destination,
    Source,
    DestinationPorts,
    SourcePorts,
}

pub(super) const KEYS: [Key; 4] = [Key::Destination, Key::DestinationPorts, Key::Source, Key::SourcePorts];

/// Both ends included.
pub(super) type Span = (u128, u128);

impl Key {
    fn is_address(self) -> bool {
        matches!(self, Key::Destination | Key::Source)
    }

    /// The values that a line's packets may have; `None` is any.
    pub fn span(self, line: &Line) -> Option<Span> {
        let side = match self {
            Key::Destination => &line.destination,
            Key::Source => &line.source,
            Key::DestinationPorts => return hull(line.destination_ports.ranges()),
            Key::SourcePorts => return hull(line.source_ports.ranges()),
        };
        match *side {
            Side::Range(AddrRange::V4(start, end)) => Some((start.into(), end.into())),
            Side::Range(AddrRange::V6(start, end)) => Some((start, end)),
            Side::Any | Side::Ipset(_) => None,
        }
    }
}

fn hull(ports: &[(u16, u16)]) -> Option<Span> {
    Some((ports.first()?.0.into(), ports.last()?.1.into()))
}

/// A way to split lines.
pub(super) struct Split<'m> {
    pub key: Key,
    /// The values that lead to the gated half: those of all its lines and of none of the other half.
    pub gate: Span,
    /// The values of all lines that are kept, as a prefix where they are addresses.
    pub hull: Span,
    /// The lines that lie in one half, sorted by their spans, which are equal or disjoint.
    pub kept: Cow<'m, [u32]>,
    /// How many of them are in the lower half.
    pub place: usize,
    /// Whether it is the lower half that is behind the gate.
    pub low: bool,
    /// How many lines lie on both sides.
    pub rest: usize,
    /// Lines that a packet still meets behind the split, at worst; and what the gate is worth in them.
    pub cost: usize,
}

impl<'m> Split<'m> {
    /// Keeps the most lines that can lie in disjoint halves. `sorted` are those of the `all` lines that have the key.
    pub fn of(keyed: &Keyed, sorted: &'m Sorted, all: usize) -> Option<Self> {
        let key = keyed.key;
        let kept =
            if sorted.disjoint { Cow::Borrowed(&*sorted.lines) } else { Cow::Owned(keyed.disjoint(&sorted.lines)) };
        let piece = Piece { spans: &keyed.spans, kept: &kept };
        let cut = Cut::of(key, piece)?;
        let hull = (piece.span(0)?.0, piece.span(kept.len() - 1)?.1);
        let hull = if key.is_address() { prefix(hull) } else { hull };
        let (worst, rest) = (cut.place.max(kept.len() - cut.place), all - kept.len());
        let cost = worst + worst * cut.dearness / 8 + rest;
        Some(Split { key, gate: cut.gate, hull, place: cut.place, low: cut.low, kept, rest, cost })
    }
}

/// Lines, sorted by their spans, which are equal or disjoint.
#[derive(Clone, Copy)]
struct Piece<'p> {
    spans: &'p [Span],
    kept: &'p [u32],
}

impl Piece<'_> {
    fn span(self, place: usize) -> Option<Span> {
        self.spans.get(*self.kept.get(place)? as usize).copied()
    }
}

/// Where sorted lines are cut in two.
struct Cut {
    /// The first line of the upper half.
    place: usize,
    /// Whether it is the lower half that is behind the gate.
    low: bool,
    gate: Span,
    /// What the gate costs more than a prefix, in eighths of a line's worth.
    dearness: usize,
}

impl Cut {
    /// As near to the middle as possible. Addresses are cut between two prefixes, if they can be without one half becoming thrice the other:
    /// prefixes read better, and cost the kernel less, than ports and other ranges.
    fn of(key: Key, kept: Piece) -> Option<Cut> {
        let middle = kept.kept.len() / 2;
        let outwards = || (0..=middle).flat_map(|away| [middle - away, middle + away]);
        let plain = || outwards().find_map(|place| Cut::at(kept, place, |low, _| Some((true, low))));
        if !key.is_address() {
            return plain().map(|cut| Cut { dearness: 3, ..cut });
        }
        let reach = kept.kept.len() / 4;
        let prefixes = outwards().take_while(|place| place.abs_diff(middle) <= reach).find_map(|place| {
            Cut::at(kept, place, |low, high| {
                let (below, above) = (prefix(low), prefix(high));
                let low_gate = (below.1 < high.0).then_some((true, below));
                low_gate.or_else(|| (above.0 > low.1).then_some((false, above)))
            })
        });
        prefixes.or_else(|| plain().map(|cut| Cut { dearness: 4, ..cut }))
    }

    /// `None` where the same values lie on both sides, or `gate` finds none between the spans of the halves.
    fn at(kept: Piece, place: usize, gate: impl Fn(Span, Span) -> Option<(bool, Span)>) -> Option<Cut> {
        let (before, after) = (kept.span(place.checked_sub(1)?)?, kept.span(place)?);
        if before == after {
            return None;
        }
        let (low, gate) = gate((kept.span(0)?.0, before.1), (after.0, kept.span(kept.kept.len() - 1)?.1))?;
        Some(Cut { place, low, gate, dearness: 0 })
    }
}

/// The smallest prefix that holds a span of addresses.
fn prefix((first, last): Span) -> Span {
    let free = u128::MAX.checked_shr((first ^ last).leading_zeros()).unwrap_or(0);
    (first & !free, last | free)
}
