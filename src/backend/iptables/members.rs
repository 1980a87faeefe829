//! The lines of a tree by number, in the order of each key.
//!
//! Lines are sorted once. Whoever takes some of them away keeps the orders, so that a level of the tree costs as much as it has lines.

use super::line::Line;
use super::split::{KEYS, Key, Span, Split};

/// What the keys say of all lines of a tree.
pub(super) struct Keys {
    keyed: Vec<Keyed>,
    /// By a line's number: where it goes in the division that is being made.
    sides: Vec<Side>,
}

/// What one key says of all lines of a tree.
pub(super) struct Keyed {
    pub key: Key,
    /// By a line's number; anything where the key tells nothing of the line.
    pub spans: Vec<Span>,
}

impl Keyed {
    /// The most lines whose spans are equal or disjoint.
    pub fn disjoint(&self, sorted: &[u32]) -> Vec<u32> {
        // The range that ends first never overlaps more of the later ones than another would.
        let mut last: Option<Span> = None;
        let mut kept = Vec::with_capacity(sorted.len());
        for &number in sorted {
            let Some(&span) = self.spans.get(number as usize) else { continue };
            if last.is_none_or(|last| last == span || last.1 < span.0) {
                last = Some(span);
                kept.push(number);
            }
        }
        kept
    }
}

/// Some lines of a tree.
pub(super) struct Members {
    /// In no order.
    pub lines: Vec<u32>,
    /// For each [`Keyed`], the lines that it tells something of.
    sorted: Vec<Sorted>,
}

/// Lines in the order of a key: the one whose span ends first comes first.
pub(super) struct Sorted {
    pub lines: Vec<u32>,
    /// Whether their spans are known to be equal or disjoint.
    pub disjoint: bool,
}

/// Where a line goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Gated,
    Open,
    Rest,
}

impl Keys {
    /// The keys of these lines. One that no line has is left out: it tells none of them apart, however they are split.
    pub fn of(lines: &[Line]) -> Keys {
        let has = |key: &Key| lines.iter().any(|line| key.span(line).is_some());
        let keyed = KEYS.into_iter().filter(has).map(|key| Keyed { key, spans: Vec::with_capacity(lines.len()) });
        Keys { keyed: keyed.collect(), sides: Vec::new() }
    }

    /// Takes in lines that get the next numbers.
    pub fn add(&mut self, lines: &[Line]) -> Members {
        let start = self.sides.len() as u32;
        self.sides.resize(self.sides.len() + lines.len(), Side::Rest);
        let sorted = self.keyed.iter_mut().map(|keyed| {
            let mut with = Vec::with_capacity(lines.len());
            for (number, line) in (start..).zip(lines) {
                let span = keyed.key.span(line);
                with.extend(span.map(|(first, last)| (last, u128::MAX - first, number)));
                keyed.spans.push(span.unwrap_or_default());
            }
            with.sort_unstable();
            let lines: Vec<u32> = with.into_iter().map(|(.., number)| number).collect();
            Sorted { disjoint: keyed.disjoint(&lines).len() == lines.len(), lines }
        });
        Members { sorted: sorted.collect(), lines: (start..).take(lines.len()).collect() }
    }

    /// The way to split lines that leaves a packet the fewest of them.
    pub fn split<'m>(&self, members: &'m Members) -> Option<Split<'m>> {
        let ways = self.keyed.iter().zip(&members.sorted);
        ways.filter_map(|(keyed, sorted)| Split::of(keyed, sorted, members.lines.len())).min_by_key(|split| split.cost)
    }

    /// The lines behind the gate of a split that leaves none behind, and those of the other half.
    pub fn halves(&mut self, members: &Members, split: &Split) -> [Members; 2] {
        let (low, high) = split.kept.split_at(split.place);
        let (gated, open) = if split.low { (low, high) } else { (high, low) };
        self.mark(gated, Side::Gated);
        self.mark(open, Side::Open);
        [(gated, Side::Gated), (open, Side::Open)].map(|(lines, side)| self.part(members, split, lines, side))
    }

    /// The lines that the split tells apart, and those that it leaves behind.
    pub fn kept_and_rest(&mut self, members: &Members, split: &Split) -> [Members; 2] {
        self.mark(&members.lines, Side::Rest);
        self.mark(&split.kept, Side::Gated);
        let rest: Vec<u32> = members.lines.iter().copied().filter(|&number| self.is(number, Side::Rest)).collect();
        let kept = self.part(members, split, &split.kept, Side::Gated);
        let sorted = members.sorted.iter().map(|sorted| Sorted {
            lines: sorted.lines.iter().copied().filter(|&number| self.is(number, Side::Rest)).collect(),
            disjoint: sorted.disjoint,
        });
        [kept, Members { sorted: sorted.collect(), lines: rest }]
    }

    /// These lines, which the split has told apart and which are marked so.
    fn part(&self, members: &Members, split: &Split, lines: &[u32], side: Side) -> Members {
        let sorted = self.keyed.iter().zip(&members.sorted).map(|(keyed, sorted)| {
            if keyed.key == split.key {
                return Sorted { lines: lines.to_vec(), disjoint: true };
            }
            // As many as there can be; growing step by step would take longer than all else here.
            let mut part = Vec::with_capacity(lines.len());
            part.extend(sorted.lines.iter().copied().filter(|&number| self.is(number, side)));
            Sorted { lines: part, disjoint: sorted.disjoint }
        });
        Members { sorted: sorted.collect(), lines: lines.to_vec() }
    }

    fn mark(&mut self, lines: &[u32], side: Side) {
        for &number in lines {
            if let Some(slot) = self.sides.get_mut(number as usize) {
                *slot = side;
            }
        }
    }

    fn is(&self, number: u32, side: Side) -> bool {
        self.sides.get(number as usize) == Some(&side)
    }
}
