//! Which chains a tree has, and what stands in each.

use std::ops::Range;

use super::address::{Address, Span};
use super::lines::Lines;
use super::members::{Members, Numbers};
use super::names::Series;
use super::split::{Key, LEAF};

/// Levels of a tree. nf_tables allows 16 chains in a row (`NFT_JUMP_STACK_SIZE` of the kernel; a goto counts like a jump); the kernel's own is
/// one of them, and behind a leaf there may be two more (`expand`).
const DEEPEST: u32 = 12;

/// The chains of one protocol's lines. They are all known before the first is written, so that each is written where it stays.
pub(super) struct Tree<'l, 'a, A> {
    lines: &'l mut Lines<'a, A>,
    numbers: Numbers,
    pub series: Series,
    /// Callers before callees.
    pub chains: Vec<Chain<A>>,
    /// What stands in the chains that are complete.
    items: Vec<Item>,
    /// What stands in the chains that are not, callers before callees.
    open: Vec<Item>,
}

pub(super) struct Chain<A> {
    /// What leads there; the first chain has nothing of the kind.
    pub gate: Option<Gate<A>>,
    items: Range<usize>,
}

/// The line that leads to a chain.
#[derive(Clone, Copy)]
pub(super) struct Gate<A> {
    pub key: Key,
    pub span: Span<A>,
    /// Whether packets come back from the chain.
    pub returns: bool,
    /// The number in the chain's name.
    pub number: u32,
}

/// What stands in a chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    /// A line by its number.
    Line(u32),
    /// The gate of a chain, by the chain's place.
    Gate(u32),
}

impl<'l, 'a, A: Address> Tree<'l, 'a, A> {
    /// Arranges the lines with these numbers. The names of all chains but the first are of this series.
    pub fn of(lines: &'l mut Lines<'a, A>, numbers: Vec<u32>, series: Series) -> Self {
        let items = Vec::with_capacity(numbers.len() * 2);
        let (numbers, all) = Numbers::of_all(numbers);
        let mut tree = Tree { lines, numbers, series, chains: Vec::new(), items, open: Vec::new() };
        tree.chain(None, all, 1);
        tree
    }

    /// What stands in a chain.
    pub fn items(&self, chain: &Chain<A>) -> &[Item] {
        self.items.get(chain.items.clone()).unwrap_or_default()
    }

    pub fn lines(&self) -> &Lines<'a, A> {
        self.lines
    }

    /// Makes a chain of these lines and the chains below it.
    fn chain(&mut self, gate: Option<Gate<A>>, members: Members, depth: u32) {
        let (place, start, end) = (self.chains.len(), self.open.len(), self.numbers.end());
        self.chains.push(Chain { gate, items: 0..0 });
        self.body(members, depth);
        self.numbers.cut(end);
        let first = self.items.len();
        self.items.extend(self.open.drain(start..));
        if let Some(chain) = self.chains.get_mut(place) {
            chain.items = first..self.items.len();
        }
    }

    fn body(&mut self, mut left: Members, depth: u32) {
        while left.len() > LEAF && depth < DEEPEST {
            let best = self.numbers.split(self.lines, &mut left);
            let Some(split) = best.filter(|split| split.cost * 4 <= left.len() * 3) else {
                if !self.lines.have_list(self.numbers.of(&left)) {
                    break;
                }
                left = self.single_ports(&left);
                continue;
            };
            if split.rest > 0 {
                // The others come first, in a chain of their own: whatever becomes of a packet there, it has to come back for the rest.
                let [kept, rest] = self.numbers.kept_and_rest(&left, &split);
                self.gate(split.key, split.hull, true, kept, depth);
                left = rest;
                continue;
            }
            let [gated, open] = self.numbers.halves(&left, &split);
            if gated.len() == 1 {
                self.take(&gated);
            } else {
                self.gate(split.key, split.gate, false, gated, depth);
            }
            left = open;
        }
        self.take(&left);
    }

    /// The lines themselves, in the order in which they came, which is that of the spec.
    fn take(&mut self, members: &Members) {
        let start = self.open.len();
        self.open.extend(self.numbers.of(members).iter().copied().map(Item::Line));
        self.open.get_mut(start..).unwrap_or_default().sort_unstable();
    }

    /// A list of ports spans all between them, single ports do not.
    fn single_ports(&mut self, members: &Members) -> Members {
        let mut numbers = self.numbers.of(members).to_vec();
        numbers.sort_unstable();
        let first = self.lines.len() as u32;
        self.lines.push_single_ports(&numbers);
        self.numbers.add(first..self.lines.len() as u32)
    }

    /// Makes a chain of lines, and the line that leads there.
    fn gate(&mut self, key: Key, span: Span<A>, returns: bool, members: Members, depth: u32) {
        let gate = Gate { key, span, returns, number: self.series.next() };
        self.open.push(Item::Gate(self.chains.len() as u32));
        self.chain(Some(gate), members, depth + 1);
    }
}
