//! Trees of chains, so that a packet is not held against every service.
//!
//! A long run of lines with one verdict is split by protocol, and then halved by the address or port that tells its lines apart best: a gate
//! leads to a chain with one half, the other half follows behind the gate and is halved in the same way, until few lines are left. So a
//! packet meets one gate for each time that the number of lines can be halved. Lines that would lie in both halves stay behind and are split
//! by themselves. Since all lines of a run have the same verdict, their order does not matter.

use std::rc::Rc;

use super::expand::Expander;
use super::line::{Comment, Detail, Line, Ports, Side, Target, UserChain};
use super::split::{KEYS, Key, LEAF, Span, Split};
use crate::net::{AddrRange, Family};
use crate::ruleset::{Action, Hook, Rule, StateMatch};

/// Lines of entries that a chain holds without a tree: what a person reads as a page.
const PAGE: usize = 24;
/// Levels of a tree. nf_tables allows 16 chains in a row (`NFT_JUMP_STACK_SIZE` of the kernel; a goto counts like a jump); the kernel's own is
/// one of them, and behind a leaf there may be two more (`expand`).
const DEEPEST: u32 = 12;
/// ICMP lines that stand in the kernel's chains. More get a chain, which other packets pass by.
const ICMP: usize = 4;

/// Brings the lines of a run into the order and the chains that a packet goes through.
pub(super) fn arrange<'a>(
    expander: &mut Expander<'a, '_>,
    hook: Hook,
    first: &Rule,
    lines: Vec<Line<'a>>,
) -> Vec<Line<'a>> {
    let stem = stem(hook, first);
    let icmp = lines.iter().all(|line| matches!(line.detail, Detail::Icmp(_)));
    if icmp && lines.len() > ICMP {
        let protocol = lines.first().and_then(|line| line.protocol);
        let name = expander.names.unique(&format!("{stem}-icmp"), "");
        let comment = Comment::Words("icmp");
        let gate = Line { protocol, comment, ..Line::new(Target::Jump(Rc::clone(&name))) };
        expander.chains.push(UserChain { name, lines });
        return vec![gate];
    }
    if icmp || lines.len() <= PAGE {
        return lines;
    }
    let mut top = Vec::new();
    for (protocol, mut group) in by_protocol(lines) {
        if group.len() <= LEAF {
            top.extend(group);
            continue;
        }
        if first.action == Action::Notrack {
            // `-m comment` is a match like any other, which takes the kernel time and 256 bytes: in a tree, the lines of the filter table bear the
            // names, and those of raw do without.
            group.iter_mut().for_each(|line| line.comment = Comment::None);
        }
        let stem = expander.names.unique(&format!("{stem}-{}", protocol_name(protocol)), "");
        top.push(Line { protocol, ..Line::new(Target::Jump(Rc::clone(&stem))) });
        let all = (0..group.len()).collect();
        let mut tree =
            Tree { lines: group.into_iter().map(Some).collect(), protocol, stem: Rc::clone(&stem), expander };
        tree.chain(stem, all, 1);
    }
    top
}

fn stem(hook: Hook, first: &Rule) -> String {
    let hook = match hook {
        Hook::RawPrerouting | Hook::NatPrerouting => "fwc-pre",
        Hook::RawOutput | Hook::Output => "fwc-out",
        Hook::Input => "fwc-in",
        Hook::Forward => "fwc-fwd",
        Hook::NatPostrouting => "fwc-post",
    };
    let state = if first.matching.state == StateMatch::Any { "" } else { "-new" };
    format!("{hook}{state}")
}

fn protocol_name(protocol: Option<u8>) -> String {
    match protocol {
        Some(6) => "tcp".to_string(),
        Some(17) => "udp".to_string(),
        Some(number) => format!("p{number}"),
        None => "any".to_string(),
    }
}

/// Groups in the order in which they first appear.
fn by_protocol(lines: Vec<Line<'_>>) -> Vec<(Option<u8>, Vec<Line<'_>>)> {
    let mut groups: Vec<(Option<u8>, Vec<Line>)> = Vec::new();
    for line in lines {
        match groups.iter_mut().find(|(protocol, _)| *protocol == line.protocol) {
            Some((_, group)) => group.push(line),
            None => groups.push((line.protocol, vec![line])),
        }
    }
    groups
}

/// The chains of one protocol's lines.
struct Tree<'e, 'a, 's> {
    /// Lines by index, until they are put into a chain.
    lines: Vec<Option<Line<'a>>>,
    protocol: Option<u8>,
    stem: Rc<str>,
    expander: &'e mut Expander<'a, 's>,
}

