//! From rules to a program: how the ruleset is made fast.
//!
//! Rules of entries become elements of sets, and one rule looks them up, so that the cost per packet is that of a few lookups however many
//! entries there are. All other rules are few, and stay what they are.

mod addresses;
mod classes;
mod disjoint;
mod entries;
mod keys;
mod literal;
mod names;
mod owners;
mod shared;
mod sorted;

use std::collections::HashMap;

use super::key_type::Field;
use super::program::{self, Condition, Elements, Program, Set, SetId, Verdict};
use crate::backend::Header;
use crate::lower;
use crate::net::Family;
use crate::policy::{AddressSetId, AddressSets, Policy};
use crate::ruleset::{Action, Hook, Ruleset};
use crate::spec::Fate;
use names::Names;
use owners::Owners;
use sorted::Sorted;

impl Program {
    /// The fast form of a ruleset.
    #[must_use]
    pub fn of(ruleset: &Ruleset, header: &Header<'_>) -> Program {
        let owners = ruleset.owners.iter().map(|owner| (owner.section, owner.name.clone())).collect();
        let mut planner = Planner::new(&ruleset.sets, owners);
        for chain in &ruleset.chains {
            planner.chain(chain.hook, chain.policy, |rules| rules.extend(chain.rules.iter().cloned()));
        }
        planner.finish(header)
    }

    /// The fast form of a policy's rules, without a ruleset in memory.
    #[must_use]
    pub fn of_policy(policy: &Policy, header: &Header<'_>) -> Program {
        let owners = policy.entries.iter().map(|entry| (entry.role.section(), entry.name.clone())).collect();
        let mut planner = Planner::new(&policy.sets, owners);
        for (hook, fate) in lower::hooks(policy) {
            planner.chain(hook, fate, |rules| lower::rules(policy, hook, rules));
        }
        planner.finish(header)
    }
}

/// Puts the sets in the order of a page: addresses first, then endpoints. Those that no rule looks up any more go.
fn arranged(mut program: Program) -> Program {
    let mut used = vec![false; program.sets.len()];
    for set in lookups(&mut program.chains) {
        if let Some(used) = used.get_mut(set.0) {
            *used = true;
        }
    }
    let endpoints = |set: &Set| matches!(set.elements, Elements::Keys(_));
    let mut kept: Vec<(usize, Set)> = program.sets.into_iter().enumerate().collect();
    kept.retain(|(at, _)| used.get(*at).is_some_and(|used| *used));
    kept.sort_by_key(|(_, set)| endpoints(set));
    let mut places = vec![SetId(0); used.len()];
    for (place, (at, _)) in kept.iter().enumerate() {
        if let Some(slot) = places.get_mut(*at) {
            *slot = SetId(place);
        }
    }
    for set in lookups(&mut program.chains) {
        *set = places.get(set.0).copied().unwrap_or(*set);
    }
    Program { sets: kept.into_iter().map(|(_, set)| set).collect(), ..program }
}

/// The sets that rules look up.
fn lookups(chains: &mut [program::Chain]) -> impl Iterator<Item = &mut SetId> {
    let conditions = chains.iter_mut().flat_map(|chain| &mut chain.rules).flat_map(|rule| &mut rule.conditions);
    conditions.filter_map(|condition| match condition {
        Condition::In(_, set) | Condition::NotIn(_, set) => Some(set),
        _ => None,
    })
}

/// What has been laid out so far.
struct Planner<'a> {
    policy_sets: &'a AddressSets,
    owners: Owners,
    /// Of sets.
    names: Names,
    chain_names: Names,
    sets: Vec<Set>,
    chains: Vec<program::Chain>,
    /// Address sets that stand in the program, in one part or two.
    addresses: HashMap<(AddressSetId, Family), Vec<SetId>>,
    /// Sets without counters, by key and size: two hooks may look up the same one.
    shared: HashMap<(Vec<Field>, usize), Vec<SetId>>,
}

