//! How lines are told apart: by one key, into two halves.

use super::line::{Line, Side};
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

/// The spans of lines, each with the line's index, sorted; equal or disjoint.
type Piece<'p> = &'p [(Span, usize)];

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
pub(super) struct Split {
    pub key: Key,
    /// The values that lead to `gated`: those of all its lines and of none of `open`.
    pub gate: Span,
    pub gated: Vec<usize>,
    /// The other half.
    pub open: Vec<usize>,
    /// Lines that lie on both sides.
    pub rest: Vec<usize>,
    /// Lines that a packet still meets behind the split, at worst; and what the gate is worth in them.
    pub cost: usize,
}

impl Split {
    /// Keeps the most lines that can lie in disjoint halves. `rest` stays behind in any case.
    pub fn of(key: Key, mut spans: Vec<(Span, usize)>, mut rest: Vec<usize>) -> Option<Split> {
        // The range that ends first never overlaps more of the later ones than another would.
        spans.sort_unstable_by_key(|&((start, end), index)| (end, u128::MAX - start, index));
        let mut last: Option<Span> = None;
        spans.retain(|&(span, index)| {
            let keep = last.is_none_or(|last| last == span || last.1 < span.0);
            if keep {
                last = Some(span);
            } else {
                rest.push(index);
            }
            keep
        });
        let cut = Cut::of(key, &spans)?;
        let (low, high) = spans.split_at(cut.place);
        let worst = low.len().max(high.len());
        // Lines in the order in which they came, which is the order of the spec.
        let [mut low, mut high] = [low, high].map(|half| half.iter().map(|&(_, index)| index).collect::<Vec<_>>());
        [&mut low, &mut high, &mut rest].into_iter().for_each(|lines| lines.sort_unstable());
        let cost = worst + worst * cut.dearness / 8 + rest.len();
        let (gated, open) = if cut.low { (low, high) } else { (high, low) };
        Some(Split { key, gate: cut.gate, gated, open, rest, cost })
    }

    /// The values of all lines that are not left behind, as a prefix where they are addresses.
    pub fn hull(key: Key, spans: impl Iterator<Item = Span>) -> Option<Span> {
        let hull = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        Some(if key.is_address() { prefix(hull) } else { hull })
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
        let middle = kept.len() / 2;
        let outwards = || (0..=middle).flat_map(|away| [middle - away, middle + away]);
        let plain = || outwards().find_map(|place| Cut::at(kept, place, |low, _| Some((true, low))));
        if !key.is_address() {
            return plain().map(|cut| Cut { dearness: 3, ..cut });
        }
        let reach = kept.len() / 4;
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
        let (low, high) = kept.split_at_checked(place)?;
        let (before, after) = (low.last()?.0, high.first()?.0);
        if before == after {
            return None;
        }
        let (low, gate) = gate((low.first()?.0.0, before.1), (after.0, high.last()?.0.1))?;
        Some(Cut { place, low, gate, dearness: 0 })
    }
}

/// The smallest prefix that holds a span of addresses.
fn prefix((first, last): Span) -> Span {
    let free = u128::MAX.checked_shr((first ^ last).leading_zeros()).unwrap_or(0);
    (first & !free, last | free)
}
