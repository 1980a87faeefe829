//! How lines are told apart: by one key, into buckets with disjoint ranges.

use super::line::{Line, Side};
use crate::net::AddrRange;

/// Lines of a chain in a tree that are not split further.
pub(super) const LEAF: usize = 8;
/// Buckets of a chain in a tree, about.
const FAN: usize = 8;

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

/// Lines whose packets have a value in `span`, and none of another bucket's.
pub(super) struct Bucket {
    pub span: Span,
    pub lines: Vec<usize>,
}

/// A way to split lines.
pub(super) struct Split {
    pub key: Key,
    pub buckets: Vec<Bucket>,
    /// Lines that would lie in two buckets.
    pub rest: Vec<usize>,
    /// Lines that a packet still meets behind the split, at worst.
    pub cost: usize,
}

impl Split {
    /// Keeps the most lines that can lie in disjoint buckets. `rest` stays behind in any case.
    pub fn of(key: Key, mut spans: Vec<(Span, usize)>, mut rest: Vec<usize>) -> Option<Split> {
        // The range that ends first never overlaps more of the later ones than another would.
        spans.sort_unstable_by_key(|&((start, end), index)| (end, u128::MAX - start, index));
        let mut last: Option<Span> = None;
        let mut several = false;
        spans.retain(|&(span, index)| {
            let keep = last.is_none_or(|last| last == span || last.1 < span.0);
            if keep {
                several |= last.is_some_and(|last| last != span);
                last = Some(span);
            } else {
                rest.push(index);
            }
            keep
        });
        several.then(|| Split::into_buckets(key, &spans, rest))
    }

    fn into_buckets(key: Key, kept: Piece, mut rest: Vec<usize>) -> Split {
        let target = kept.len().div_ceil(kept.len().div_ceil(LEAF).clamp(2, FAN));
        let largest = |pieces: &[Piece]| pieces.iter().map(|piece| piece.len()).max().unwrap_or(0);
        let mut pieces = even_pieces(kept, target);
        let addresses = matches!(key, Key::Destination | Key::Source);
        if addresses {
            let prefixes = prefix_pieces(kept, target);
            if largest(&prefixes) * 2 <= largest(&pieces) * 3 {
                pieces = prefixes;
            }
        }
        let cost = largest(&pieces) + rest.len();
        let mut buckets: Vec<Bucket> = pieces.iter().filter_map(|piece| Bucket::of(piece)).collect();
        if addresses {
            widen(&mut buckets);
        }
        // In the order in which they came, which is the order of the spec.
        rest.sort_unstable();
        Split { key, buckets, rest, cost }
    }
}

impl Bucket {
    fn of(piece: Piece) -> Option<Bucket> {
        let span = (piece.first()?.0.0, piece.last()?.0.1);
        Some(Bucket { span, lines: piece.iter().map(|&(_, index)| index).collect() })
    }
}

/// Neighbours share a piece, so that all pieces hold about as many lines.
fn even_pieces(kept: Piece<'_>, target: usize) -> Vec<Piece<'_>> {
    let (mut pieces, mut start, mut end) = (Vec::new(), 0, 0);
    for same in kept.chunk_by(|a, b| a.0 == b.0) {
        if end > start && end + same.len() - start > target {
            pieces.extend(kept.get(start..end));
            start = end;
        }
        end += same.len();
    }
    pieces.extend(kept.get(start..end));
    pieces
}

/// Pieces that are prefixes: the largest is halved by its next bit until there are enough of them. Prefixes read better, and cost the kernel
/// less, than other ranges.
fn prefix_pieces(kept: Piece<'_>, target: usize) -> Vec<Piece<'_>> {
    let mut pieces = vec![kept];
    while pieces.len() < FAN {
        let halves = pieces
            .iter()
            .enumerate()
            .filter(|(_, piece)| piece.len() > target)
            .filter_map(|(place, piece)| Some((place, halves(piece)?)))
            .max_by_key(|(_, (low, high))| low.len() + high.len());
        let Some((place, (low, high))) = halves else { break };
        pieces.splice(place..=place, [low, high]);
    }
    pieces
}

/// A sorted piece's lines below and above the middle of the prefix that holds them all. `None` where a line lies on both sides.
fn halves(piece: Piece<'_>) -> Option<(Piece<'_>, Piece<'_>)> {
    let (first, last) = (piece.first()?.0.0, piece.last()?.0.1);
    let below = (first ^ last).leading_zeros();
    let middle = last & !u128::MAX.checked_shr(below + 1).unwrap_or(0);
    let (low, high) = piece.split_at(piece.partition_point(|(span, _)| span.1 < middle));
    (!low.is_empty() && high.first()?.0.0 >= middle).then_some((low, high))
}

/// Makes a prefix of each range of addresses that can become one without touching another: it reads better and costs less.
fn widen(buckets: &mut [Bucket]) {
    let mut before: Option<u128> = None;
    for index in 0..buckets.len() {
        let after = buckets.get(index + 1).map(|next| next.span.0);
        let Some(Bucket { span, .. }) = buckets.get_mut(index) else { continue };
        let mask = u128::MAX.checked_shr((span.0 ^ span.1).leading_zeros()).unwrap_or(0);
        let prefix = (span.0 & !mask, span.0 | mask);
        let end = span.1;
        if before.is_none_or(|before| before < prefix.0) && after.is_none_or(|after| prefix.1 < after) {
            *span = prefix;
        }
        before = Some(end);
    }
}