/// The chains that one hook needs, while they are made.
struct Draft {
    hook: Hook,
    rules: Vec<program::Rule>,
    /// Chains that the rules jump to.
    regular: Vec<program::Chain>,
}

impl<'a> Planner<'a> {
    fn new(policy_sets: &'a AddressSets, owners: Owners) -> Self {
        Planner {
            policy_sets,
            owners,
            names: Names::default(),
            chain_names: Names::default(),
            sets: Vec::new(),
            chains: Vec::new(),
            addresses: HashMap::new(),
            shared: HashMap::new(),
        }
    }

    fn finish(self, header: &Header<'_>) -> Program {
        let signature = program::signature(header.version, header.spec_hash);
        let mut program = Program { signature, names: self.owners.names, sets: self.sets, chains: self.chains };
        shared::share(&mut program);
        arranged(program)
    }

    /// The chain of a hook, of the rules that `fill` gives.
    fn chain(&mut self, hook: Hook, policy: Fate, fill: impl FnOnce(&mut Sorted<'_>)) {
        let mut sorted = Sorted { sets: self.policy_sets, owners: &self.owners, runs: Vec::new() };
        fill(&mut sorted);
        let runs = sorted.runs;
        if runs.is_empty() && !hook.has_policy() {
            return;
        }
        let mut draft = Draft { hook, rules: Vec::new(), regular: Vec::new() };
        for mut staged in runs.into_iter().flat_map(|run| run.stages.into_values()) {
            self.entries(&mut draft, &mut staged);
            for rule in &staged.others {
                let literal = self.literal(hook, rule);
                draft.rules.extend(literal);
            }
        }
        blocked_first(&mut draft.rules);
        if policy == Fate::Drop {
            // The kernel sets a new chain's policy a moment after it has put its rules in force (nf_tables_commit), so that the policy alone
            // would let packets through while a table is replaced.
            draft.rules.push(program::Rule {
                conditions: Vec::new(),
                counter: true,
                verdict: Verdict::Drop,
                comment: Some("fwc: dropped by policy".to_string()),
                place: None,
            });
        }
        let base =
            program::Chain { name: chain_name(hook).to_string(), base: Some((hook, policy)), rules: draft.rules };
        self.chains.extend(draft.regular);
        self.chains.push(base);
    }

    fn add(&mut self, set: Set) -> SetId {
        self.sets.push(set);
        SetId(self.sets.len() - 1)
    }
}

/// A flood of blocked sources should meet as few rules as can be: what drops packets of one family goes before what is about the other alone.
fn blocked_first(rules: &mut [program::Rule]) {
    let family = |rule: &program::Rule| rule.conditions.iter().find_map(Condition::family);
    for place in 1..rules.len() {
        let end = rules.len().min(place + 1);
        let Some([before @ .., dropping]) = rules.get_mut(..end) else { continue };
        let Some(own) = family(dropping).filter(|_| dropping.verdict == Verdict::Drop) else { continue };
        let passed = before.iter().rev().take_while(|rule| family(rule).is_some_and(|other| other != own)).count();
        if let Some(passing) = rules.get_mut(place - passed..=place) {
            passing.rotate_right(1);
        }
    }
}

fn chain_name(hook: Hook) -> &'static str {
    match hook {
        Hook::RawPrerouting => "raw_prerouting",
        Hook::RawOutput => "raw_output",
        Hook::NatPrerouting => "nat_prerouting",
        Hook::Input => "input",
        Hook::Forward => "forward",
        Hook::Output => "output",
        Hook::NatPostrouting => "nat_postrouting",
    }
}

fn verdict(action: Action) -> Verdict {
    match action {
        Action::Accept => Verdict::Accept,
        Action::Drop => Verdict::Drop,
        Action::Notrack => Verdict::Notrack,
        Action::Masquerade => Verdict::Masquerade,
        Action::Snat(to) => Verdict::Snat(to),
        Action::Dnat(to, port) => Verdict::Dnat(to, port),
        Action::Redirect(port) => Verdict::Redirect(port),
    }
}
