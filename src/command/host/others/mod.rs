//! FWC402, FWC406 and FWC407: chains of others that drop what the spec accepts, and rules of others that need conntrack to see stateless flows.
//!
//! The others' rules are read by the readers of `dump` and led through by `proof`; nothing here knows what a rule means. Each base chain counts
//! by itself: an accept in one chain takes back no drop of another.

mod legs;
mod lost;
mod needs;
mod read;
mod words;

use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::unseen_host;
use crate::kernel::socket::Socket;
use crate::proof::bdd::{Engine, Result};
use crate::proof::space::Space;
use crate::proof::{Survey, TooLarge};
use read::Others;

/// Nodes that the diagrams may have: an apply must not take the memory of a host that is busy.
const NODES: usize = 1 << 23;

/// Holds the rules of others against the spec. A spec in which nothing is stateless changes nothing for them: it has nothing to be told.
pub(crate) fn check(compiled: &Compiled, socket: &mut Socket) -> Vec<Diagnostic> {
    if !compiled.policy.has_stateless() {
        return Vec::new();
    }
    let mut others = read::read(socket);
    let mut found = std::mem::take(&mut others.unseen);
    match hold(compiled, &others) {
        Ok(more) => found.extend(more),
        Err(TooLarge) => found.push(unseen_host::report("what tables of others drop", &TooLarge.to_string())),
    }
    found
}

fn hold(compiled: &Compiled, others: &Others) -> Result<Vec<Diagnostic>> {
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
