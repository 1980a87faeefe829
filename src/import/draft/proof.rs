//! The spec's rules against the ruleset: every packet, and the rules that decide about those of which something else becomes.

use std::collections::HashSet;

use super::atom::Left;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{cannot_say, spec_always};
use crate::dump::{Condition, Dump, Hook, Rule, Translation, Verdict};
use crate::import::leaf::{Known, Leaf};
use crate::net::Family;
use crate::proof::bdd::{Result, Set};
use crate::proof::claim::{self, Paths};
use crate::proof::space::Space;
use crate::proof::way::{Decision, Path, Walk};
use crate::proof::witness::{Witness, witness};
use crate::source::Place;
use crate::spec::State;

/// So many differences are told.
const MOST: usize = 50;

/// What came of it.
pub(super) struct Held {
    pub same: bool,
    /// Whether there are more differences than are told.
    pub more: bool,
    pub diagnostics: Vec<Diagnostic>,
}

/// In which way packets differ.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum What<'t> {
    Accepted,
    Tracking,
    Translation(Hook, &'t Translation),
}

/// Packets of which the ruleset (`file`) or else the spec does a thing, and the other does not.
struct Difference<'t> {
    what: What<'t>,
    path: Path,
    file: bool,
    packets: Set,
}

/// Holds a spec's rules against a ruleset, for the packets of its families.
pub(super) fn hold(dump: &Dump, rules: &Dump, whole: Place, left: &[Left<'_>]) -> Result<Held> {
    let space = claim::space(None, [dump, rules])?;
    let (file, spec) = (Known::of(&space, dump)?, Known::of(&space, rules)?);
    let same = claim::same(&space, &file.paths, &spec.paths, &dump.families)?.is_empty();
    let mut teller = Teller { file: &file, spec: &spec, whole, left, seen: HashSet::new(), found: Vec::new() };
    let mut more = false;
    if !same {
        for difference in differences(&space, &file.paths, &spec.paths, &dump.families)? {
            more |= teller.tell(difference)?;
        }
    }
    Ok(Held { same, more, diagnostics: teller.found })
}

fn differences<'t>(
    space: &Space,
    file: &'t Paths,
    spec: &'t Paths,
    families: &[Family],
) -> Result<Vec<Difference<'t>>> {
    let families: Result<Vec<Set>> = families.iter().map(|&family| space.family(family)).collect();
    let asked = space.engine.any(families?)?;
    let none = space.engine.none();
    let mut found = Vec::new();
    for path in Path::ALL {
        let (a, b) = (file.on(path), spec.on(path));
        let mut pairs = vec![(What::Tracking, &a.untracked, &b.untracked), (What::Accepted, &a.accepted, &b.accepted)];
        for key in a.translations.keys().chain(b.translations.keys().filter(|key| !a.translations.contains_key(key))) {
            let of = |all: &'t std::collections::BTreeMap<_, Set>| all.get(key);
            let (one, other) = (of(&a.translations).unwrap_or(&none), of(&b.translations).unwrap_or(&none));
            pairs.push((What::Translation(key.0, &key.1), one, other));
        }
        for (what, one, other) in pairs {
            for (file, packets) in [(true, one.minus(other)?), (false, other.minus(one)?)] {
                let packets = packets.and(&asked)?;
                if !packets.is_empty() {
                    found.push(Difference { what, path, file, packets });
                }
            }
        }
    }
    Ok(found)
}

struct Teller<'k, 'a> {
    file: &'k Known<'a>,
    spec: &'k Known<'a>,
    /// The place of the spec's rules that stand in every spec.
    whole: Place,
    left: &'k [Left<'k>],
    seen: HashSet<(&'static str, Place, String)>,
    found: Vec<Diagnostic>,
}

/// What decides about a packet, on one side.
struct Cause<'a> {
    place: Option<Place>,
    rule: Option<&'a Rule>,
}

