//! Conditions of rules as plain conjunctions: one range of values for each field.

use crate::dump::{Condition, InterfacePattern, Selector, Side, States, Test, Value, Way};
use crate::net::{AddrRange, AddressSet, Family, RangeSet};

/// Packets that meet one condition on each field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub source: Option<AddressSet>,
    pub destination: Option<AddressSet>,
    pub protocol: Option<RangeSet<u8>>,
    pub source_ports: Option<RangeSet<u16>>,
    pub destination_ports: Option<RangeSet<u16>>,
    pub incoming: Option<Vec<String>>,
    pub outgoing: Option<Vec<String>>,
    pub states: Option<States>,
    /// ICMP types.
    pub icmp: Option<RangeSet<u8>>,
    /// Whether the destination must be this host's.
    pub local: bool,
    /// Whether only translated flows are meant.
    pub translated: bool,
    /// Whether only later fragments are meant.
    pub later: bool,
    /// What no spec has words for.
    pub why: Option<String>,
}

/// More alternatives than any ruleset that a person could read as a spec.
const MOST: usize = 1 << 16;

/// The alternatives that a list of conditions has for the packets of one family. Those that nothing can meet are left out.
pub(super) fn pieces(conditions: &[&Condition], family: Family) -> Vec<Piece> {
    let mut found = vec![Piece::default()];
    for condition in conditions {
        found = narrowed(found, &condition.test, condition.negated, family);
    }
    found
}

fn narrowed(pieces: Vec<Piece>, test: &Test, negated: bool, family: Family) -> Vec<Piece> {
    let alternatives = |all: &[Condition]| -> Vec<Piece> {
        let each = |one: &Condition| narrowed(pieces.clone(), &one.test, one.negated, family);
        all.iter().flat_map(each).collect()
    };
    match test {
        Test::AnyOf(all) if !negated && pieces.len() * all.len() <= MOST => alternatives(all),
        Test::AnyOf(all) if negated => {
            all.iter().fold(pieces, |pieces, one| narrowed(pieces, &one.test, !one.negated, family))
        }
        Test::Keys(selectors, keys) if !negated && pieces.len() * keys.elements.len() <= MOST => {
            let each = |piece: &Piece, element: &Vec<Value>| {
                selectors
                    .iter()
                    .zip(element)
                    .try_fold(piece.clone(), |piece, (selector, value)| looked_up(piece, *selector, value, family))
            };
            pieces.iter().flat_map(|piece| keys.elements.iter().filter_map(move |one| each(piece, one))).collect()
        }
        _ => pieces.into_iter().filter_map(|piece| piece.and(test, negated, family)).collect(),
    }
}

fn looked_up(piece: Piece, selector: Selector, value: &Value, family: Family) -> Option<Piece> {
    let test = match (selector, value) {
        (Selector::Address(of, side), Value::Numbers(first, last)) => {
            Test::Address(side, std::sync::Arc::new([range(of, *first, *last)?].into_iter().collect()))
        }
        (Selector::OriginalDestination(of), Value::Numbers(first, last)) => {
            Test::OriginalDestination(std::sync::Arc::new([range(of, *first, *last)?].into_iter().collect()))
        }
        (Selector::Protocol, Value::Numbers(first, last)) => {
            Test::Protocol(RangeSet::range(u8::try_from(*first).ok()?, u8::try_from(*last).ok()?))
        }
        (Selector::Port(side), Value::Numbers(first, last)) => {
            Test::Port(side, RangeSet::range(u16::try_from(*first).ok()?, u16::try_from(*last).ok()?))
        }
        (Selector::Interface(way), Value::Interface(pattern)) => Test::Interface(way, vec![pattern.clone()]),
        _ => return None,
    };
    piece.and(&test, false, family)
}

fn range(family: Family, first: u128, last: u128) -> Option<AddrRange> {
    Some(match family {
        Family::V4 => AddrRange::V4(u32::try_from(first).ok()?, u32::try_from(last).ok()?),
        Family::V6 => AddrRange::V6(first, last),
    })
}

