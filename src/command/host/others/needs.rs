//! Rules of others that do their work only on flows that conntrack follows: helpers, limits of connections, marks, synproxy, flowtables.

use super::legs::Promised;
use super::words::{self, Where};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::others_track;
use crate::dump::live::Ruleset;
use crate::dump::{Chain, Condition, Dump, Effect, Rule, Test, Verdict};
use crate::policy::title;
use crate::proof::TooLarge;
use crate::proof::bdd::{Result, Set};
use crate::proof::condition::{Conditions, Moment};
use crate::proof::space::Space;
use crate::proof::way::Path;
use crate::source::Sources;

/// What a rule needs conntrack for, with what becomes of untracked flows.
fn need(rule: &Rule) -> Option<(&'static str, &'static str)> {
    let effects = rule.effects.iter().find_map(|effect| match effect {
        Effect::Other(text) if text.contains("helper") => Some(HELPER),
        Effect::Other(text) if text == "flow_offload" || text.contains("FLOWOFFLOAD") => Some(FLOWTABLE),
        Effect::Mark(text) if text.starts_with("ct mark") || text.contains("CONNMARK") => Some(MARK),
        _ => None,
    });
    let asked = rule.conditions.iter().find_map(|condition| match &condition.test {
        Test::Opaque { text, .. } if text.contains("connlimit") => Some(COUNT),
        Test::Opaque { text, .. } if text.contains("ct key 3 ") || text.contains("connmark") => Some(MARK),
        Test::Opaque { text, .. } if text.contains("connbytes") || text.contains("ct key 15 ") => Some(BYTES),
        _ => None,
    });
    let ends = match &rule.verdict {
        Verdict::Unknown(text) if text.to_ascii_lowercase().contains("synproxy") => Some(SYNPROXY),
        _ => None,
    };
    effects.or(asked).or(ends)
}

const HELPER: (&str, &str) =
    ("gives flows a helper of conntrack", "it sees none of them, so their related connections are not known");
const COUNT: (&str, &str) = ("counts connections", "they are not counted, so the limit is never reached");
const MARK: (&str, &str) = ("sets or asks for the mark of a connection", "they have none");
const BYTES: (&str, &str) = ("asks how much a connection has carried", "nobody counts it");
const SYNPROXY: (&str, &str) = ("answers in the server's place (synproxy)", "it cannot hand them over to the server");
const FLOWTABLE: (&str, &str) = ("takes flows into a flowtable", "they stay on the slow path");

/// Whether a ruleset has such rules.
pub(super) fn any(dump: &Dump) -> bool {
    dump.rules().any(|(_, rule)| need(rule).is_some())
}

/// What is found in a ruleset: one finding for each rule that a stateless entry's packets may come to.
pub(super) fn find(
    space: &Space,
    promised: &[Promised<'_>],
    ruleset: &Ruleset,
    sources: &Sources,
) -> Result<Vec<Diagnostic>> {
    if !any(&ruleset.dump) {
        return Ok(Vec::new());
    }
    let mut search = Search {
        promised,
        ruleset,
        sources,
        conditions: Conditions::new(space, false),
        visits: 0,
        told: Vec::new(),
        found: Vec::new(),
    };
    for chain in &ruleset.dump.chains {
        let Some(base) = chain.base else { continue };
        for path in Path::ALL.into_iter().filter(|path| path.hooks().contains(&base.hook)) {
            let here = promised.iter().filter(|one| one.path == path && one.is_stateless());
            let mut reach = space.engine.any(here.map(|one| one.packets.clone()).collect())?;
            if let Some(family) = chain.family {
                reach = reach.and(&space.family(family)?)?;
            }
            let none = space.engine.none();
            let moment = Moment { hook: base.hook, after_conntrack: true, untracked: none.clone(), never: none };
            search.chain(chain, path, &reach, &moment, 0)?;
        }
    }
    Ok(search.found)
}

struct Search<'a> {
    promised: &'a [Promised<'a>],
    ruleset: &'a Ruleset,
    sources: &'a Sources,
    conditions: Conditions<'a>,
    /// Chains that have been gone through.
    visits: usize,
    told: Vec<*const Rule>,
    found: Vec<Diagnostic>,
}

/// As deep as the kernel jumps.
const DEPTH: usize = 64;
/// So many chains are gone through: chains that jump to each other again and again take more than anybody has time for.
const VISITS: usize = 200_000;

impl<'a> Search<'a> {
    /// Follows the jumps. What an earlier rule decides about is not taken away: one rule too many may be named, none is missed.
    fn chain(&mut self, chain: &'a Chain, path: Path, reach: &Set, moment: &Moment, depth: usize) -> Result<()> {
        self.visits += 1;
        if self.visits > VISITS {
            return Err(TooLarge);
        }
        for rule in &chain.rules {
            let asked: Vec<Condition> = rule.conditions.iter().filter(|one| says_something(one)).cloned().collect();
            let met = self.conditions.all(&asked, moment)?.and(reach)?;
            if met.is_empty() {
                continue;
            }
            if need(rule).is_some() && !self.told.contains(&std::ptr::from_ref(rule)) {
                self.told.push(rule);
                self.tell(chain, rule, path, &met)?;
            }
            if let Verdict::Jump(to) | Verdict::Goto(to) = &rule.verdict
                && let Some(next) = self.ruleset.dump.chain(*to)
                && depth < DEPTH
            {
                self.chain(next, path, &met, moment, depth + 1)?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, chain: &Chain, rule: &Rule, path: Path, met: &Set) -> Result<()> {
        let Some((does, becomes)) = need(rule) else { return Ok(()) };
        let mut names: Vec<String> = Vec::new();
        let mut at = None;
        for one in self.promised.iter().filter(|one| one.path == path && one.is_stateless()) {
            let name = title(one.entry);
            if !names.contains(&name) && !one.packets.and(met)?.is_empty() {
                names.push(name);
                at = at.or(Some(one.server.place));
            }
        }
        if let (Some((first, others)), Some(at)) = (names.split_first(), at) {
            let place = Where::of(chain, self.ruleset.legacy).to_string();
            let line = words::shortened(self.sources.at(rule.place));
            let whose = words::whose(first, others);
            self.found.push(others_track::report(&place, &line, does, &whose, becomes, at));
        }
        Ok(())
    }
}

/// Whether the packet by itself answers a condition. What conntrack would say, and what is not understood, may be answered either way.
fn says_something(condition: &Condition) -> bool {
    !condition.test.looks_at_conntrack() && condition.test.is_understood()
}
