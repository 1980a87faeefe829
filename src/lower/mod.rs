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
use crate::spec::Tracking;

/// The rules of a policy, hook by hook.
#[must_use]
pub fn lower(policy: &Policy) -> Ruleset {
    let chains: Vec<Chain> = chains(policy).collect();
    let looks = |rule: &Rule| rule.matching.state != StateMatch::Any;
    let translates = |chain: &Chain| matches!(chain.hook, Hook::NatPrerouting | Hook::NatPostrouting);
    let tracks = chains.iter().any(|chain| translates(chain) || chain.rules.iter().any(looks));
    let owner = |entry: &Entry| Owner { section: entry.role.section(), name: entry.name.clone(), place: entry.place };
    Ruleset { sets: Arc::clone(&policy.sets), owners: policy.entries.iter().map(owner).collect(), chains, tracks }
}

/// The chains alone, each made when it is asked for: who needs one after the other need not have the rules of all in memory.
pub fn chains(policy: &Policy) -> impl Iterator<Item = Chain> {
    let hooks: [fn(&Policy) -> Option<Chain>; 7] = [
        raw::prerouting,
        raw::output,
        nat::prerouting,
        |policy| Some(filter::input(policy)),
        filter::forward,
        |policy| Some(filter::output(policy)),
        nat::postrouting,
    ];
    hooks.into_iter().filter_map(|hook| hook(policy))
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

/// More rules than a hook has of what every host needs.
const OF_THE_HOST: usize = 32;

/// Room for the rules of a hook: one for each endpoint, as nearly every spec has it. A list that grows is copied, and takes twice as much for a moment.
fn room(policy: &Policy) -> Vec<Rule> {
    let endpoints: usize = policy.entries.iter().map(|entry| entry.servers.len()).sum();
    Vec::with_capacity(endpoints + OF_THE_HOST)
}

fn rule(matching: Match, action: Action, origin: Origin) -> Rule {
    Rule { matching, action, origin }
}
