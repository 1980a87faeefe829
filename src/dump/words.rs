//! The model in nft's words, for people: what a listing shows and what two dumps can be compared by.

use std::fmt::{self, Display};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    Base, ChainId, ChainKind, Condition, Dump, Effect, Hook, Keys, Parts, Rule, Selector, Side, States, Test, Value,
    Verdict, Way,
};
use crate::net::{AddressSet, Family, RangeSet, Scalar};
use crate::spec::Fate;

/// At most this many elements of a set are written out.
const SHOWN: usize = 8;

impl Dump {
    /// A rule in nft's words.
    #[must_use]
    pub fn words(&self, rule: &Rule) -> String {
        let names: Vec<String> = self.chains.iter().map(|chain| chain.name.clone()).collect();
        rule_words(&rule.conditions, &rule.effects, &rule.verdict, &names)
    }
}

/// A chain's line.
pub(super) fn chain_words(name: &str, base: Option<Base>) -> String {
    let Some(Base { hook, priority, kind, policy }) = base else {
        return format!("chain {name}");
    };
    let kind = match kind {
        ChainKind::Filter => "filter",
        ChainKind::Nat => "nat",
        ChainKind::Route => "route",
    };
    let policy = if policy == Fate::Accept { "accept" } else { "drop" };
    format!("chain {name} type {kind} hook {} priority {priority} policy {policy}", hook_word(hook))
}

fn hook_word(hook: Hook) -> &'static str {
    match hook {
        Hook::Prerouting => "prerouting",
        Hook::Input => "input",
        Hook::Forward => "forward",
        Hook::Output => "output",
        Hook::Postrouting => "postrouting",
    }
}

/// A rule's line. `names` are the chains' by their ids.
pub(super) fn rule_words(conditions: &[Condition], effects: &[Effect], verdict: &Verdict, names: &[String]) -> String {
    let mut words: Vec<String> = conditions.iter().map(ToString::to_string).collect();
    words.extend(effects.iter().map(ToString::to_string));
    let name = |id: &ChainId| names.get(id.0).map_or("", String::as_str);
    words.push(match verdict {
        Verdict::Continue => String::new(),
        Verdict::Accept => "accept".to_string(),
        Verdict::Drop => "drop".to_string(),
        Verdict::Reject => "reject".to_string(),
        Verdict::Return => "return".to_string(),
        Verdict::Jump(id) => format!("jump {}", name(id)),
        Verdict::Goto(id) => format!("goto {}", name(id)),
        Verdict::Translate(translation) => translation.to_string(),
        Verdict::Unknown(text) => text.clone(),
    });
    words.retain(|word| !word.is_empty());
    if words.is_empty() { "continue".to_string() } else { words.join(" ") }
}

impl Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Notrack => f.write_str("notrack"),
            Effect::Mark(text) | Effect::Harmless(text) | Effect::Other(text) => f.write_str(text),
        }
    }
}

impl Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.negated { "!= " } else { "" };
        match &self.test {
            Test::Family(Family::V4) => write!(f, "meta nfproto {not}ipv4"),
            Test::Family(Family::V6) => write!(f, "meta nfproto {not}ipv6"),
            Test::Address(side, set) => {
                let family = if set.v4.is_empty() { "ip6" } else { "ip" };
                write!(f, "{family} {}addr {not}{}", letter(*side), addresses(set))
            }
            Test::Local(side) => write!(f, "fib {}addr type {not}local", letter(*side)),
            Test::Protocol(set) => write!(f, "meta l4proto {not}{}", numbers(set)),
            Test::Port(side, set) => write!(f, "th {}port {not}{}", letter(*side), numbers(set)),
            Test::Icmp(family, types, codes) => icmp(f, *family, not, types, codes),
            Test::TcpFlags { mask, value } => write!(f, "tcp flags & {mask:#x} {}{value:#x}", equals(self.negated)),
            Test::Interface(way, names) => {
                let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
                write!(f, "{} {not}{}", way_word(*way), braced(&names, names.len()))
            }
            Test::Fragment(parts) => write!(f, "fragment {not}{}", parts_words(*parts)),
            Test::State(states) => write!(f, "ct state {not}{}", state_words(*states)),
            Test::Translated(Side::Source) => write!(f, "ct status {not}snat"),
            Test::Translated(Side::Destination) => write!(f, "ct status {not}dnat"),
            Test::OriginalDestination(set) => write!(f, "ct original daddr {not}{}", addresses(set)),
            Test::OriginalPort(set) => write!(f, "ct original proto-dst {not}{}", numbers(set)),
            Test::Keys(selectors, keys) => keys_words(f, selectors, not, keys),
            Test::AnyOf(all) => {
                let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                write!(f, "{}({})", if self.negated { "not " } else { "" }, all.join(" or "))
            }
            Test::Never => f.write_str(if self.negated { "always" } else { "never" }),
            Test::Opaque { text, .. } => write!(f, "{}{text}", if self.negated { "not " } else { "" }),
        }
    }
}

