//! All packets at once on their way through a ruleset.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use super::TooLarge;
use super::bdd::{Member, Result, Set};
use super::condition::{Conditions, Moment};
use super::names::LOOPBACK;
use super::space::Space;
use crate::dump::{
    Base, Chain, ChainKind, Dump, Effect, Hook, InterfacePattern, Rule, Side, States, Translation, Verdict, Way,
};
use crate::net::{Family, RangeSet};
use crate::spec::Fate;

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// To this host.
    In,
    /// From this host.
    Out,
    /// Through this host.
    Forward,
}

impl Path {
    /// All of them.
    pub const ALL: [Path; 3] = [Path::In, Path::Out, Path::Forward];

    /// The hooks that it passes, in order.
    #[must_use]
    pub fn hooks(self) -> &'static [Hook] {
        match self {
            Path::In => &[Hook::Prerouting, Hook::Input],
            Path::Out => &[Hook::Output, Hook::Postrouting],
            Path::Forward => &[Hook::Prerouting, Hook::Forward, Hook::Postrouting],
        }
    }
}

/// Conntrack's priority in prerouting and output (`NF_IP_PRI_CONNTRACK`).
const CONNTRACK: i32 = -200;
/// Types of ICMPv6 that conntrack never follows.
const NEVER_TRACKED: [u8; 8] = [130, 131, 132, 133, 134, 135, 136, 143];
/// Deep enough for every ruleset that the kernel takes (`NFT_JUMP_STACK_SIZE`, and the stack of xtables).
const DEPTH: usize = 64;
/// So many chains are gone through: chains that jump to each other again and again take more than anybody has time for.
const VISITS: usize = 200_000;

/// What becomes of all packets on one path.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Those that are not dropped before conntrack: by a block list in raw.
    pub entered: Set,
    /// Of these, those that are marked as untracked.
    pub untracked: Set,
    /// Those that pass every hook.
    pub accepted: Set,
    /// What is translated, and how.
    pub translations: BTreeMap<(Hook, Translation), Set>,
    /// Untracked packets that a NAT rule would match if they were tracked.
    pub missed: Set,
}

/// Leads packets through one ruleset.
pub struct Walk<'a> {
    space: &'a Space,
    dump: &'a Dump,
    conditions: Conditions<'a>,
    /// The packets that rules match whatever conntrack says, by the first rule of a run and the hook.
    known: RefCell<HashMap<(*const Rule, Hook), Set>>,
}

/// Packets on their way.
struct State {
    path: Path,
    moment: Moment,
    translations: BTreeMap<(Hook, Translation), Set>,
    missed: Set,
    /// Chains that have been gone through.
    visits: usize,
}

/// What a chain makes of the packets that reach it.
struct End {
    accepted: Set,
    dropped: Set,
    /// Those that it has not decided.
    left: Set,
}

impl<'a> Walk<'a> {
    /// `mirrored` asks of every packet what the ruleset does with the one that answers it.
    #[must_use]
    pub fn new(space: &'a Space, dump: &'a Dump, mirrored: bool) -> Self {
        Walk { space, dump, conditions: Conditions::new(space, mirrored), known: RefCell::default() }
    }

    /// Packets of a family that can be on a path at all.
    pub fn domain(&self, path: Path, family: Family) -> Result<Set> {
        let lo = [InterfacePattern::exact(LOOPBACK)];
        let all = self.space.family(family)?;
        match path {
            Path::In | Path::Out => Ok(all),
            Path::Forward => {
                all.minus(&self.space.interface(Way::In, &lo)?)?.minus(&self.space.interface(Way::Out, &lo)?)
            }
        }
    }

    /// Leads the packets of both families along a path.
    pub fn path(&self, path: Path) -> Result<Outcome> {
        self.both(path, false)
    }

    /// The same, but only through raw: [`Outcome::accepted`] are those that enter.
    pub fn raw(&self, path: Path) -> Result<Outcome> {
        self.both(path, true)
    }

    fn both(&self, path: Path, only_raw: bool) -> Result<Outcome> {
        let [v4, v6] = Family::BOTH.map(|family| self.family(path, family, only_raw));
        let (v4, v6) = (v4?, v6?);
        let mut translations = v4.translations;
        for (key, set) in v6.translations {
            let joined = match translations.remove(&key) {
                Some(other) => set.or(&other)?,
                None => set,
            };
            translations.insert(key, joined);
        }
        Ok(Outcome {
            entered: v4.entered.or(&v6.entered)?,
            untracked: v4.untracked.or(&v6.untracked)?,
            accepted: v4.accepted.or(&v6.accepted)?,
            translations,
            missed: v4.missed.or(&v6.missed)?,
        })
    }

