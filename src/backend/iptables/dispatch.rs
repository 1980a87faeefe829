//! Trees of chains, so that a packet is not held against every service.
//!
//! A long run of lines with one verdict is split by protocol, and then halved by the address or port that tells its lines apart best: a gate
//! leads to a chain with one half, the other half follows behind the gate and is halved in the same way, until few lines are left. So a
//! packet meets one gate for each time that the number of lines can be halved. Lines that would lie in both halves stay behind and are split
//! by themselves. Since all lines of a run have the same verdict, their order does not matter.

use std::sync::Arc;

use super::expand::Expander;
use super::line::{Comment, Detail, Line, Ports, Side, Target, UserChain};
use super::members::{Keys, Members};
use super::split::{Key, LEAF, Span};
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
        let gate = Line { protocol, comment, ..Line::new(Target::Jump(Arc::clone(&name))) };
        expander.add_chain(name, &lines);
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
        top.push(Line { protocol, ..Line::new(Target::Jump(Arc::clone(&stem))) });
        let mut keys = Keys::of(&group);
        let all = keys.add(&group);
        let lines = group.into_iter().map(Some).collect();
        let mut tree = Tree { lines, keys, protocol, stem: Arc::clone(&stem), expander };
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
    // Mostly there is one protocol, and then nothing has to be moved.
    if let Some(only) = lines.first().map(|line| line.protocol)
        && lines.iter().all(|line| line.protocol == only)
    {
        return vec![(only, lines)];
    }
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
    keys: Keys,
    protocol: Option<u8>,
    stem: Arc<str>,
    expander: &'e mut Expander<'a, 's>,
}

impl<'a> Tree<'_, 'a, '_> {
    /// Makes a chain of these lines and the chains below it.
    fn chain(&mut self, name: Arc<str>, members: Members, depth: u32) {
        let place = self.expander.chains.len();
        self.expander.chains.push(UserChain { name: Arc::clone(&name), rules: 0..0 });
        let lines = self.body(members, depth);
        let rules = self.expander.writer.chain(&name, &lines);
        if let Some(chain) = self.expander.chains.get_mut(place) {
            chain.rules = rules;
        }
    }

    fn body(&mut self, members: Members, depth: u32) -> Vec<Line<'a>> {
        let (mut body, mut left) = (Vec::new(), members);
        while left.lines.len() > LEAF && depth < DEEPEST {
            let best = self.keys.split(&left);
            let Some(split) = best.filter(|split| split.cost * 4 <= left.lines.len() * 3) else {
                if !left.lines.iter().any(|&number| self.lines.get(number as usize).is_some_and(has_port_list)) {
                    break;
                }
                left = self.single_ports(left.lines);
                continue;
            };
            if split.rest > 0 {
                // The others come first, in a chain of their own: whatever becomes of a packet there, it has to come back for the rest.
                let [kept, rest] = self.keys.kept_and_rest(&left, &split);
                body.push(self.gate(split.key, split.hull, kept, depth, Target::Jump));
                left = rest;
                continue;
            }
            let [gated, open] = self.keys.halves(&left, &split);
            if gated.lines.len() == 1 {
                body.extend(self.take(gated.lines));
            } else {
                body.push(self.gate(split.key, split.gate, gated, depth, Target::Goto));
            }
            left = open;
        }
        body.extend(self.take(left.lines));
        body
    }

    /// The lines themselves, in the order in which they came, which is that of the spec. Each is in one chain only.
    fn take(&mut self, mut numbers: Vec<u32>) -> impl Iterator<Item = Line<'a>> {
        numbers.sort_unstable();
        numbers.into_iter().filter_map(|number| self.lines.get_mut(number as usize).and_then(Option::take))
    }

    /// A list of ports spans all between them, single ports do not.
    fn single_ports(&mut self, numbers: Vec<u32>) -> Members {
        let single: Vec<Line> = self.take(numbers).flat_map(one_port_each).collect();
        let members = self.keys.add(&single);
        self.lines.extend(single.into_iter().map(Some));
        members
    }

    /// Makes a chain of lines, and the line that leads there.
    fn gate(&mut self, key: Key, span: Span, members: Members, depth: u32, way: fn(Arc<str>) -> Target) -> Line<'a> {
        let name = self.expander.names.numbered(&self.stem, "");
        self.chain(Arc::clone(&name), members, depth + 1);
        gate(self.expander.family, key, span, self.protocol, way(name))
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