impl Piece {
    fn and(mut self, test: &Test, negated: bool, family: Family) -> Option<Piece> {
        match test {
            Test::Family(only) => return ((*only == family) != negated).then_some(self),
            Test::Never => return negated.then_some(self),
            Test::Address(side, set) => {
                let set = addresses(set, negated, family)?;
                let known = if *side == Side::Source { &mut self.source } else { &mut self.destination };
                let both = match known.take() {
                    Some(old) => old.intersection(&set),
                    None => set,
                };
                if !both.has(family) {
                    return None;
                }
                *known = Some(both);
            }
            Test::Protocol(protocols) => narrow(&mut self.protocol, protocols, negated)?,
            Test::Port(Side::Source, ports) => narrow(&mut self.source_ports, ports, negated)?,
            Test::Port(Side::Destination, ports) => narrow(&mut self.destination_ports, ports, negated)?,
            Test::Icmp(of, types, _) if *of == family => {
                if !negated {
                    let number = if family == Family::V4 { 1 } else { 58 };
                    narrow(&mut self.protocol, &RangeSet::single(number), false)?;
                }
                narrow(&mut self.icmp, types, negated)?;
            }
            Test::Icmp(..) => return None,
            Test::Interface(way, patterns) => self.interface(*way, patterns, negated)?,
            Test::State(states) => self.state(*states, negated)?,
            Test::Local(Side::Destination) if !negated => self.local = true,
            Test::Local(Side::Destination) => {}
            Test::Local(Side::Source) => self.cannot("it asks whether the source is this host"),
            Test::Translated(_) | Test::OriginalDestination(_) | Test::OriginalPort(_) => self.translated |= !negated,
            Test::Fragment(parts) => self.later |= parts.later && !parts.whole && !negated,
            // Held against the spec by the proof.
            Test::TcpFlags { .. } => {}
            Test::Opaque { text, .. } => self.cannot(&format!("it asks for `{text}`")),
            Test::AnyOf(_) | Test::Keys(..) => self.cannot("it asks for more than can be listed"),
        }
        Some(self)
    }

    fn cannot(&mut self, why: &str) {
        self.why.get_or_insert_with(|| why.to_string());
    }

    fn interface(&mut self, way: Way, patterns: &[InterfacePattern], negated: bool) -> Option<()> {
        if patterns.iter().any(|one| one.prefix && one.name.is_empty()) {
            return (!negated).then_some(());
        }
        if negated {
            // Loopback is accepted anyway.
            if patterns.iter().any(|one| one.prefix || one.name != "lo") {
                self.cannot("it asks for all interfaces but one");
            }
            return Some(());
        }
        if let Some(one) = patterns.iter().find(|one| one.prefix) {
            self.cannot(&format!("it asks for all interfaces `{one}`"));
            return Some(());
        }
        let mut names: Vec<String> = patterns.iter().map(|one| one.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let known = if way == Way::In { &mut self.incoming } else { &mut self.outgoing };
        if let Some(old) = known.take() {
            names.retain(|name| old.contains(name));
        }
        let some = !names.is_empty();
        *known = Some(names);
        some.then_some(())
    }

    fn state(&mut self, asked: States, negated: bool) -> Option<()> {
        let old = self.states.unwrap_or(States {
            new: true,
            established: true,
            related: true,
            invalid: true,
            untracked: true,
        });
        let both = |old: bool, asked: bool| old && (asked != negated);
        let now = States {
            new: both(old.new, asked.new),
            established: both(old.established, asked.established),
            related: both(old.related, asked.related),
            invalid: both(old.invalid, asked.invalid),
            untracked: both(old.untracked, asked.untracked),
        };
        self.states = Some(now);
        (now != States::default()).then_some(())
    }

    /// Whether a packet may be the first of a flow, or untracked.
    pub fn opens(&self) -> bool {
        self.states.is_none_or(|states| states.new || states.untracked)
    }
}

fn addresses(set: &AddressSet, negated: bool, family: Family) -> Option<AddressSet> {
    if !set.has(family) {
        return None;
    }
    let (v4, v6) = if negated { (set.v4.complement(), set.v6.complement()) } else { (set.v4.clone(), set.v6.clone()) };
    Some(match family {
        Family::V4 => AddressSet { v4, ..AddressSet::default() },
        Family::V6 => AddressSet { v6, ..AddressSet::default() },
    })
}

fn narrow<T: crate::net::Scalar>(known: &mut Option<RangeSet<T>>, asked: &RangeSet<T>, negated: bool) -> Option<()> {
    let asked = if negated { asked.complement() } else { asked.clone() };
    let now = match known.take() {
        Some(old) => old.intersection(&asked),
        None => asked,
    };
    let some = !now.is_empty();
    *known = Some(now);
    some.then_some(())
}
