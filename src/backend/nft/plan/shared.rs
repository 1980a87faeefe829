//! One set for two hooks, where many endpoints are untracked and accepted by the same keys.
//!
//! What a lookup costs in a large set is memory: the bucket, the element, its counter. So a raw chain looks up the set that counts in the filter
//! chain behind it, and what it has brought into the cache is there when the packet comes to the filter. It asks the other way round, because a
//! lookup that is inverted counts nothing (`nft_lookup_eval` breaks off before it comes to the element's counter; `tests/shared_sets.rs`):
//!
//! ```text
//! meta nfproto ipv4 meta l4proto udp ip daddr . meta l4proto . th dport != @service_requests_v4 accept
//! meta nfproto ipv4 udp dport != 0 notrack
//! ```
//!
//! Packets without ports break off in either rule, so they stay tracked. Both rules name the protocol, because the kernel takes the first bytes of any
//! header for ports, which would make an ICMP packet one that is not in the set. Small sets fit the caches in any case, and a rule more would cost
//! more than it saves.

use std::collections::HashMap;

use crate::backend::nft::program::{Chain, Condition, Elements, Program, Rule, Selector, Set, SetId, Side, Verdict};
use crate::net::{Family, Name, Protocol};
use crate::policy::EntryId;
use crate::ruleset::Hook;
use crate::spec::Fate;

/// Sets of at least this many elements are shared: with 1,000 it costs a packet as much as two sets, with 10,000 a fifth less of what rules cost.
const LARGE: usize = 512;

/// Protocols that a set may have: each takes its own rules.
const PROTOCOLS: usize = 2;

/// A rule of a raw chain whose set another hook has too.
struct Twin {
    /// Its place in the chain.
    rule: usize,
    family: Family,
    side: Side,
    /// Those of the set's keys.
    protocols: Vec<Protocol>,
    selectors: Vec<Selector>,
    counted: SetId,
}

/// Lets raw chains look up the sets of the filter chains.
pub(super) fn share(program: &mut Program) {
    let counting = counting(program);
    let (sets, names, chains) = (&program.sets, &program.names, &mut program.chains);
    for chain in chains {
        if matches!(chain.base, Some((Hook::RawPrerouting | Hook::RawOutput, Fate::Accept))) {
            let twins = twins((sets, names), &counting, chain);
            invert(chain, twins);
        }
    }
}

/// The large sets that count, by the fields that are looked up in them.
fn counting(program: &Program) -> HashMap<Vec<Selector>, Vec<SetId>> {
    let mut all: HashMap<Vec<Selector>, Vec<SetId>> = HashMap::new();
    for condition in program.chains.iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.conditions) {
        if let Condition::In(selectors, id) = condition
            && program.sets.get(id.0).is_some_and(|set| set.counted && is_large(set))
        {
            all.entry(selectors.clone()).or_default().push(*id);
        }
    }
    all
}

fn is_large(set: &Set) -> bool {
    !set.interval && set.elements.len() >= LARGE
}

/// At most one rule a family, all about the same side's ports of the same protocols: what is not in its set is not asked any more.
fn twins((sets, names): (&[Set], &[Name]), counting: &HashMap<Vec<Selector>, Vec<SetId>>, chain: &Chain) -> Vec<Twin> {
    // The rules from here on may be taken in any order.
    let free = chain.rules.iter().rposition(|rule| rule.verdict != Verdict::Notrack).map_or(0, |last| last + 1);
    let mut twins: Vec<Twin> = Vec::new();
    for (rule, candidate) in chain.rules.iter().enumerate().skip(free) {
        let [Condition::In(selectors, own)] = candidate.conditions.as_slice() else { continue };
        let Some(own) = sets.get(own.0).filter(|set| is_large(set)) else { continue };
        let Some(family) = selectors.iter().find_map(|selector| selector.family()) else { continue };
        let Some(side) = selectors.iter().find_map(|selector| port(*selector)) else { continue };
        let name = |entry: EntryId| names.get(entry.0 as usize);
        let same = |id: &&SetId| sets.get(id.0).is_some_and(|set| set.elements.is_same(&own.elements, name));
        let Some(&counted) = counting.get(selectors).and_then(|ids| ids.iter().find(same)) else { continue };
        let protocols = protocols(own);
        let alike = |twin: &Twin| twin.family != family && twin.side == side && twin.protocols == protocols;
        if protocols.len() <= PROTOCOLS && twins.iter().all(alike) {
            twins.push(Twin { rule, family, side, protocols, selectors: selectors.clone(), counted });
        }
    }
    twins
}

/// Of a set's keys, in the order of their numbers.
fn protocols(set: &Set) -> Vec<Protocol> {
    match &set.elements {
        Elements::Keys(keys) => keys.protocols().into_iter().collect(),
        Elements::V4(_) | Elements::V6(_) => Vec::new(),
    }
}

fn port(selector: Selector) -> Option<Side> {
    match selector {
        Selector::Port(side) => Some(side),
        _ => None,
    }
}

/// Packets that are in none of the sets leave the chain before its last rules, which untrack all others.
fn invert(chain: &mut Chain, twins: Vec<Twin>) {
    let Some(first) = twins.first() else { return };
    let only = if twins.len() == 1 { Some(Condition::Family(first.family)) } else { None };
    let untrack = |protocol: &Protocol| {
        let conditions = only.iter().cloned().chain([Condition::AnyPort(*protocol, first.side)]).collect();
        rule(conditions, Verdict::Notrack, "fwc: stateless")
    };
    let last: Vec<Rule> = first.protocols.iter().map(untrack).collect();
    let mut places: Vec<usize> = twins.iter().map(|twin| twin.rule).collect();
    places.sort_unstable_by(|a, b| b.cmp(a));
    for place in places {
        chain.rules.remove(place);
    }
    for twin in twins {
        let leave = |protocol: &Protocol| {
            let lookup = Condition::NotIn(twin.selectors.clone(), twin.counted);
            // In the order in which nft asks, when it reads again what it lists of this: `ip daddr . meta l4proto . udp dport != @SET`.
            let conditions = vec![Condition::Family(twin.family), Condition::Protocol(*protocol), lookup];
            rule(conditions, Verdict::Accept, "fwc: not stateless")
        };
        chain.rules.extend(twin.protocols.iter().map(leave));
    }
    chain.rules.extend(last);
}

fn rule(conditions: Vec<Condition>, verdict: Verdict, comment: &str) -> Rule {
    Rule { conditions, counter: false, verdict, comment: Some(comment.to_string()), place: None }
}
