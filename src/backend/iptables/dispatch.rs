//! Trees of chains, so that a packet is not held against every service.
//!
//! A long run of lines with one verdict is split by protocol, and then by the address or port that tells its lines apart best: up to [`FAN`]
//! buckets with disjoint ranges, each a chain of its own, until a chain is short. Lines that would lie in two buckets stay in the chain
//! behind them and are split by themselves. Since all lines of a run have the same verdict, their order does not matter.

use std::rc::Rc;

use super::expand::Expander;
use super::line::{Comment, Detail, Line, Side, Target, UserChain};
use crate::net::{AddrRange, Family};
use crate::ruleset::{Hook, Rule, StateMatch};

/// Lines of entries that a chain holds without a tree: what a person reads as a page.
const PAGE: usize = 24;
/// Lines of a chain in a tree that are not split further.
const LEAF: usize = 8;
/// Buckets of a chain in a tree, about.
const FAN: usize = 8;
/// Levels of a tree. nf_tables allows 16 chains in a row (`NFT_JUMP_STACK_SIZE` of the kernel).
const DEEPEST: u32 = 10;
/// ICMP lines that stand in the kernel's chains. More get a chain, which other packets pass by.
const ICMP: usize = 4;

/// What lines are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Destination,
    Source,
    DestinationPorts,
    SourcePorts,
}

const KEYS: [Key; 4] = [Key::Destination, Key::DestinationPorts, Key::Source, Key::SourcePorts];

/// Both ends included.
type Span = (u128, u128);

