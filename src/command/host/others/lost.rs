//! Chains of others that drop what the spec accepts.

use super::legs::{Promised, families};
use super::words::{self, Where};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{others_drop, others_may_drop};
use crate::dump::live::Ruleset;
use crate::dump::{Base, Chain, Dump, States, Test, Verdict};
use crate::net::Family;
use crate::policy::title;
use crate::proof::bdd::{Result, Set};
use crate::proof::space::Space;
use crate::proof::way::{Path, Walk};
use crate::proof::witness::witness;
use crate::source::Sources;
use crate::spec::Fate;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Packets of a stateless flow are dropped for being untracked.
    Untracked,
    /// Every packet of a stateless entry's leg is dropped, tracked or not.
    Stateless,
    /// Every packet of a tracked entry's leg is dropped.
    Tracked,
    /// Some packets of a stateless entry's leg are dropped, tracked or not.
    Some,
    /// Some packets of a stateless entry's leg may be dropped for being untracked: it hangs on what is not understood.
    Maybe,
}

/// What one chain does to one leg.
struct Loss<'p, 'a> {
    kind: Kind,
    promised: &'p Promised<'a>,
    family: Family,
    packets: Set,
}

/// An entry, by its key's token.
type EntryPlace = crate::source::Place;

impl Loss<'_, '_> {
    fn entry(&self) -> EntryPlace {
        self.promised.entry.place
    }
}

/// Whether anything in a ruleset drops packets, or does with them what nobody knows.
pub(super) fn may_drop(dump: &Dump) -> bool {
    let ends = |verdict: &Verdict| matches!(verdict, Verdict::Drop | Verdict::Reject | Verdict::Unknown(_));
    dump.chains.iter().any(|chain| chain.base.is_some_and(|base| base.policy == Fate::Drop))
        || dump.rules().any(|(_, rule)| ends(&rule.verdict))
}

/// What is found in a ruleset: one finding for each chain and kind.
pub(super) fn find(
    space: &Space,
    promised: &[Promised<'_>],
    ruleset: &Ruleset,
    sources: &Sources,
) -> Result<Vec<Diagnostic>> {
    if !may_drop(&ruleset.dump) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for path in Path::ALL {
        let here: Vec<&Promised<'_>> = promised.iter().filter(|one| one.path == path).collect();
        let marked = here.iter().filter(|one| one.is_stateless()).map(|one| one.packets.clone()).collect();
        let beside = Beside {
            now: Walk::beside(space, &ruleset.dump, space.engine.any(marked)?),
            then: Walk::new(space, &ruleset.dump, false),
            all: space.engine.any(here.iter().map(|one| one.packets.clone()).collect())?,
            space,
            path,
        };
        for chain in &ruleset.dump.chains {
            let Some(base) = chain.base.filter(|base| path.hooks().contains(&base.hook)) else { continue };
            let mut losses = beside.losses((chain, base), &here, &ruleset.dump.families)?;
            losses.sort_by_key(|loss| loss.kind);
            for group in losses.chunk_by(|a, b| a.kind == b.kind) {
                found.extend(beside.told((chain, base), group, ruleset, sources)?);
            }
        }
    }
    Ok(found)
}

/// The packets of one path beside the rules of others.
struct Beside<'a> {
    space: &'a Space,
    path: Path,
    /// With the stateless entries' packets marked.
    now: Walk<'a>,
    /// As if they were tracked.
    then: Walk<'a>,
    /// Everything that is promised.
    all: Set,
}

impl<'a> Beside<'a> {
    fn losses<'p, 'e>(
        &self,
        chain: (&Chain, Base),
        promised: &[&'p Promised<'e>],
        families_of: &[Family],
    ) -> Result<Vec<Loss<'p, 'e>>> {
        let mut found = Vec::new();
        for &family in families_of {
            if chain.0.family.is_some_and(|only| only != family) {
                continue;
            }
            let dropped = self.now.dropped(chain, self.path, family)?.and(&self.all)?;
            if dropped.is_empty() {
                continue;
            }
            let then = self.then.dropped(chain, self.path, family)?;
            let fates = Fates {
                new: self.space.state(States { new: true, ..States::default() })?,
                lost: self.space.surely(&dropped)?,
                may_be_lost: dropped,
                lost_then: self.space.surely(&then)?,
                passing_then: self.space.surely(&then.not()?)?,
            };
            for &one in promised {
                let parts = families(self.space, &one.packets)?;
                let Some((_, packets)) = parts.iter().find(|(known, _)| *known == family) else { continue };
                if let Some((kind, packets)) = fates.of(one, packets)? {
                    found.push(Loss { kind, promised: one, family, packets });
                }
            }
        }
        // A flow that cannot begin loses no replies.
        let shut: Vec<EntryPlace> = found.iter().filter(|loss| loss.kind == Kind::Stateless).map(Loss::entry).collect();
        found.retain(|loss| loss.kind != Kind::Untracked || !shut.contains(&loss.entry()));
        Ok(found)
    }

