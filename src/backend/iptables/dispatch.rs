//! Trees of chains, so that a packet is not held against every service.
//!
//! A long run of lines with one verdict is split by protocol, and then halved by the address or port that tells its lines apart best: a gate
//! leads to a chain with one half, the other half follows behind the gate and is halved in the same way, until few lines are left. So a
//! packet meets one gate for each time that the number of lines can be halved. Lines that would lie in both halves stay behind and are split
//! by themselves. Since all lines of a run have the same verdict, their order does not matter.

use std::sync::Arc;

use super::address::Address;
use super::line::{Comment, Line, Ports, Side, Target};
use super::lines::Lines;
use super::names::CHAIN;
use super::split::{Key, LEAF};
use super::text::Sheet;
use super::tree::{Gate, Item, Tree};
use crate::ruleset::{Action, Hook, Rule, StateMatch};

/// Lines of entries that a chain holds without a tree: what a person reads as a page.
const PAGE: usize = 24;
/// ICMP lines that stand in the kernel's chains. More get a chain, which other packets pass by.
const ICMP: usize = 4;

/// Bytes of the start of a line up to its chain's name, at most.
const LINE_START: usize = CHAIN + 3;

/// Writes the lines of a run in the order and the chains that a packet goes through, from the kernel's chain `from` on.
pub(super) fn arrange<A: Address>(sheet: &mut Sheet<A>, from: &str, hook: Hook, first: &Rule, lines: &mut Lines<A>) {
    let stem = stem(hook, first);
    if lines.are_icmp() && lines.len() > ICMP {
        let protocol = lines.protocols().first().copied().flatten();
        let name = sheet.names.unique(&format!("{stem}-icmp"), "");
        let (comment, target) = (Comment::Words("icmp"), Target::Jump(Arc::clone(&name)));
        sheet.builtin.rule(from, &Line { protocol, comment, ..Line::new(&target) });
        sheet.add(name.as_bytes());
        sheet.rules.rules(&name, lines, lines.numbers());
        return;
    }
    if lines.are_icmp() || lines.len() <= PAGE {
        sheet.builtin.rules(from, lines, lines.numbers());
        return;
    }
    for (protocol, numbers) in by_protocol(lines.protocols()) {
        if numbers.len() <= LEAF {
            sheet.builtin.rules(from, lines, numbers);
            continue;
        }
        let stem = sheet.names.unique(&format!("{stem}-{}", protocol_name(protocol)), "");
        sheet.builtin.rule(from, &Line { protocol, ..Line::new(&Target::Jump(Arc::clone(&stem))) });
        let tree = Tree::of(lines, numbers, sheet.names.series(&stem));
        // `-m comment` is a match like any other, which takes the kernel time and 256 bytes: in a tree, the lines of the filter table bear the
        // names, and those of raw do without.
        let with_comments = first.action != Action::Notrack;
        write(sheet, &stem, protocol, &tree, with_comments);
        sheet.names.end(tree.series);
    }
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

/// The numbers of lines, in groups in the order in which they first appear.
fn by_protocol(protocols: &[Option<u8>]) -> Vec<(Option<u8>, Vec<u32>)> {
    let mut groups: Vec<(Option<u8>, Vec<u32>)> = Vec::new();
    for (number, &protocol) in (0..).zip(protocols) {
        match groups.iter_mut().find(|(of, _)| *of == protocol) {
            Some((_, group)) => group.push(number),
            // Mostly there is one protocol.
            None => {
                let mut group = Vec::with_capacity(if groups.is_empty() { protocols.len() } else { 0 });
                group.push(number);
                groups.push((protocol, group));
            }
        }
    }
    groups
}

/// Writes the chains of a tree. The first has the stem as its name.
fn write<A: Address>(sheet: &mut Sheet<A>, stem: &str, protocol: Option<u8>, tree: &Tree<A>, with_comments: bool) {
    let mut start = Vec::new();
    // Once for all, and rather too much: what is not used is not taken from the machine.
    sheet.rules.text.reserve(tree.lines().length() + (tree.lines().len() + tree.chains.len() * 4) * LINE_START);
    for chain in &tree.chains {
        start.clear();
        start.extend_from_slice(b"-A ");
        match &chain.gate {
            None => start.extend_from_slice(stem.as_bytes()),
            Some(gate) => tree.series.write(gate.number, &mut start),
        }
        sheet.add(start.get(3..).unwrap_or_default());
        for item in tree.items(chain) {
            sheet.rules.text.extend_from_slice(&start);
            match *item {
                Item::Line(number) => tree.lines().write(number, with_comments, &mut sheet.rules.text),
                Item::Gate(place) => {
                    let Some(gate) = tree.chains.get(place as usize).and_then(|chain| chain.gate) else { continue };
                    let ports = [(gate.span.0.port(), gate.span.1.port())];
                    sheet.rules.conditions(&conditions(&gate, &ports, protocol));
                    sheet.rules.text.extend_from_slice(if gate.returns { b" -j " } else { b" -g " });
                    tree.series.write(gate.number, &mut sheet.rules.text);
                    sheet.rules.text.push(b'\n');
                }
            }
        }
    }
}

/// What packets go through a gate, as a line.
fn conditions<'l, A: Address>(gate: &Gate<A>, ports: Ports<'l>, protocol: Option<u8>) -> Line<'l, 'static, A> {
    let line = Line::new(&Target::Return);
    match gate.key {
        Key::Destination => Line { destination: Side::Range(gate.span), ..line },
        Key::Source => Line { source: Side::Range(gate.span), ..line },
        Key::DestinationPorts => Line { protocol, destination_ports: ports, ..line },
        Key::SourcePorts => Line { protocol, source_ports: ports, ..line },
    }
}