fn equals(negated: bool) -> &'static str {
    if negated { "!= " } else { "== " }
}

fn icmp(
    f: &mut fmt::Formatter<'_>,
    family: Family,
    not: &str,
    types: &RangeSet<u8>,
    codes: &RangeSet<u8>,
) -> fmt::Result {
    let name = if family == Family::V4 { "icmp" } else { "icmpv6" };
    match (types.is_all(), codes.is_all()) {
        (true, false) => write!(f, "{name} code {not}{}", numbers(codes)),
        (_, true) => write!(f, "{name} type {not}{}", numbers(types)),
        _ => write!(f, "{name} type . {name} code {not}{} . {}", numbers(types), numbers(codes)),
    }
}

fn letter(side: Side) -> char {
    if side == Side::Source { 's' } else { 'd' }
}

fn way_word(way: Way) -> &'static str {
    if way == Way::In { "iifname" } else { "oifname" }
}

fn parts_words(parts: Parts) -> String {
    let all = [(parts.whole, "whole"), (parts.first, "first"), (parts.later, "later")];
    listed(&all)
}

fn state_words(states: States) -> String {
    listed(&[
        (states.new, "new"),
        (states.established, "established"),
        (states.related, "related"),
        (states.invalid, "invalid"),
        (states.untracked, "untracked"),
    ])
}

fn listed(all: &[(bool, &str)]) -> String {
    all.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect::<Vec<_>>().join(",")
}

/// Items as a set, of which `count` is the true number.
fn braced(items: &[String], count: usize) -> String {
    match items {
        [one] if count == 1 => one.clone(),
        _ if count > SHOWN => format!("{{ {count} elements }}"),
        _ => format!("{{ {} }}", items.join(", ")),
    }
}

fn numbers<T: Scalar + Display>(set: &RangeSet<T>) -> String {
    let one = |(first, last): &(T, T)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let items: Vec<String> = set.ranges().iter().take(SHOWN).map(one).collect();
    braced(&items, set.ranges().len())
}

fn addresses(set: &AddressSet) -> String {
    let all = || Family::BOTH.iter().flat_map(|family| set.ranges(*family));
    let items: Vec<String> = all().take(SHOWN).map(|range| range.to_string()).collect();
    braced(&items, all().count())
}

fn keys_words(f: &mut fmt::Formatter<'_>, selectors: &[Selector], not: &str, keys: &Keys) -> fmt::Result {
    let names: Vec<&str> = selectors.iter().map(|selector| selector_word(*selector)).collect();
    let element = |element: &Vec<Value>| {
        let values: Vec<String> =
            selectors.iter().zip(element).map(|(selector, value)| value_word(*selector, value)).collect();
        values.join(" . ")
    };
    let items: Vec<String> = keys.elements.iter().take(SHOWN).map(element).collect();
    write!(f, "{} {not}{}", names.join(" . "), braced(&items, keys.elements.len()))
}

/// A field of a key.
pub(super) fn selector_word(selector: Selector) -> &'static str {
    match selector {
        Selector::Address(Family::V4, Side::Source) => "ip saddr",
        Selector::Address(Family::V4, Side::Destination) => "ip daddr",
        Selector::Address(Family::V6, Side::Source) => "ip6 saddr",
        Selector::Address(Family::V6, Side::Destination) => "ip6 daddr",
        Selector::Protocol => "meta l4proto",
        Selector::Port(Side::Source) => "th sport",
        Selector::Port(Side::Destination) => "th dport",
        Selector::Interface(way) => way_word(way),
        Selector::OriginalDestination(Family::V4) => "ct original ip daddr",
        Selector::OriginalDestination(Family::V6) => "ct original ip6 daddr",
    }
}

fn value_word(selector: Selector, value: &Value) -> String {
    let number = |number: u128| match selector {
        Selector::Address(Family::V4, _) | Selector::OriginalDestination(Family::V4) => {
            u32::try_from(number).map_or_else(|_| number.to_string(), |bits| Ipv4Addr::from_bits(bits).to_string())
        }
        Selector::Address(Family::V6, _) | Selector::OriginalDestination(Family::V6) => {
            Ipv6Addr::from_bits(number).to_string()
        }
        _ => number.to_string(),
    };
    match value {
        Value::Numbers(first, last) if first == last => number(*first),
        Value::Numbers(first, last) => format!("{}-{}", number(*first), number(*last)),
        Value::Interface(pattern) => format!("\"{pattern}\""),
    }
}