impl<'a> Teller<'_, 'a> {
    /// Tells of the rules that decide about the packets, one after the other. Whether there are more than are told.
    fn tell(&mut self, mut difference: Difference<'_>) -> Result<bool> {
        let path = difference.path;
        for _ in 0..MOST {
            let Some(packet) = witness(self.file.space, &difference.packets, path)? else { return Ok(false) };
            let file = self.cause(self.file, &difference, &packet, difference.file)?;
            let spec = self.cause(self.spec, &difference, &packet, !difference.file)?;
            self.say(&difference, &packet, &file, &spec);
            let before = difference.packets.clone();
            let sides = [(self.file, file.rule), (self.spec, spec.rule.filter(|_| file.rule.is_none()))];
            for (known, rule) in sides {
                let Some(rule) = rule else { continue };
                for leaf in known.leaves.iter().filter(|leaf| leaf.path == path && std::ptr::eq(leaf.rule, rule)) {
                    difference.packets = difference.packets.minus(&leaf.packets)?;
                    if difference.packets.has(&packet.member) {
                        difference.packets = difference.packets.minus(&self.understood(known, leaf)?)?;
                    }
                }
            }
            if file.rule.is_none() && spec.rule.is_none() {
                difference.packets = difference.packets.and(&self.decided_by_rules(path)?)?;
            }
            if difference.packets == before {
                return Ok(true);
            }
        }
        Ok(!difference.packets.is_empty())
    }

    /// The packets of a path about which some rule says something, on either side: the policies decide about the others.
    fn decided_by_rules(&self, path: Path) -> Result<Set> {
        let leaves = self.file.leaves.iter().chain(&self.spec.leaves).filter(|leaf| leaf.path == path);
        let says = |leaf: &&Leaf<'_>| leaf.untracks() || !matches!(leaf.rule.verdict, Verdict::Continue);
        self.file.space.engine.any(leaves.filter(says).map(|leaf| leaf.packets.clone()).collect())
    }

    /// The packets that a rule may match, whatever the answer to what is not understood.
    fn understood(&self, known: &Known<'a>, leaf: &Leaf<'a>) -> Result<Set> {
        let marked = || known.paths.on(leaf.path).untracked.clone();
        let untracked = if leaf.is_raw() { known.space.engine.none() } else { marked() };
        let moment = Walk::new(known.space, known.dump, false).moment(leaf.base, untracked)?;
        let clear = leaf.guard.iter().filter(|one| one.test.is_understood());
        let conditions: Vec<Condition> = clear.map(|&one| one.clone()).collect();
        known.conditions.all(&conditions, &moment)
    }

    /// What decides on one side, which does the thing or does not.
    fn cause(&self, known: &Known<'a>, difference: &Difference<'_>, packet: &Witness, does: bool) -> Result<Cause<'a>> {
        let decisions =
            Walk::new(known.space, known.dump, false).decisions(difference.path, packet.family, &packet.member)?;
        let rule = match difference.what {
            What::Tracking => decisions.iter().find_map(|decision| decision.notrack).filter(|_| does),
            What::Translation(_, translation) => decisions
                .iter()
                .filter_map(|decision| decision.rule)
                .find(|rule| matches!(&rule.verdict, Verdict::Translate(one) if one == translation))
                .filter(|_| does),
            What::Accepted => {
                if decisions.iter().all(|decision| decision.passes) == does {
                    return Ok(decided(&decisions));
                }
                None
            }
        };
        let rule = match rule {
            None if does || difference.what == What::Accepted => self.unclear(known, difference, packet, does)?,
            rule => rule,
        };
        let place = rule.map(|rule| rule.place).or_else(|| decided(&decisions).place);
        Ok(Cause { place, rule })
    }

    /// The rule that decides if what is not understood is answered so.
    fn unclear(
        &self,
        known: &Known<'a>,
        difference: &Difference<'_>,
        packet: &Witness,
        does: bool,
    ) -> Result<Option<&'a Rule>> {
        for leaf in known.leaves.iter().filter(|leaf| leaf.path == difference.path && leaf.family == packet.family) {
            let verdict = &leaf.rule.verdict;
            let fits = match difference.what {
                What::Accepted if does => matches!(verdict, Verdict::Accept | Verdict::Unknown(_)),
                What::Accepted => matches!(verdict, Verdict::Drop | Verdict::Reject | Verdict::Unknown(_)),
                What::Tracking => leaf.untracks(),
                What::Translation(_, translation) => *verdict == Verdict::Translate(translation.clone()),
            };
            if fits && self.understood(known, leaf)?.has(&packet.member) {
                return Ok(Some(leaf.rule));
            }
        }
        Ok(None)
    }

    fn say(&mut self, difference: &Difference<'_>, packet: &Witness, file: &Cause<'_>, spec: &Cause<'_>) {
        let (yes, no) = match difference.what {
            What::Accepted => ("accepted", "dropped"),
            What::Tracking => ("untracked", "tracked"),
            What::Translation(..) => ("translated", "not translated"),
        };
        let (by_file, by_spec) = if difference.file { (yes, no) } else { (no, yes) };
        let told = packet.to_string();
        let why = file.rule.and_then(|rule| {
            self.left.iter().find(|(other, _)| std::ptr::eq(*other, rule)).map(|(_, why)| why.as_str())
        });
        let general = spec.rule.filter(|rule| rule.place == self.whole).and_then(|rule| rule.comment.as_deref());
        let anywhere = self.file.dump.chains.first().map(|chain| chain.place);
        let Some(place) = file.place.or(anywhere) else { return };
        let invalid = difference.what == What::Accepted && difference.file && packet.state == State::Invalid;
        let diagnostic = match general {
            Some(what) if !difference.file => spec_always::report(place, what, &told, by_file, by_spec),
            _ if invalid && why.is_none() && spec.rule.is_none() && file.rule.is_some() => {
                spec_always::invalid(place, &told)
            }
            _ => cannot_say::report(place, &told, by_file, by_spec, why),
        };
        let key = (diagnostic.finding.code, place, format!("{by_file}{}", general.unwrap_or_default()));
        if self.seen.insert(key) {
            self.found.push(diagnostic);
        }
    }
}

/// The rule that drops, or the last that accepts where the path's own filter is.
fn decided<'a>(decisions: &[Decision<'a>]) -> Cause<'a> {
    let filter = |decision: &&Decision<'a>| {
        decision.chain.base.is_some_and(|base| matches!(base.hook, Hook::Input | Hook::Forward | Hook::Output))
    };
    let last = decisions
        .iter()
        .find(|decision| !decision.passes)
        .or_else(|| decisions.iter().filter(filter).rfind(|decision| decision.rule.is_some()))
        .or_else(|| decisions.iter().rfind(filter));
    Cause {
        place: last.map(|decision| decision.rule.map_or(decision.chain.place, |rule| rule.place)),
        rule: last.and_then(|decision| decision.rule),
    }
}