    /// One finding for what one chain does in one way.
    fn told(
        &self,
        (chain, base): (&'a Chain, Base),
        losses: &[Loss<'_, '_>],
        ruleset: &'a Ruleset,
        sources: &Sources,
    ) -> Result<Option<Diagnostic>> {
        let Some(first) = losses.first() else { return Ok(None) };
        let Some(example) = witness(self.space, &first.packets, self.path)? else { return Ok(None) };
        let place = Where::of(chain, ruleset.legacy);
        let entry = title(first.promised.entry);
        let mut others: Vec<String> =
            losses.iter().map(|loss| title(loss.promised.entry)).filter(|other| *other != entry).collect();
        others.dedup();
        let whose = words::whose(&entry, &others);
        let at = first.promised.server.place;
        if first.kind == Kind::Maybe {
            let questions = questions(&ruleset.dump, chain);
            return Ok(Some(others_may_drop::unclear(&place.to_string(), &whose, &questions, at)));
        }
        let decision = self.now.decision((chain, base), self.path, first.family, &example.member)?;
        let by = match decision.rule {
            Some(rule) => format!("its rule `{}`", words::shortened(sources.at(rule.place))),
            None => "its policy is drop".to_string(),
        };
        let packet = example.packet.as_str();
        let cure = place.cure(first.promised, first.family);
        let place = place.to_string();
        Ok(Some(match first.kind {
            Kind::Untracked => others_drop::untracked(&place, &whose, &by, packet, &cure, at),
            Kind::Stateless => others_drop::all(&place, &whose, &by, packet, &cure, at),
            Kind::Tracked => others_may_drop::tracked(&place, &whose, &by, packet, &cure, at),
            Kind::Some | Kind::Maybe => others_may_drop::some(&place, &whose, &by, packet, at),
        }))
    }
}

/// What a chain does to the packets of one family, now and as if they were tracked.
struct Fates {
    /// Those that open a flow.
    new: Set,
    /// Dropped, whatever the answers to what is not understood.
    lost: Set,
    /// Dropped for some answers.
    may_be_lost: Set,
    /// If it were tracked: dropped.
    lost_then: Set,
    /// If it were tracked: passing.
    passing_then: Set,
}

impl Fates {
    /// What becomes of the packets of a leg.
    ///
    /// What may be dropped, tracked or not, is not told: rate limits and marks would do so without fwc.
    fn of(&self, one: &Promised<'_>, packets: &Set) -> Result<Option<(Kind, Set)>> {
        let lost = packets.and(&self.lost)?;
        let all = packets.minus(&lost)?.is_empty();
        if !one.is_stateless() {
            return Ok(all.then_some((Kind::Tracked, lost)));
        }
        // Where no flow could be opened, tracking its later packets would not help.
        let openers = packets.and(&self.new)?;
        let shut = all && !openers.is_empty() && openers.minus(&self.lost_then)?.is_empty();
        let broken = lost.minus(&self.lost_then)?;
        if !broken.is_empty() && !shut {
            return Ok(Some((Kind::Untracked, broken)));
        }
        if !lost.is_empty() {
            return Ok(Some((if all { Kind::Stateless } else { Kind::Some }, lost)));
        }
        let maybe = packets.and(&self.may_be_lost)?.and(&self.passing_then)?;
        Ok((!maybe.is_empty()).then_some((Kind::Maybe, maybe)))
    }
}

/// What the rules below a chain ask that is not understood.
fn questions(dump: &Dump, chain: &Chain) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut seen: Vec<*const Chain> = Vec::new();
    let mut open = vec![chain];
    while let Some(chain) = open.pop() {
        if seen.contains(&std::ptr::from_ref(chain)) {
            continue;
        }
        seen.push(chain);
        for rule in &chain.rules {
            let asked = rule.conditions.iter().filter_map(|condition| match &condition.test {
                Test::Opaque { text, .. } => Some(plain(text)),
                _ => None,
            });
            found.extend(asked);
            match &rule.verdict {
                Verdict::Jump(to) | Verdict::Goto(to) => open.extend(dump.chain(*to)),
                Verdict::Unknown(text) => found.push(text.clone()),
                _ => {}
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Words without the bytes that stand for what no reader knows.
fn plain(text: &str) -> String {
    let words = text.split_whitespace().filter(|word| !word.starts_with("0x"));
    words.collect::<Vec<_>>().join(" ")
}
