//! Why a packet met what it met, in words, with the token of the spec that says so.

use super::{Journey, Step, matches};
use crate::net::Interfaces;
use crate::policy::{Addresses, Policy, TranslationKind};
use crate::ruleset::{Action, Hook, Leg, Match, Origin, Payload, Rule, Ruleset};
use crate::source::Place;
use crate::spec::{Fate, Tracking};

/// What decided, and where the spec says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// A word for programs: `entry`, `nat`, `block`, `policy`, `beside` (an entry that almost accepts it), `untouched`
    /// (no chain of fwc's), `nothing`, `conntrack`, or the name of a built-in rule.
    pub kind: &'static str,
    /// The entry (`services.web`), the nat item (`nat[2] dnat`, counted from 1) or the key (`policy.input`).
    pub name: Option<String>,
    /// Of an entry: which of its directions the packet is.
    pub leg: Option<Leg>,
    /// A clause that tells it: lower case, without a full stop.
    pub words: String,
    /// The token. `None`: a built-in rule, or a default that was not written.
    pub place: Option<Place>,
}

impl Cause {
    fn new(kind: &'static str, words: impl Into<String>) -> Self {
        Cause { kind, name: None, leg: None, words: words.into(), place: None }
    }

    fn named(self, name: impl Into<String>, place: Option<Place>) -> Self {
        Cause { name: Some(name.into()), place, ..self }
    }
}

/// Why a journey ended as it did.
#[must_use]
pub fn of_fate(policy: &Policy, ruleset: &Ruleset, journey: &Journey<'_>) -> Cause {
    match journey.decision() {
        Some(step) => beside(ruleset, step, journey).unwrap_or_else(|| of_step(policy, ruleset, step)),
        None => Cause::new("untouched", "the spec has no `policy.forward`, so what is routed is not filtered"),
    }
}

/// The entry that would accept a packet but for one of its restrictions, where the policy dropped it.
fn beside(ruleset: &Ruleset, step: &Step<'_>, journey: &Journey<'_>) -> Option<Cause> {
    if step.decided_by.is_some() || step.fate == Fate::Accept {
        return None;
    }
    let chain = ruleset.chains.iter().find(|chain| chain.hook == step.hook)?;
    let holds = |m: &Match| matches(ruleset, step.hook, m, &journey.arrived, journey.tracking);
    chain.rules.iter().find_map(|rule| {
        let Origin::Entry(id, Leg::Request, place) = rule.origin else { return None };
        let (_, missed) = without_restrictions(&rule.matching).into_iter().find(|(matching, _)| holds(matching))?;
        let owner = ruleset.owners.get(id.0 as usize)?;
        let name = format!("{}.{}", owner.section, owner.name);
        Some(Cause::new("beside", format!("`{name}` does not accept it, because {missed}")).named(name, Some(place)))
    })
}

