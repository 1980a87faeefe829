//! FWC402, FWC406 and FWC407: chains of others that drop what the spec accepts, and rules of others that need conntrack to see stateless flows.
//!
//! The others' rules are read by the readers of `dump` and led through by `proof`; nothing here knows what a rule means. Each base chain counts
//! by itself: an accept in one chain takes back no drop of another.

mod legs;
mod lost;
mod needs;
mod words;

use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::unseen_host;
use crate::dump::live::Live;
use crate::proof::bdd::{Engine, Result};
use crate::proof::space::Space;
use crate::proof::{Survey, TooLarge};

/// Nodes that the diagrams may have: an apply must not take the memory of a host that is busy.
const NODES: usize = 1 << 23;

/// Holds the rules of others against the spec. A spec in which nothing is stateless changes nothing for them: it has nothing to be told.
pub(crate) fn check(compiled: &Compiled, live: &Live) -> Vec<Diagnostic> {
    if !compiled.policy.has_stateless() {
        return Vec::new();
    }
    let mut found = parts_unread(live);
    match hold(compiled, live) {
        Ok(more) => found.extend(more),
        Err(TooLarge) => found.push(unseen_host::report("what tables of others drop", &TooLarge.to_string())),
    }
    found
}

/// Tables and hooks of which the model knows nothing.
fn parts_unread(live: &Live) -> Vec<Diagnostic> {
    let all = live.rulesets.iter().flat_map(|ruleset| &ruleset.dump.unread);
    // ARP is not what a spec speaks of.
    let matters = all.filter(|unread| !unread.why.starts_with("table arp "));
    let told = |why: &str| {
        let (what, why) = why.split_once(": ").unwrap_or(("a part of nf_tables", why));
        unseen_host::report(what, why)
    };
    matters.map(|unread| told(&unread.why)).collect()
}

fn hold(compiled: &Compiled, others: &Live) -> Result<Vec<Diagnostic>> {
    if !others.rulesets.iter().any(|ruleset| lost::may_drop(&ruleset.dump) || needs::any(&ruleset.dump)) {
        return Ok(Vec::new());
    }
    let mut survey = Survey::default();
    survey.policy(&compiled.policy);
    legs::survey(&mut survey);
    others.rulesets.iter().for_each(|ruleset| survey.dump(&ruleset.dump));
    let space = Space::with(Engine::within(NODES), &survey)?;
    let promised = legs::all(&space, &compiled.policy)?;
    let mut found = Vec::new();
    for ruleset in &others.rulesets {
        found.extend(lost::find(&space, &promised, ruleset, &others.sources)?);
        found.extend(needs::find(&space, &promised, ruleset, &others.sources)?);
    }
    Ok(found)
}
