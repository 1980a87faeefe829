//! FWC709, FWC710 and FWC720: single rules.

use std::collections::BTreeMap;

use super::accepted::says_untracked;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{dead_rule, exact_flags, not_understood};
use crate::dump::{Condition, Dump, Effect, Rule, Test, Verdict};
use crate::import::leaf::{Known, Leaf};
use crate::import::words;
use crate::net::Family;
use crate::proof::bdd::Result;
use crate::proof::condition::Moment;
use crate::source::Place;

pub(super) fn find(known: &Known<'_>) -> Result<Vec<Diagnostic>> {
    let mut by_rule: BTreeMap<*const Rule, Vec<&Leaf<'_>>> = BTreeMap::new();
    for leaf in &known.leaves {
        by_rule.entry(std::ptr::from_ref(leaf.rule)).or_default().push(leaf);
    }
    let mut found = Vec::new();
    for leaves in by_rule.values() {
        let Some(first) = leaves.first() else { continue };
        // The model of conntrack does not have what is never tracked, as neighbour discovery is.
        let untracked = leaves.iter().any(|leaf| leaf.family == Family::V6 && leaf.guard.iter().any(says_untracked));
        if leaves.iter().all(|leaf| leaf.packets.is_empty()) && does_something(first.rule) && !untracked {
            found.push(dead(known, leaves, first)?);
        }
        if first.rule.conditions.iter().any(is_exact) {
            found.push(exact_flags::report(first.rule.place));
        }
    }
    Ok(found)
}

/// A rule that only counts or logs harms nobody where it is not met.
fn does_something(rule: &Rule) -> bool {
    !matches!(rule.verdict, Verdict::Continue) || rule.effects.contains(&Effect::Notrack)
}

fn dead(known: &Known<'_>, leaves: &[&Leaf<'_>], first: &Leaf<'_>) -> Result<Diagnostic> {
    let place = first.rule.place;
    for leaf in leaves {
        let unknown = leaf.guard.iter().find_map(|one| words::asks_unknown_interface(one, leaf.base.hook));
        if let Some(name) = unknown {
            return Ok(dead_rule::interface(place, &name.to_string(), words::chain_name(leaf.base.hook)));
        }
    }
    for leaf in leaves {
        let untracked = known.paths.on(leaf.path).untracked.clone();
        let moment = Moment {
            hook: leaf.base.hook,
            after_conntrack: !leaf.is_raw(),
            untracked,
            never: known.space.engine.none(),
        };
        let conditions: Vec<Condition> = leaf.guard.iter().map(|&one| one.clone()).collect();
        let wanted = known.conditions.all(&conditions, &moment)?.and(&known.space.family(leaf.family)?)?;
        if !wanted.is_empty() {
            return Ok(dead_rule::shadowed(place, before(known, leaf, &wanted)?));
        }
    }
    Ok(dead_rule::contradicted(place))
}

/// The last of the rules that take packets before a leaf could.
fn before(known: &Known<'_>, leaf: &Leaf<'_>, wanted: &crate::proof::bdd::Set) -> Result<Option<Place>> {
    let same = |other: &&Leaf<'_>| other.path == leaf.path && other.family == leaf.family;
    let earlier = known.leaves.iter().take_while(|other| !std::ptr::eq(*other, leaf));
    let mut found = None;
    for other in earlier.filter(same) {
        let decides = matches!(other.rule.verdict, Verdict::Accept | Verdict::Drop | Verdict::Reject | Verdict::Return);
        if decides && !other.packets.and(wanted)?.is_empty() {
            found = Some(other.rule.place);
        }
    }
    Ok(found)
}

/// All flags compared, ECE (64) and CWR (128) too, for packets with SYN (2).
fn is_exact(condition: &Condition) -> bool {
    match &condition.test {
        Test::TcpFlags { mask, value } => !condition.negated && mask & 0xc0 == 0xc0 && value & 0xc2 == 2,
        Test::AnyOf(all) => all.iter().any(is_exact),
        _ => false,
    }
}

/// What the reader has not understood: each question once, with all rules that ask it.
pub(super) fn not_understood(dump: &Dump) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> =
        dump.unread.iter().map(|unread| not_understood::unread(unread.place, &unread.why)).collect();
    let mut places: BTreeMap<&str, Vec<Place>> = BTreeMap::new();
    for (_, rule) in dump.rules().filter(|(_, rule)| matters(rule)) {
        let tests = rule.conditions.iter().filter_map(|condition| opaque(&condition.test));
        let effects = rule.effects.iter().filter_map(|effect| match effect {
            Effect::Other(text) => Some(text.as_str()),
            _ => None,
        });
        let verdict = match &rule.verdict {
            Verdict::Unknown(text) => Some(text.as_str()),
            _ => None,
        };
        for text in tests.chain(effects).chain(verdict) {
            places.entry(text).or_default().push(rule.place);
        }
    }
    found.extend(places.iter().map(|(text, places)| not_understood::part(text, places)));
    found
}

/// Whether a rule changes a packet's way, or what is known of it.
fn matters(rule: &Rule) -> bool {
    let harmless = |effect: &Effect| matches!(effect, Effect::Harmless(_));
    rule.verdict != Verdict::Continue || !rule.effects.iter().all(harmless)
}

fn opaque(test: &Test) -> Option<&str> {
    match test {
        Test::Opaque { text, .. } => Some(text),
        Test::AnyOf(all) => all.iter().find_map(|condition| opaque(&condition.test)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(test: Test) -> Vec<&'static str> {
        let spec = "services:\n  web: {listen: \"*:80\"}\n";
        let outcome = crate::compile::check_text("spec.yaml", spec, std::path::Path::new(""));
        let compiled = outcome.compiled.unwrap();
        let mut dump = crate::dump::of_ruleset(compiled.ruleset(), compiled.whole);
        let rules = dump.chains.iter_mut().flat_map(|chain| &mut chain.rules);
        for rule in rules.filter(|rule| rule.conditions.iter().any(|one| matches!(one.test, Test::Port(..)))) {
            rule.conditions.push(Condition::is(test.clone()));
        }
        let mut codes: Vec<_> = super::super::lint(&dump).unwrap().iter().map(|found| found.finding.code).collect();
        codes.dedup();
        codes
    }

    #[test]
    fn exact_flags_are_found_and_masks_are_not() {
        let exact = codes(Test::TcpFlags { mask: 0xff, value: 2 });
        assert!(exact.contains(&"FWC710"), "{exact:?}");
        let mask = codes(Test::TcpFlags { mask: 0x17, value: 2 });
        assert!(!mask.contains(&"FWC710"), "{mask:?}");
    }
}
