//! From meaning to rules: a [`Policy`] becomes a [`Ruleset`]. Lowering cannot fail.
//!
//! One file a table: `raw` decides what is tracked, `filter` what is accepted, `nat` what is translated; `entry` has the matches of an
//! entry's two legs, which raw and filter share, and `host` what every host needs.

mod entry;
mod filter;
mod host;
mod nat;
mod raw;

use std::sync::Arc;

use crate::policy::{Entry, EntryId, Policy};
use crate::ruleset::{Action, Chain, Hook, Match, Origin, Owner, Rule, Ruleset, StateMatch};
use crate::spec::{Fate, Tracking};
use crate::threads;

/// The rules of fewer entries are made before a thread for each hook would have begun.
const WORTH_THREADS: usize = 2_000;

/// The rules of a policy, hook by hook.
#[must_use]
pub fn lower(policy: &Policy) -> Ruleset {
    let chain = |(hook, fate): (Hook, Fate)| {
        let mut chain = Chain { hook, policy: fate, rules: Vec::new() };
        rules(policy, hook, &mut chain.rules);
        (hook.has_policy() || !chain.rules.is_empty()).then_some(chain)
    };
    let hooks: Vec<(Hook, Fate)> = hooks(policy).collect();
    let chains = threads::each_if(policy.entries.len() >= WORTH_THREADS, &hooks, chain);
    let chains: Vec<Chain> = chains.into_iter().flatten().collect();
    let looks = |rule: &Rule| rule.matching.state != StateMatch::Any;
    let translates = |chain: &Chain| matches!(chain.hook, Hook::NatPrerouting | Hook::NatPostrouting);
    let tracks = chains.iter().any(|chain| translates(chain) || chain.rules.iter().any(looks));
    let owner = |entry: &Entry| Owner { section: entry.role.section(), name: entry.name.clone(), place: entry.place };
    Ruleset { sets: Arc::clone(&policy.sets), owners: policy.entries.iter().map(owner).collect(), chains, tracks }
}

/// The hooks that a policy may have rules for, with what happens where none decides. Not touched are those that have none, unless they have a policy.
pub fn hooks(policy: &Policy) -> impl Iterator<Item = (Hook, Fate)> {
    let hooks = [
        (Hook::RawPrerouting, Some(Fate::Accept)),
        (Hook::RawOutput, Some(Fate::Accept)),
        (Hook::NatPrerouting, Some(Fate::Accept)),
        (Hook::Input, Some(policy.input)),
        (Hook::Forward, policy.forward),
        (Hook::Output, Some(policy.output)),
        (Hook::NatPostrouting, Some(Fate::Accept)),
    ];
    hooks.into_iter().filter_map(|(hook, fate)| fate.map(|fate| (hook, fate)))
}

/// The rules of one hook, in order. Whoever takes them need not keep them.
pub fn rules(policy: &Policy, hook: Hook, rules: &mut impl Extend<Rule>) {
    match hook {
        Hook::RawPrerouting => raw::prerouting(policy, rules),
        Hook::RawOutput => raw::output(policy, rules),
        Hook::NatPrerouting => nat::prerouting(policy, rules),
        Hook::Input => filter::input(policy, rules),
        Hook::Forward => filter::forward(policy, rules),
        Hook::Output => filter::output(policy, rules),
        Hook::NatPostrouting => nat::postrouting(policy, rules),
    }
}

/// The entries with this tracking, with their ids.
fn entries(policy: &Policy, tracking: Tracking) -> impl Iterator<Item = (EntryId, &Entry)> {
    policy
        .entries
        .iter()
        .zip(0..)
        .filter(move |(entry, _)| entry.tracking == tracking)
        .map(|(entry, index)| (EntryId(index), entry))
}

fn rule(matching: Match, action: Action, origin: Origin) -> Rule {
    Rule { matching, action, origin }
}
