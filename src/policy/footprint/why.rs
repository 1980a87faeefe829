//! Why a NAT rule touches no stateless flow, or where it may touch one: the verdicts of [`super::touched`] and [`super::led_into`], in words.

use super::{Footprint, LegShape, NatHook, addresses_meet, carries, legs, meets, ports_meet};
use crate::policy::model::{Entry, Policy};
use crate::spec::Tracking;

/// In what a rule and a leg have nothing in common, the plainest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    Hook,
    Family,
    Protocol,
    Source,
    Destination,
    SourcePort,
    DestinationPort,
}

impl Difference {
    const ALL: [Difference; 7] = [
        Difference::Hook,
        Difference::Family,
        Difference::Protocol,
        Difference::Source,
        Difference::Destination,
        Difference::SourcePort,
        Difference::DestinationPort,
    ];

    fn word(self) -> &'static str {
        match self {
            Difference::Hook => "hook",
            Difference::Family => "family",
            Difference::Protocol => "protocol",
            Difference::Source => "source address",
            Difference::Destination => "destination address",
            Difference::SourcePort => "source port",
            Difference::DestinationPort => "destination port",
        }
    }
}

/// What sets a rule apart from every stateless flow, in words; the rule touches none.
#[must_use]
pub fn apart(footprint: &Footprint, policy: &Policy) -> String {
    if footprint.hooks.is_empty() {
        return "it matches no packet as it stands".to_string();
    }
    let mut each: Vec<Vec<Difference>> = Vec::new();
    for entry in policy.entries.iter().filter(|entry| entry.tracking == Tracking::Untracked) {
        for server in &entry.servers {
            for (hooks, leg) in legs(entry, server) {
                each.push(differences(footprint, hooks, &leg, policy));
            }
        }
    }
    // Where it passes other hooks than one leg, the other leg tells more. The fewest words that cover every leg are the plainest.
    let mut open: Vec<Vec<Difference>> = each.into_iter().filter(|all| !all.contains(&Difference::Hook)).collect();
    let mut named: Vec<Difference> = Vec::new();
    while !open.is_empty() {
        let covers = |one: &Difference| open.iter().filter(|all| all.contains(one)).count();
        // Of several that cover as many, the plainest.
        let Some(best) = Difference::ALL.into_iter().rev().max_by_key(covers).filter(|one| covers(one) > 0) else {
            break;
        };
        open.retain(|all| !all.contains(&best));
        named.push(best);
    }
    named.sort_unstable();
    let words: Vec<&str> = named.iter().map(|one| one.word()).collect();
    match words.as_slice() {
        [] => "no stateless flow passes its hook".to_string(),
        [one] => format!("every stateless flow differs from it in {one}"),
        [first @ .., last] => format!("every stateless flow differs from it in {} or {last}", first.join(", ")),
    }
}

fn differences(footprint: &Footprint, hooks: &[NatHook], leg: &LegShape<'_>, policy: &Policy) -> Vec<Difference> {
    let protocol = footprint.protocols.as_ref().is_none_or(|all| all.contains(leg.protocol.number()));
    let met = [
        (Difference::Hook, footprint.hooks.iter().any(|hook| hooks.contains(hook))),
        (Difference::Family, !protocol || carries(footprint, leg, policy)),
        (Difference::Protocol, protocol),
        (Difference::Source, addresses_meet(footprint.source.as_ref(), leg.source, policy)),
        (Difference::Destination, addresses_meet(footprint.destination.as_ref(), leg.destination, policy)),
        (Difference::SourcePort, ports_meet(footprint.source_ports.as_ref(), leg.source_ports)),
        (Difference::DestinationPort, ports_meet(footprint.destination_ports.as_ref(), leg.destination_ports)),
    ];
    met.into_iter().filter(|(_, met)| !met).map(|(one, _)| one).collect()
}

/// Which packets of an entry the rule may meet, and where, in words. `None`: it meets none of them, so that it is its target that leads there.
#[must_use]
pub fn meeting(footprint: &Footprint, policy: &Policy, entry: &Entry) -> Option<String> {
    for server in &entry.servers {
        for ((hooks, leg), name) in legs(entry, server).iter().zip(["requests", "replies"]) {
            let hook = footprint.hooks.iter().find(|hook| hooks.contains(hook));
            if let Some(hook) = hook.filter(|_| meets(footprint, leg, policy)) {
                let place = match hook {
                    NatHook::Prerouting => "prerouting",
                    NatHook::Output => "output",
                    NatHook::Postrouting => "postrouting",
                    NatHook::Input => "input",
                };
                return Some(format!("its {name} may meet the rule in {place}"));
            }
        }
    }
    None
}
