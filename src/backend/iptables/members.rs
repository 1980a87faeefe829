//! The lines of a tree by number, in the order of each key.
//!
//! Lines are sorted by a key when it is first asked about them, which for most keys is never. Whoever divides them by a key gets two pieces of
//! its order, so that a level of the tree costs nothing but the search for the place, unless the keys take turns.

use std::ops::Range;

use super::address::Address;
use super::lines::Lines;
use super::split::{KEYS, Kept, Key, Sorted, Split};

/// How many times as many lines are gone through rather than the lines sorted.
const FILTERED: usize = 8;

/// Lists of the numbers of lines; those of a chain go when the chain is complete.
pub(super) struct Numbers {
    lists: Vec<u32>,
    /// By a line's number: whether it is among those that are being taken out of others. None is in between.
    marked: Vec<bool>,
}

/// Some lines of a tree.
#[derive(Clone)]
pub(super) struct Members {
    /// Where their numbers stand, in no order.
    lines: Range<usize>,
    /// By key.
    orders: [Order; KEYS.len()],
}

/// What is known of lines and a key.
#[derive(Clone, Default)]
struct Order {
    /// Where those that it tells something of stand in its order.
    lines: Option<Range<usize>>,
    /// The same of more lines, from which these were taken.
    of_more: Option<Range<usize>>,
    /// Whether their spans are known to be equal or disjoint.
    disjoint: bool,
}

impl Order {
    /// What is known of a part of the lines.
    fn of_part(&self) -> Order {
        let none = self.lines.clone().filter(Range::is_empty);
        Order { lines: none, of_more: self.lines.clone().or(self.of_more.clone()), disjoint: self.disjoint }
    }
}

impl Members {
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// These of the lines, which are all of them that `key` tells something of, in its order and disjoint.
    fn part(&self, key: Key, lines: Range<usize>) -> Members {
        let mut part = self.part_in_no_order(lines.clone());
        part.orders[key as usize] = Order { lines: Some(lines), of_more: None, disjoint: true };
        part
    }

    fn part_in_no_order(&self, lines: Range<usize>) -> Members {
        Members { lines, orders: self.orders.each_ref().map(Order::of_part) }
    }
}

impl Numbers {
    /// The numbers of all lines that there are yet.
    pub fn of_all(numbers: Vec<u32>) -> (Self, Members) {
        let all = Members { lines: 0..numbers.len(), orders: Default::default() };
        (Numbers { lists: numbers, marked: Vec::new() }, all)
    }

    /// Takes in the numbers of new lines.
    pub fn add(&mut self, numbers: impl IntoIterator<Item = u32>) -> Members {
        let lines = self.list(numbers);
        Members { lines, orders: Default::default() }
    }

    fn list(&mut self, numbers: impl IntoIterator<Item = u32>) -> Range<usize> {
        let start = self.lists.len();
        self.lists.extend(numbers);
        start..self.lists.len()
    }

    /// Up to where there are lists.
    pub fn end(&self) -> usize {
        self.lists.len()
    }

    /// Forgets the lists behind that place.
    pub fn cut(&mut self, end: usize) {
        self.lists.truncate(end);
    }

    /// The numbers of the lines, in no order.
    pub fn of(&self, members: &Members) -> &[u32] {
        self.at(members.lines.clone())
    }

    fn at(&self, place: Range<usize>) -> &[u32] {
        self.lists.get(place).unwrap_or_default()
    }

    /// The way to split lines that leaves a packet the fewest of them.
    pub fn split<A: Address>(&mut self, lines: &Lines<A>, members: &mut Members) -> Option<Split<A>> {
        let mut best: Option<Split<A>> = None;
        for key in KEYS {
            let is_better = |cost| best.as_ref().is_none_or(|best| cost < best.cost);
            if !is_better(key.least_cost(members.len())) {
                continue;
            }
            let split = Split::of(self.sorted(lines, members, key), members.len());
            if split.is_none() {
                // No two of the values lie apart, and so no two of a part of them: it is as good as none.
                members.orders[key as usize].lines = Some(0..0);
            }
            best = split.filter(|split| is_better(split.cost)).or(best);
        }
        best
    }

    /// The lines in the order of a key.
    fn sorted<'k, A: Address>(&'k mut self, lines: &'k Lines<A>, members: &mut Members, key: Key) -> Sorted<'k, A> {
        let spans = lines.spans(key);
        let Order { lines: known, of_more, disjoint } = members.orders[key as usize].clone();
        let is_new = known.is_none();
        let place = match (known, of_more) {
            (Some(place), _) => place,
            (None, Some(more)) if more.len() <= members.len() * FILTERED => self.filter(more, members),
            (None, _) => {
                let by_end = |&number: &u32| spans.get(number).map(|(first, last)| (last, first.reversed(), number));
                let mut order: Vec<_> = self.of(members).iter().filter_map(by_end).collect();
                order.sort_unstable();
                self.list(order.into_iter().map(|(.., number)| number))
            }
        };
        let mut sorted = Sorted { key, spans, lines: self.at(place.clone()), disjoint };
        sorted.disjoint |= is_new && sorted.is_disjoint();
        members.orders[key as usize] = Order { lines: Some(place), of_more: None, disjoint: sorted.disjoint };
        sorted
    }

