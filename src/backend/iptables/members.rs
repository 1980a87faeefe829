//! The lines of a tree by number, in the order in which they came and in that of each key.
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

/// Some lines of a tree.
pub(super) struct Members {
    /// In the order in which they came, which is the order of the spec.
    pub lines: Vec<u32>,
    /// For each [`Keyed`], the lines that it tells something of: the one whose span ends first comes first.
    sorted: Vec<Vec<u32>>,
}

/// Where a line goes.
#[derive(Clone, Copy)]
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
        let sorted = self.keyed.iter_mut().map(|Keyed { key, spans }| {
            let mut with = Vec::with_capacity(lines.len());
            for (number, line) in (start..).zip(lines) {
                let span = key.span(line);
                with.extend(span.map(|(first, last)| (last, u128::MAX - first, number)));
                spans.push(span.unwrap_or_default());
            }
            with.sort_unstable();
            with.into_iter().map(|(.., number)| number).collect()
        });
        Members { sorted: sorted.collect(), lines: (start..).take(lines.len()).collect() }
    }

    /// The way to split lines that leaves a packet the fewest of them.
    pub fn split(&self, members: &Members) -> Option<Split> {
        let ways = self.keyed.iter().zip(&members.sorted);
        ways.filter_map(|(keyed, sorted)| Split::of(keyed, sorted, members.lines.len())).min_by_key(|split| split.cost)
    }

    /// The lines behind the split's gate, and those of the other half.
    pub fn halves(&mut self, members: &Members, split: &Split) -> [Members; 2] {
        let [gated, open, _] =
            self.divide(members, split, |low| if low == split.low { Side::Gated } else { Side::Open });
        [gated, open]
    }

    /// The lines that the split tells apart, and those that it leaves behind.
    pub fn kept_and_rest(&mut self, members: &Members, split: &Split) -> [Members; 2] {
        let [kept, _, rest] = self.divide(members, split, |_| Side::Gated);
        [kept, rest]
    }

    fn divide(&mut self, members: &Members, split: &Split, side: impl Fn(bool) -> Side) -> [Members; 3] {
        let kept = split.kept.iter().enumerate().map(|(place, &number)| (number, side(place < split.place)));
        for (number, side) in members.lines.iter().map(|&number| (number, Side::Rest)).chain(kept) {
            if let Some(slot) = self.sides.get_mut(number as usize) {
                *slot = side;
            }
        }
        let mut parts = self.parts(&members.lines, split).map(|lines| Members { lines, sorted: Vec::new() });
        for list in &members.sorted {
            for (part, sorted) in parts.iter_mut().zip(self.parts(list, split)) {
                part.sorted.push(sorted);
            }
        }
        parts
    }

    fn parts(&self, list: &[u32], split: &Split) -> [Vec<u32>; 3] {
        // As many as there can be; growing step by step would take longer than all else here.
        let half = split.place.max(split.kept.len() - split.place).min(list.len());
        let [mut gated, mut open, mut rest] = [half, half, split.rest.min(list.len())].map(Vec::with_capacity);
        for &number in list {
            match self.sides.get(number as usize) {
                Some(Side::Gated) => gated.push(number),
                Some(Side::Open) => open.push(number),
                Some(Side::Rest) | None => rest.push(number),
            }
        }
        [gated, open, rest]
    }
}
