//! Rules: conditions, what happens on the way, the verdict.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use super::conditions::{condition, unknown};
use super::cursor::Cursor;
use super::names::number;
use super::{counter, sets};
use crate::dump::{
    ChainId, Condition, Effect, Keys, Rule, Selector, Test, Translation, TranslationKind, Value, Varies, Verdict,
};
use crate::net::{AddrRange, Family, Protocol};

/// What the rules of a table may refer to.
pub(super) struct Known<'k> {
    pub sets: &'k HashMap<String, sets::Known>,
    pub chains: &'k HashMap<String, ChainId>,
}

/// The rule that begins with this token.
pub(super) fn rule(cursor: &mut Cursor, at: usize, known: &Known) -> Rule {
    cursor.go(at);
    let place = cursor.place(at);
    let mut rule = Rule {
        conditions: Vec::new(),
        effects: Vec::new(),
        verdict: Verdict::Continue,
        place,
        comment: None,
        position: None,
    };
    while !cursor.ends_statement() {
        let from = cursor.at();
        if !statement(cursor, &mut rule, known) {
            cursor.go(from);
            not_understood(cursor, &mut rule);
        }
    }
    rule.place = cursor.place(at);
    only_real_ports(&mut rule.conditions);
    rule
}

/// All the rest of the rule: nobody knows whether it asks or does something.
fn not_understood(cursor: &mut Cursor, rule: &mut Rule) {
    let from = cursor.at();
    cursor.pass_statement();
    let text = cursor.words(from);
    rule.conditions.push(Condition::is(unknown(text.clone())));
    rule.effects.push(Effect::Other(text.clone()));
    rule.verdict = Verdict::Unknown(text);
}

/// One statement of the rule. `false`: it is not known here, or not where it stands.
fn statement(cursor: &mut Cursor, rule: &mut Rule, known: &Known) -> bool {
    let from = cursor.at();
    if cursor.take(&["comment"]) {
        rule.comment = cursor.string().map(Into::into);
        return rule.comment.is_some() && cursor.ends_statement();
    }
    // Behind its verdict a rule has nothing but the comment.
    if rule.verdict != Verdict::Continue {
        return false;
    }
    if cursor.take(&["counter"]) {
        counter(cursor);
        rule.effects.push(Effect::Harmless("counter".to_string()));
        return true;
    }
    if cursor.take(&["notrack"]) {
        rule.effects.push(Effect::Notrack);
        return true;
    }
    if let Some(verdict) = verdict(cursor, rule, known) {
        rule.verdict = verdict;
        return true;
    }
    cursor.go(from);
    // A condition behind `notrack` comes too late for it, and the model has no place for that.
    if rule.effects.contains(&Effect::Notrack) {
        return false;
    }
    let Some(conditions) = condition(cursor, known) else { return false };
    for condition in conditions {
        if !rule.conditions.iter().any(|other| same_header(other, &condition)) {
            rule.conditions.push(condition);
        }
    }
    true
}

/// Whether both ask for the same family or protocol.
fn same_header(left: &Condition, right: &Condition) -> bool {
    left.negated == right.negated
        && match (&left.test, &right.test) {
            (Test::Family(left), Test::Family(right)) => left == right,
            (Test::Protocol(left), Test::Protocol(right)) => left == right,
            _ => false,
        }
}

fn verdict(cursor: &mut Cursor, rule: &mut Rule, known: &Known) -> Option<Verdict> {
    let translate = |kind, address, ports| {
        Some(Verdict::Translate(Translation { kind, address, ports, varies: Varies::default() }))
    };
    match cursor.word()? {
        "accept" => Some(Verdict::Accept),
        "drop" => Some(Verdict::Drop),
        "return" => Some(Verdict::Return),
        "reject" => Some(Verdict::Reject),
        "jump" => cursor.word().and_then(|name| known.chains.get(name)).map(|id| Verdict::Jump(*id)),
        "goto" => cursor.word().and_then(|name| known.chains.get(name)).map(|id| Verdict::Goto(*id)),
        "masquerade" => translate(TranslationKind::Masquerade, None, None),
        "redirect" if cursor.take(&["to"]) => {
            let ports = cursor.word()?.strip_prefix(':').and_then(ports)?;
            translate(TranslationKind::Redirect, None, Some(ports))
        }
        word @ ("snat" | "dnat") => {
            let kind = if word == "snat" { TranslationKind::Snat } else { TranslationKind::Dnat };
            let family = if cursor.take(&["ip"]) {
                Family::V4
            } else if cursor.take(&["ip6"]) {
                Family::V6
            } else {
                return None;
            };
            let (address, ports) = cursor.take(&["to"]).then(|| cursor.word().and_then(target))??;
            if Family::of(address.0) != family {
                return None;
            }
            // It passes packets of the other family by.
            let only = Condition::is(Test::Family(family));
            if !rule.conditions.iter().any(|other| same_header(other, &only)) {
                rule.conditions.push(only);
            }
            translate(kind, Some(address), ports)
        }
        _ => None,
    }
}

type Target = ((IpAddr, IpAddr), Option<(u16, u16)>);

/// `10.0.0.8`, `10.0.0.8:443`, `2001:db8::8`, `[2001:db8::8]:443`, and ranges of both.
fn target(word: &str) -> Option<Target> {
    let (address, behind) = match word.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, port.strip_prefix(':'))
        }
        None => match word.split_once(':') {
            Some((address, port)) if address.contains('.') && !port.contains(':') => (address, Some(port)),
            _ => (word, None),
        },
    };
    let range: AddrRange = address.parse().ok()?;
    let ports = match behind {
        Some(text) => Some(ports(text)?),
        None if word.starts_with('[') && !word.ends_with(']') => return None,
        None => None,
    };
    Some(((range.first(), range.last()), ports))
}

fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// `th dport` reads the header of any protocol. It is a port only where another condition sees to it that there are ports.
fn only_real_ports(conditions: &mut [Condition]) {
    let reads = |condition: &Condition| match &condition.test {
        Test::Port(..) => true,
        Test::Keys(selectors, _) => selectors.iter().any(|selector| matches!(selector, Selector::Port(_))),
        _ => false,
    };
    if !conditions.iter().any(reads) || conditions.iter().any(has_ports) {
        return;
    }
    for condition in conditions.iter_mut().filter(|condition| reads(condition)) {
        let text = match &condition.test {
            Test::Port(side, ports) => format!("th {side:?} port {:?} of any protocol", ports.ranges()),
            _ => "th ports of any protocol in a set".to_string(),
        };
        *condition = Condition::is(unknown(text));
    }
}

/// Whether only packets with ports meet the condition.
fn has_ports(condition: &Condition) -> bool {
    let ports = |first: u128, last: u128| {
        first == last && u8::try_from(first).is_ok_and(|number| Protocol::WITH_PORTS.contains(&number))
    };
    !condition.negated
        && match &condition.test {
            Test::Protocol(set) => set.ranges().iter().all(|&(first, last)| ports(first.into(), last.into())),
            Test::Keys(selectors, keys) => keys_have_ports(selectors, keys, ports),
            _ => false,
        }
}

fn keys_have_ports(selectors: &[Selector], keys: &Keys, ports: impl Fn(u128, u128) -> bool) -> bool {
    let Some(at) = selectors.iter().position(|selector| *selector == Selector::Protocol) else { return false };
    keys.elements.iter().all(|key| match key.get(at) {
        Some(Value::Numbers(first, last)) => ports(*first, *last),
        _ => false,
    })
}