impl<'a> Tree<'_, 'a, '_> {
    /// Makes a chain of these lines and the chains below it.
    fn chain(&mut self, name: Rc<str>, lines: Vec<usize>, depth: u32) {
        let place = self.expander.chains.len();
        self.expander.chains.push(UserChain { name, lines: Vec::new() });
        let lines = self.body(lines, depth);
        if let Some(chain) = self.expander.chains.get_mut(place) {
            chain.lines = lines;
        }
    }

    fn body(&mut self, lines: Vec<usize>, depth: u32) -> Vec<Line<'a>> {
        let (mut body, mut rest) = (Vec::new(), lines);
        while rest.len() > LEAF && depth < DEEPEST {
            let best = KEYS.iter().filter_map(|&key| self.split(key, &rest)).min_by_key(|split| split.cost);
            let Some(split) = best.filter(|split| split.cost * 4 <= rest.len() * 3) else {
                if !rest.iter().any(|&index| self.lines.get(index).is_some_and(has_port_list)) {
                    break;
                }
                rest = self.single_ports(&rest);
                continue;
            };
            if !split.rest.is_empty() {
                // The others come first, in a chain of their own: whatever becomes of a packet there, it has to come back for the rest.
                let mut kept = split.gated;
                kept.extend(split.open);
                if let Some(hull) = Split::hull(split.key, kept.iter().filter_map(|&index| self.span(split.key, index)))
                {
                    body.push(self.gate(split.key, hull, kept, depth, Target::Jump));
                }
                rest = split.rest;
                continue;
            }
            if split.gated.len() == 1 {
                body.extend(self.take(split.gated));
            } else {
                body.push(self.gate(split.key, split.gate, split.gated, depth, Target::Goto));
            }
            rest = split.open;
        }
        body.extend(self.take(rest));
        body
    }

    /// The lines themselves. Each is in one chain only.
    fn take(&mut self, indices: Vec<usize>) -> impl Iterator<Item = Line<'a>> {
        indices.into_iter().filter_map(|index| self.lines.get_mut(index).and_then(Option::take))
    }

    /// A list of ports spans all between them, single ports do not.
    fn single_ports(&mut self, indices: &[usize]) -> Vec<usize> {
        let single: Vec<Line> = self.take(indices.to_vec()).flat_map(one_port_each).collect();
        let start = self.lines.len();
        self.lines.extend(single.into_iter().map(Some));
        (start..self.lines.len()).collect()
    }

    /// Makes a chain of lines, and the line that leads there.
    fn gate(&mut self, key: Key, span: Span, lines: Vec<usize>, depth: u32, way: fn(Rc<str>) -> Target) -> Line<'a> {
        let name = self.expander.names.numbered(&self.stem, "");
        self.chain(Rc::clone(&name), lines, depth + 1);
        gate(self.expander.family, key, span, self.protocol, way(name))
    }

    fn span(&self, key: Key, index: usize) -> Option<Span> {
        self.lines.get(index).and_then(Option::as_ref).and_then(|line| key.span(line))
    }

    /// `None` where the key tells nothing apart.
    fn split(&self, key: Key, indices: &[usize]) -> Option<Split> {
        let (mut spans, mut rest) = (Vec::with_capacity(indices.len()), Vec::new());
        for &index in indices {
            match self.span(key, index) {
                Some(span) => spans.push((span, index)),
                None => rest.push(index),
            }
        }
        Split::of(key, spans, rest)
    }
}

fn has_port_list(line: &Option<Line>) -> bool {
    let list = |ports: &Ports| matches!(ports, Ports::List(_));
    line.as_ref().is_some_and(|line| list(&line.source_ports) || list(&line.destination_ports))
}

fn one_port_each(line: Line<'_>) -> Vec<Line<'_>> {
    let each = |ports: &Ports| match ports {
        Ports::Any => vec![Ports::Any],
        ports => ports.ranges().iter().copied().map(Ports::one).collect(),
    };
    let mut lines = Vec::new();
    for source_ports in each(&line.source_ports) {
        for destination_ports in each(&line.destination_ports) {
            lines.push(Line { source_ports: source_ports.clone(), destination_ports, ..line.clone() });
        }
    }
    lines
}

/// The line that leads to a half.
fn gate<'a>(family: Family, key: Key, span: Span, protocol: Option<u8>, target: Target) -> Line<'a> {
    let line = Line::new(target);
    let ports = || Ports::one((span.0 as u16, span.1 as u16));
    match key {
        Key::Destination => Line { destination: Side::Range(addresses(family, span)), ..line },
        Key::Source => Line { source: Side::Range(addresses(family, span)), ..line },
        Key::DestinationPorts => Line { protocol, destination_ports: ports(), ..line },
        Key::SourcePorts => Line { protocol, source_ports: ports(), ..line },
    }
}

fn addresses(family: Family, (start, end): Span) -> AddrRange {
    match family {
        Family::V4 => AddrRange::V4(start as u32, end as u32),
        Family::V6 => AddrRange::V6(start, end),
    }
}