    fn family(&self, path: Path, family: Family, only_raw: bool) -> Result<Outcome> {
        let none = self.space.engine.none();
        let domain = self.domain(path, family)?;
        let moment = Moment {
            hook: Hook::Prerouting,
            after_conntrack: false,
            untracked: self.before(path, &domain)?,
            never: none.clone(),
        };
        let mut state = State { path, moment, translations: BTreeMap::new(), missed: none, visits: 0 };
        let mut reach = domain.clone();
        let mut entered = None;
        for &hook in path.hooks() {
            state.moment.hook = hook;
            for (chain, base) in self.dump.at(hook, family) {
                let early = matches!(hook, Hook::Prerouting | Hook::Output) && base.priority < CONNTRACK;
                if !early && only_raw {
                    break;
                }
                if !early && entered.is_none() {
                    entered = Some(reach.clone());
                    reach = self.translate(&mut state, reach, &domain)?;
                }
                state.moment.after_conntrack = !early;
                reach = self.base(&mut state, chain, base, &reach)?;
            }
        }
        let entered = match entered {
            Some(entered) => entered,
            None => {
                let entered = reach.clone();
                reach = self.translate(&mut state, reach, &domain)?;
                entered
            }
        };
        Ok(Outcome {
            untracked: state.moment.untracked.and(&entered)?,
            entered,
            accepted: reach,
            translations: state.translations,
            missed: state.missed,
        })
    }

    /// What is marked before the first hook: over loopback, a packet keeps the mark that it got when it was sent.
    fn before(&self, path: Path, domain: &Set) -> Result<Set> {
        if path != Path::In {
            return Ok(self.space.engine.none());
        }
        let lo = self.space.interface(Way::In, &[InterfacePattern::exact(LOOPBACK)])?;
        self.space.came_untracked()?.and(&lo)?.and(domain)
    }

    /// The packets that conntrack never follows: untracked from its turn on, whatever the rules say.
    pub fn never(&self) -> Result<Set> {
        let invalid = self.space.state(States { invalid: true, ..States::default() })?;
        let never = RangeSet::from_ranges(NEVER_TRACKED.map(|kind| (kind, kind)));
        self.space.icmp(Family::V6, &never, &RangeSet::all())?.minus(&invalid)
    }

    /// Behind raw, a packet of a translated flow has another destination than raw saw: raw says nothing about it. It is tracked.
    ///
    /// Conntrack itself never follows neighbour discovery and multicast listener messages, unless they are damaged (`nf_conntrack_icmpv6_error`).
    fn translate(&self, state: &mut State, reach: Set, domain: &Set) -> Result<Set> {
        state.moment.never = self.never()?;
        if state.path == Path::Out {
            return Ok(reach);
        }
        let translated = self.space.translated(Side::Destination)?.and(domain)?;
        state.moment.untracked = state.moment.untracked.minus(&translated)?;
        reach.or(&translated)
    }

    /// Through a base chain: those that pass it.
    fn base(&self, state: &mut State, chain: &Chain, base: Base, reach: &Set) -> Result<Set> {
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
        let new = self.space.state(States { new: true, ..States::default() })?;
        let others = reach.minus(&new)?.or(&reach.and(&state.moment.untracked.or(&state.moment.never)?)?)?;
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
                Verdict::Return => returned = returned.or(&end.left)?,
                // What a chain that was gone to does not decide is at the end of this one.
                Verdict::Goto(_) => returned = returned.or(&end.left)?,
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

    /// The rules that decide about one packet, hook by hook, and whether they let it pass.
    pub fn decisions(&self, path: Path, family: Family, packet: &Member) -> Result<Vec<Decision<'a>>> {
        let outcome = self.path(path)?;
        let mut found = Vec::new();
        for &hook in path.hooks() {
            for (chain, base) in self.dump.at(hook, family) {
                let early = matches!(hook, Hook::Prerouting | Hook::Output) && base.priority < CONNTRACK;
                let moment = Moment {
                    hook,
                    after_conntrack: !early,
                    untracked: outcome.untracked.clone(),
                    never: self.never()?,
                };
                if base.kind == ChainKind::Nat && outcome.untracked.has(packet) {
                    continue;
                }
                let mut decision = Decision { chain, rule: None, notrack: None, passes: base.policy == Fate::Accept };
                self.decide(chain, &moment, packet, &mut decision, 0)?;
                let passes = decision.passes;
                found.push(decision);
                if !passes {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// Whether a chain has decided.
    fn decide(
        &self,
        chain: &'a Chain,
        moment: &Moment,
        packet: &Member,
        decision: &mut Decision<'a>,
        depth: usize,
    ) -> Result<bool> {
        for rule in &chain.rules {
            if !self.conditions.all(&rule.conditions, moment)?.has(packet) {
                continue;
            }
            if rule.effects.contains(&Effect::Notrack) {
                decision.notrack = decision.notrack.or(Some(rule));
            }
            let passes = match &rule.verdict {
                Verdict::Continue => continue,
                Verdict::Return => return Ok(false),
                Verdict::Accept | Verdict::Translate(_) => true,
                Verdict::Drop | Verdict::Reject => false,
                Verdict::Unknown(text) => self.space.opaque(text)?.has(packet),
                Verdict::Jump(to) | Verdict::Goto(to) => {
                    let decided = match self.dump.chain(*to) {
                        Some(chain) if depth < DEPTH => self.decide(chain, moment, packet, decision, depth + 1)?,
                        _ => false,
                    };
                    if decided || matches!(rule.verdict, Verdict::Goto(_)) {
                        return Ok(decided);
                    }
                    continue;
                }
            };
            decision.rule = Some(rule);
            decision.passes = passes;
            return Ok(true);
        }
        Ok(false)
    }
}

/// How one base chain decides about one packet.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// The rule that decided; `None`: the policy did.
    pub rule: Option<&'a Rule>,
    /// The rule that marked the packet as untracked.
    pub notrack: Option<&'a Rule>,
    /// Whether the packet passes.
    pub passes: bool,
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
