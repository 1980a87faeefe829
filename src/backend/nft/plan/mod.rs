//! From rules to a program: how the ruleset is made fast.
//!
//! Rules of entries become elements of sets, and one rule looks them up, so that the cost per packet is that of a few lookups however many
//! entries there are. All other rules are few, and stay what they are.

mod addresses;
mod disjoint;
mod entries;
mod keys;
mod literal;
mod names;
mod owners;
mod shared;

use std::collections::HashMap;

use super::program::{self, Condition, Elements, Field, Program, Set, SetId, Verdict};
use crate::backend::Header;
use crate::lower;
use crate::net::Family;
use crate::policy::{AddressSetId, AddressSets, Policy};
use crate::ruleset::{Action, Chain, Hook, Origin, Rule, Ruleset, StateMatch};
use crate::spec::Fate;
use names::Names;
use owners::Owners;

impl Program {
    /// The fast form of a ruleset.
    #[must_use]
    pub fn of(ruleset: &Ruleset, header: &Header<'_>) -> Program {
        let owners = ruleset.owners.iter().map(|owner| (owner.section, owner.name.clone())).collect();
        let mut planner = Planner::new(&ruleset.sets, owners);
        ruleset.chains.iter().for_each(|chain| planner.chain(chain));
        planner.finish(header)
    }

    /// The fast form of a policy's rules, which are in memory for one hook at a time.
    #[must_use]
    pub fn of_policy(policy: &Policy, header: &Header<'_>) -> Program {
        let owners = policy.entries.iter().map(|entry| (entry.role.section(), entry.name.clone())).collect();
        let mut planner = Planner::new(&policy.sets, owners);
        lower::chains(policy).for_each(|chain| planner.chain(&chain));
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

    fn chain(&mut self, chain: &Chain) {
        let mut draft = Draft { hook: chain.hook, rules: Vec::new(), regular: Vec::new() };
        for run in chain.rules.chunk_by(|a, b| a.action == b.action) {
            self.run(&mut draft, run);
        }
        blocked_first(&mut draft.rules);
        if chain.policy == Fate::Drop {
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
        let base = program::Chain {
            name: chain_name(chain.hook).to_string(),
            base: Some((chain.hook, chain.policy)),
            rules: draft.rules,
        };
        self.chains.extend(draft.regular);
        self.chains.push(base);
    }

    /// Rules with the same action, which may be taken in any order: what decides most packets comes first.
    fn run(&mut self, draft: &mut Draft, rules: &[Rule]) {
        let mut sorted: Vec<&Rule> = rules.iter().collect();
        sorted.sort_by_key(|rule| stage(rule));
        for group in sorted.chunk_by(|a, b| stage(a) == stage(b)) {
            let (items, others) = self.items(group);
            self.entries(draft, items);
            for rule in others {
                let literal = self.literal(draft.hook, rule);
                draft.rules.extend(literal);
            }
        }
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

/// When a rule gets its turn among others with the same action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Loopback,
    Stateless,
    Established,
    Tracked,
    Translated,
    Host,
    Fragments,
}

fn stage(rule: &Rule) -> Stage {
    use crate::ruleset::Payload;
    match rule.origin {
        Origin::Loopback => Stage::Loopback,
        Origin::Established => Stage::Established,
        Origin::Nat(..) => Stage::Translated,
        Origin::Entry(..) if matches!(rule.matching.payload, Payload::LaterFragment(_)) => Stage::Fragments,
        Origin::Entry(..) if rule.matching.state == StateMatch::Any => Stage::Stateless,
        Origin::Entry(..) => Stage::Tracked,
        Origin::IcmpError
        | Origin::NeighbourDiscovery
        | Origin::MulticastListener
        | Origin::Dhcp
        | Origin::Ping
        | Origin::Block => Stage::Host,
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