/// A match without what an entry restricts it by, and what is missed if only this holds.
fn without_restrictions(matching: &Match) -> [(Match, &'static str); 4] {
    let anyone = Match { source: Addresses::Any, ..matching.clone() };
    let anywhere = |matching: &Match| Match { interfaces: Interfaces::default(), ..matching.clone() };
    let mut any_port = matching.clone();
    if let Payload::Ports { source, .. } = &mut any_port.payload {
        *source = None;
    }
    let neither = anywhere(&anyone);
    [
        (anyone, "its source is not in `from`"),
        (anywhere(matching), "it comes in by another interface"),
        (any_port, "its source port is not in `local_ports`"),
        (neither, "its source is not in `from`, and it comes in by another interface"),
    ]
}

/// Why a journey's packet is tracked or not.
#[must_use]
pub fn of_tracking(policy: &Policy, ruleset: &Ruleset, journey: &Journey<'_>) -> Cause {
    match journey.untracked_by() {
        Some(rule) => of_rule(policy, ruleset, rule),
        None if journey.tracking == Tracking::Untracked && ruleset.tracks => {
            Cause::new("conntrack", "conntrack never follows neighbour discovery and multicast listener messages")
        }
        None if journey.tracking == Tracking::Untracked => {
            Cause::new("nothing", "nothing in the spec needs tracking, so nothing is tracked")
        }
        None if journey.steps.iter().any(|step| step.hook == Hook::RawPrerouting && step.fate == Fate::Drop) => {
            Cause::new("nothing", "it is dropped before a rule could untrack it")
        }
        None => Cause::new("nothing", "no stateless entry is about it"),
    }
}

/// Why a step ended as it did.
#[must_use]
pub fn of_step(policy: &Policy, ruleset: &Ruleset, step: &Step<'_>) -> Cause {
    if let Some(rule) = step.decided_by {
        return of_rule(policy, ruleset, rule);
    }
    let (key, place) = match step.hook {
        Hook::Input => ("policy.input", policy.written.input),
        Hook::Output => ("policy.output", policy.written.output),
        Hook::Forward => ("policy.forward", policy.written.forward),
        Hook::NatPrerouting | Hook::NatPostrouting if step.translation.is_some() => {
            return Cause::new("conntrack", "conntrack undoes the translation for the answer");
        }
        Hook::RawPrerouting | Hook::RawOutput | Hook::NatPrerouting | Hook::NatPostrouting => {
            return Cause::new("nothing", "no rule is about it");
        }
    };
    let (rules, fate) = if step.fate == Fate::Accept { ("decides", "accept") } else { ("accepts it", "drop") };
    let default = if place.is_none() { ", the default" } else { "" };
    Cause::new("policy", format!("no rule {rules}, and `{key}` is {fate}{default}")).named(key, place)
}

/// Why a rule is there.
#[must_use]
pub fn of_rule(policy: &Policy, ruleset: &Ruleset, rule: &Rule) -> Cause {
    match rule.origin {
        Origin::Loopback if rule.action == Action::Notrack => {
            Cause::new("loopback", "what the host sends to itself is not tracked once anything is stateless")
        }
        Origin::Loopback => Cause::new("loopback", "what the host sends to itself is always accepted"),
        Origin::IcmpError => Cause::new("icmp_error", "ICMP errors are always accepted"),
        Origin::NeighbourDiscovery => Cause::new("neighbour_discovery", "neighbour discovery is always accepted"),
        Origin::MulticastListener => {
            Cause::new("multicast_listener", "multicast listener messages are always accepted")
        }
        Origin::Dhcp => Cause::new("dhcp", "DHCP is always accepted"),
        Origin::Established => Cause::new("established", "packets of known connections are accepted"),
        Origin::Ping => Cause::new("ping", "`icmp.ping` is true").named("icmp.ping", policy.written.ping),
        Origin::Block => Cause::new("block", "its source is in `block`").named("block", policy.written.block),
        Origin::Entry(id, leg, place) => {
            let owner = ruleset.owners.get(id.0 as usize);
            let name = owner.map_or(String::new(), |owner| format!("{}.{}", owner.section, owner.name));
            let direction = if leg == Leg::Request { "a request" } else { "a reply" };
            let words = format!("it is {direction} of `{name}`");
            Cause { leg: Some(leg), ..Cause::new("entry", words).named(name, Some(place)) }
        }
        Origin::Nat(index, place) => {
            let kind = policy.nat.get(index as usize).map_or("nat", |item| match item.kind {
                TranslationKind::Masquerade { .. } => "masquerade",
                TranslationKind::Snat { .. } => "snat",
                TranslationKind::Dnat { .. } => "dnat",
                TranslationKind::Redirect { .. } => "redirect",
            });
            let number = index.saturating_add(1);
            let does = if rule.action == Action::Accept { "admits what it translates" } else { "is about it" };
            let words = format!("item {number} of `nat`, a {kind}, {does}");
            Cause::new("nat", words).named(format!("nat[{number}] {kind}"), Some(place))
        }
    }
}