impl Key {
    /// The values that a line's packets may have; `None` is any.
    fn span(self, line: &Line) -> Option<Span> {
        let side = match self {
            Key::Destination => &line.destination,
            Key::Source => &line.source,
            Key::DestinationPorts => return hull(&line.destination_ports),
            Key::SourcePorts => return hull(&line.source_ports),
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
    let mut tree = Tree { expander };
    let mut top = Vec::new();
    for (protocol, group) in by_protocol(lines) {
        if group.len() <= LEAF {
            top.extend(group);
            continue;
        }
        let name = protocol_name(protocol);
        let stem = tree.expander.names.unique(&format!("{stem}-{name}"), "");
        let gate = Line { protocol, ..Line::new(Target::Jump(Rc::clone(&stem))) };
        top.push(gate);
        tree.chain(Rc::clone(&stem), &stem, group, 1);
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

struct Tree<'e, 'a, 's> {
    expander: &'e mut Expander<'a, 's>,
}

impl<'a> Tree<'_, 'a, '_> {
    /// Makes a chain of these lines and the chains below it.
    fn chain(&mut self, name: Rc<str>, stem: &str, lines: Vec<Line<'a>>, depth: u32) {
        let place = self.expander.chains.len();
        self.expander.chains.push(UserChain { name, lines: Vec::new() });
        let lines = self.body(stem, lines, depth);
        if let Some(chain) = self.expander.chains.get_mut(place) {
            chain.lines = lines;
        }
    }

    fn body(&mut self, stem: &str, lines: Vec<Line<'a>>, depth: u32) -> Vec<Line<'a>> {
        let (mut body, mut rest) = (Vec::new(), lines);
        while rest.len() > LEAF && depth < DEEPEST {
            let best = KEYS.iter().filter_map(|&key| Split::by(key, &rest)).min_by_key(|split| split.cost);
            let Some(split) = best.filter(|split| split.cost * 4 <= rest.len() * 3) else {
                if !rest.iter().any(has_port_list) {
                    break;
                }
                // A list of ports spans all between them, single ports do not.
                rest = rest.into_iter().flat_map(one_port_each).collect();
                continue;
            };
            let key = split.key;
            let (buckets, remaining) = split.apply(rest);
            for bucket in buckets {
                if bucket.lines.len() == 1 {
                    body.extend(bucket.lines);
                    continue;
                }
                let name = self.expander.names.numbered(stem, "");
                let last = remaining.is_empty();
                // What the last buckets do not decide, nothing behind them decides either.
                let target = if last { Target::Goto(Rc::clone(&name)) } else { Target::Jump(Rc::clone(&name)) };
                let protocol = bucket.lines.first().and_then(|line| line.protocol);
                body.push(gate(self.expander.family, key, bucket.span, protocol, target));
                self.chain(name, stem, bucket.lines, depth + 1);
            }
            rest = remaining;
        }
        body.extend(rest);
        body
    }
}

fn has_port_list(line: &Line) -> bool {
    line.source_ports.len() > 1 || line.destination_ports.len() > 1
}

fn one_port_each(line: Line<'_>) -> Vec<Line<'_>> {
    let each = |ports: &[(u16, u16)]| match ports {
        [] => vec![Vec::new()],
        ports => ports.iter().map(|&range| vec![range]).collect(),
    };
    let mut lines = Vec::new();
    for source_ports in each(&line.source_ports) {
        for destination_ports in each(&line.destination_ports) {
            lines.push(Line { source_ports: source_ports.clone(), destination_ports, ..line.clone() });
        }
    }
    lines
}

/// The line that leads to a bucket.
fn gate<'a>(family: Family, key: Key, span: Span, protocol: Option<u8>, target: Target) -> Line<'a> {
    let line = Line::new(target);
    let ports = || vec![(span.0 as u16, span.1 as u16)];
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

/// Lines whose packets have a value in `span`, and none of another bucket's.
struct Bucket<'a> {
    span: Span,
    lines: Vec<Line<'a>>,
}

/// A way to split lines.
struct Split {
    key: Key,
    /// The bucket of each line; `None`: it stays behind.
    places: Vec<Option<usize>>,
    /// The range of each bucket. They are disjoint.
    spans: Vec<Span>,
    /// Lines that a packet still meets behind the split, at worst.
    cost: usize,
}

impl Split {
    /// `None` where the key tells nothing apart.
    fn by(key: Key, lines: &[Line]) -> Option<Split> {
        let mut spans: Vec<(Span, usize)> = Vec::with_capacity(lines.len());
        spans.extend(lines.iter().enumerate().filter_map(|(index, line)| Some((key.span(line)?, index))));
        // The range that ends first never overlaps more of the later ones than another would: taking it keeps the most.
        spans.sort_unstable_by_key(|&((start, end), index)| (end, u128::MAX - start, index));
        let mut kept: Vec<(Span, Vec<usize>)> = Vec::new();
        for (span, index) in spans {
            match kept.last_mut() {
                Some((last, lines)) if *last == span => lines.push(index),
                Some((last, _)) if span.0 <= last.1 => {}
                _ => kept.push((span, vec![index])),
            }
        }
        if kept.len() < 2 {
            return None;
        }
        Some(Split::into_buckets(key, &kept, lines.len()))
    }

    /// Neighbours share a bucket, so that all buckets hold about as many lines.
    fn into_buckets(key: Key, kept: &[(Span, Vec<usize>)], lines: usize) -> Split {
        let placed: usize = kept.iter().map(|(_, indices)| indices.len()).sum();
        let target = placed.div_ceil(placed.div_ceil(LEAF).clamp(2, FAN));
        let mut places = vec![None; lines];
        let (mut spans, mut sizes): (Vec<Span>, Vec<usize>) = (Vec::new(), Vec::new());
        for (span, indices) in kept {
            match (spans.last_mut(), sizes.last_mut()) {
                (Some(bucket), Some(size)) if *size + indices.len() <= target => {
                    bucket.1 = span.1;
                    *size += indices.len();
                }
                _ => {
                    spans.push(*span);
                    sizes.push(indices.len());
                }
            }
            for &index in indices {
                if let Some(place) = places.get_mut(index) {
                    *place = Some(spans.len() - 1);
                }
            }
        }
        let cost = sizes.iter().max().copied().unwrap_or(0) + (lines - placed);
        if matches!(key, Key::Destination | Key::Source) {
            widen(&mut spans);
        }
        Split { key, places, spans, cost }
    }

    /// The buckets, and what stays behind.
    fn apply<'a>(self, lines: Vec<Line<'a>>) -> (Vec<Bucket<'a>>, Vec<Line<'a>>) {
        let mut buckets: Vec<Bucket> = self.spans.iter().map(|&span| Bucket { span, lines: Vec::new() }).collect();
        let mut rest = Vec::new();
        for (line, place) in lines.into_iter().zip(self.places) {
            match place.and_then(|place| buckets.get_mut(place)) {
                Some(bucket) => bucket.lines.push(line),
                None => rest.push(line),
            }
        }
        (buckets, rest)
    }
}

/// Makes a prefix of each range of addresses that can become one without touching another: it reads better and costs less.
fn widen(spans: &mut [Span]) {
    let mut before: Option<u128> = None;
    for index in 0..spans.len() {
        let after = spans.get(index + 1).map(|next| next.0);
        let Some(span) = spans.get_mut(index) else { continue };
        let mask = u128::MAX.checked_shr((span.0 ^ span.1).leading_zeros()).unwrap_or(0);
        let prefix = (span.0 & !mask, span.0 | mask);
        if before.is_none_or(|before| before < prefix.0) && after.is_none_or(|after| prefix.1 < after) {
            *span = prefix;
        }
        before = Some(span.1);
    }
}
