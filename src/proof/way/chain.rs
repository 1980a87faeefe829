//! Packets on their way through a chain.

use super::{State, Walk};
use crate::dump::{Base, Chain, ChainKind, Effect, Rule, States, Verdict};
use crate::proof::TooLarge;
use crate::proof::bdd::{Result, Set};
use crate::proof::condition::Moment;
use crate::spec::Fate;

/// Deep enough for every ruleset that the kernel takes (`NFT_JUMP_STACK_SIZE`, and the stack of xtables).
pub(crate) const DEPTH: usize = 64;
/// So many chains are gone through: chains that jump to each other again and again take more than anybody has time for.
const VISITS: usize = 200_000;

/// What a chain makes of the packets that reach it.
struct End {
    accepted: Set,
    dropped: Set,
    /// Those that it has not decided.
    left: Set,
}

impl Walk<'_> {
    /// Through a base chain: those that pass it.
    pub(super) fn base(&self, state: &mut State, chain: &Chain, base: Base, reach: &Set) -> Result<Set> {
        let end = if base.kind == ChainKind::Nat {
            self.nat(state, chain, reach)?
        } else {
            self.chain(state, chain, reach.clone(), 0)?
        };
        let passed = end.accepted;
        if base.policy == Fate::Accept { passed.or(&end.left) } else { Ok(passed) }
    }

    /// Only the first packet of a tracked flow comes into a NAT chain.
    fn nat(&self, state: &mut State, chain: &Chain, reach: &Set) -> Result<End> {
        let others = reach.and(&self.passes_nat_by(&state.moment)?)?;
        // What would become of untracked packets if they were not.
        let untracked = reach.and(&state.moment.untracked)?;
        let marked = std::mem::replace(&mut state.moment.untracked, self.space.engine.none());
        let before = std::mem::take(&mut state.translations);
        self.chain(state, chain, untracked, 0)?;
        for set in std::mem::replace(&mut state.translations, before).into_values() {
            state.missed = state.missed.or(&set)?;
        }
        state.moment.untracked = marked;
        let mut end = self.chain(state, chain, reach.minus(&others)?, 0)?;
        end.accepted = end.accepted.or(&others)?;
        Ok(end)
    }

    /// The packets that come into no NAT chain.
    pub(super) fn passes_nat_by(&self, moment: &Moment) -> Result<Set> {
        let new = self.space.state(States { new: true, ..States::default() })?;
        new.not()?.or(&moment.untracked)?.or(&moment.never)
    }

    fn chain(&self, state: &mut State, chain: &Chain, mut reach: Set, depth: usize) -> Result<End> {
        state.visits += 1;
        if state.visits > VISITS {
            return Err(TooLarge);
        }
        let none = self.space.engine.none();
        let (mut accepted, mut dropped, mut returned) = (none.clone(), none.clone(), none);
        for run in chain.rules.chunk_by(alike) {
            if reach.is_empty() {
                break;
            }
            let Some(first) = run.first() else { continue };
            let met = self.met(run, first, &state.moment)?.and(&reach)?;
            if first.effects.contains(&Effect::Notrack) && !state.moment.after_conntrack {
                state.moment.untracked = state.moment.untracked.or(&met)?;
            }
            let end = self.verdict(state, &first.verdict, met, depth)?;
            let decided = |end: &End| end.accepted.or(&end.dropped);
            match &first.verdict {
                // What a chain that was gone to does not decide is at the end of this one.
                Verdict::Return | Verdict::Goto(_) => returned = returned.or(&end.left)?,
                _ => {}
            }
            reach = match first.verdict {
                Verdict::Return => reach.minus(&end.left)?,
                Verdict::Goto(_) => reach.minus(&end.left)?.minus(&decided(&end)?)?,
                _ => reach.minus(&decided(&end)?)?,
            };
            accepted = accepted.or(&end.accepted)?;
            dropped = dropped.or(&end.dropped)?;
        }
        Ok(End { accepted, dropped, left: reach.or(&returned)? })
    }

    /// The packets that one of the rules matches.
    fn met(&self, run: &[Rule], first: &Rule, moment: &Moment) -> Result<Set> {
        let key = (std::ptr::from_ref(first), moment.hook);
        if let Some(known) = self.known.borrow().get(&key) {
            return Ok(known.clone());
        }
        let met = self.conditions.any(run.iter().map(|rule| rule.conditions.as_slice()), moment)?;
        if !run.iter().flat_map(|rule| &rule.conditions).any(|condition| condition.test.depends_on_tracking()) {
            self.known.borrow_mut().insert(key, met.clone());
        }
        Ok(met)
    }

    /// What a verdict makes of the packets that meet its rule.
    fn verdict(&self, state: &mut State, verdict: &Verdict, met: Set, depth: usize) -> Result<End> {
        let none = || self.space.engine.none();
        Ok(match verdict {
            Verdict::Accept => End { accepted: met, dropped: none(), left: none() },
            Verdict::Drop | Verdict::Reject => End { accepted: none(), dropped: met, left: none() },
            Verdict::Continue | Verdict::Return => End { accepted: none(), dropped: none(), left: met },
            Verdict::Translate(translation) => {
                let key = (state.moment.hook, translation.clone());
                let known = state.translations.remove(&key).unwrap_or_else(none);
                state.translations.insert(key, known.or(&met)?);
                End { accepted: met, dropped: none(), left: none() }
            }
            // Either may come of it.
            Verdict::Unknown(text) => {
                let passes = self.space.opaque(text)?;
                End { accepted: met.and(&passes)?, dropped: met.minus(&passes)?, left: none() }
            }
            Verdict::Jump(to) | Verdict::Goto(to) => match self.dump.chain(*to) {
                Some(chain) if depth < DEPTH => self.chain(state, chain, met, depth + 1)?,
                // The kernel would not have taken it.
                _ => End { accepted: none(), dropped: none(), left: met },
            },
        })
    }
}

/// Whether two neighbouring rules do the same, so that the packets of both can be taken together.
fn alike(a: &Rule, b: &Rule) -> bool {
    let simple = |rule: &Rule| {
        matches!(
            rule.verdict,
            Verdict::Accept | Verdict::Drop | Verdict::Reject | Verdict::Continue | Verdict::Translate(_)
        )
    };
    simple(a) && a.verdict == b.verdict && a.effects == b.effects
}