    /// Those of `more` that are members, in the same order.
    fn filter(&mut self, more: Range<usize>, members: &Members) -> Range<usize> {
        self.mark(members.lines.clone(), true);
        let start = self.lists.len();
        self.lists.resize(start + more.len(), 0);
        let (lists, new) = self.lists.split_at_mut(start);
        let mut count = 0;
        for &number in lists.get(more).unwrap_or_default() {
            // All are written, and the next over those that are no members: a branch would be guessed wrongly half of the time.
            if let Some(place) = new.get_mut(count) {
                *place = number;
            }
            count += usize::from(self.marked.get(number as usize) == Some(&true));
        }
        self.lists.truncate(start + count);
        self.mark(members.lines.clone(), false);
        start..start + count
    }

    /// The lines behind the gate of a split that leaves none behind, and those of the other half.
    pub fn halves<A>(&self, members: &Members, split: &Split<A>) -> [Members; 2] {
        let own = members.orders[split.key as usize].lines.clone().unwrap_or_default();
        let place = own.start + split.place;
        let [low, high] = [own.start..place, place..own.end].map(|half| members.part(split.key, half));
        if split.low { [low, high] } else { [high, low] }
    }

    /// The lines that the split tells apart, and those that it leaves behind.
    pub fn kept_and_rest<A>(&mut self, members: &Members, split: &Split<A>) -> [Members; 2] {
        let own = members.orders[split.key as usize].lines.clone().unwrap_or_default();
        let kept = match &split.kept {
            Kept::All => own.clone(),
            Kept::Some(lines) => self.list(lines.iter().copied()),
        };
        self.mark(kept.clone(), true);
        let [lines, of_key] = [members.lines.clone(), own].map(|place| {
            let is_left = |number: &u32| self.marked.get(*number as usize) != Some(&true);
            let left: Vec<u32> = self.at(place).iter().copied().filter(is_left).collect();
            self.list(left)
        });
        self.mark(kept.clone(), false);
        let mut rest = members.part_in_no_order(lines);
        rest.orders[split.key as usize].lines = Some(of_key);
        [members.part(split.key, kept), rest]
    }

    fn mark(&mut self, lines: Range<usize>, mark: bool) {
        for &number in self.lists.get(lines).unwrap_or_default() {
            let number = number as usize;
            if self.marked.len() <= number {
                self.marked.resize(number + 1, false);
            }
            if let Some(slot) = self.marked.get_mut(number) {
                *slot = mark;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::line::{Line, Side, Target};
    use super::*;

    /// The destinations and ports of a line.
    type Ends = (Option<(u32, u32)>, Option<(u16, u16)>);

    /// Lines by their destinations and ports, of few values, so that many are equal or overlap.
    fn lines() -> impl Strategy<Value = Vec<Ends>> {
        let span =
            |values: u32| (0..values, prop_oneof![4 => Just(0), 1 => 0..6_u32]).prop_map(|(at, more)| (at, at + more));
        let ports = prop_oneof![Just(1), Just(40), Just(1_000)].prop_flat_map(span);
        let ports = ports.prop_map(|(first, last)| (first as u16, last as u16));
        let line = (
            prop_oneof![1 => Just(None), 9 => span(60).prop_map(Some)],
            prop_oneof![1 => Just(None), 9 => ports.prop_map(Some)],
        );
        vec(line, 1..120)
    }

    /// All that have the key, sorted anew.
    fn sorted_anew(lines: &Lines<u32>, numbers: &[u32], key: Key) -> Vec<u32> {
        let mut sorted: Vec<u32> =
            numbers.iter().copied().filter(|&number| lines.spans(key).get(number).is_some()).collect();
        sorted
            .sort_by_key(|&number| lines.spans(key).get(number).map(|(first, last)| (last, u32::MAX - first, number)));
        sorted
    }

    /// Splits lines to the end, and holds each step against one that knows nothing of the steps before.
    fn hold(numbers: &mut Numbers, lines: &Lines<u32>, mut members: Members) {
        let of = numbers.of(&members).to_vec();
        let ways = KEYS.map(|key| {
            let spans = lines.spans(key);
            let sorted = sorted_anew(lines, &of, key);
            let split = Split::of(Sorted { key, spans, lines: &sorted, disjoint: false }, of.len());
            assert!(split.as_ref().is_none_or(|split| split.cost >= key.least_cost(of.len())));
            split
        });
        let anew = ways.into_iter().flatten().min_by_key(|split| split.cost);
        let split = numbers.split(lines, &mut members);
        let told =
            |split: &Split<u32>| (split.key, split.cost, split.gate, split.hull, split.place, split.low, split.rest);
        assert_eq!(split.as_ref().map(told), anew.as_ref().map(told));
        let Some(split) = split else { return };
        assert_eq!(numbers.sorted(lines, &mut members, split.key).lines, sorted_anew(lines, &of, split.key));
        let parts =
            if split.rest > 0 { numbers.kept_and_rest(&members, &split) } else { numbers.halves(&members, &split) };
        let mut both: Vec<u32> = parts.iter().flat_map(|part| numbers.of(part)).copied().collect();
        both.sort_unstable();
        let mut before = of;
        before.sort_unstable();
        assert_eq!(both, before);
        for part in parts {
            let end = numbers.end();
            hold(numbers, lines, part);
            numbers.cut(end);
        }
    }

    proptest! {
        #[test]
        fn what_is_known_of_lines_holds_for_their_parts(all in lines()) {
            let mut lines = Lines::new();
            for (destination, ports) in &all {
                let destination = destination.map_or(Side::Any, Side::Range);
                lines.push(&Line { destination, destination_ports: ports.as_slice(), ..Line::new(&Target::Return) });
            }
            let (mut numbers, members) = Numbers::of_all(lines.numbers().collect());
            hold(&mut numbers, &lines, members);
        }
    }
}
