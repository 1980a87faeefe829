//! Every rule of a ruleset with the packets that reach it, whatever chains lead there.

use super::Survey;
use crate::dump::{
    Base, Chain, ChainKind, Condition, Dump, Effect, InterfacePattern, Rule, Side, States, Verdict, Way,
};
use crate::net::Family;
use crate::proof::TooLarge;
use crate::proof::bdd::{Result, Set};
use crate::proof::claim::Paths;
use crate::proof::condition::{Conditions, Moment};
use crate::proof::space::Space;
use crate::proof::way::{DEPTH, Path, Walk, is_early};
use crate::spec::Fate;

/// A rule on a path, with the packets of one family that it meets there.
pub struct Leaf<'a> {
    /// The path.
    pub path: Path,
    /// The family.
    pub family: Family,
    /// The base chain from which the rule is reached.
    pub base_chain: &'a Chain,
    /// How that chain is hooked in.
    pub base: Base,
    /// The rule.
    pub rule: &'a Rule,
    /// Its conditions, and before them those of the rules that jumped here.
    pub guard: Vec<&'a Condition>,
    /// The rules that jumped here, the first jump first.
    pub callers: Vec<&'a Rule>,
    /// The packets that come to the rule.
    pub reach: Set,
    /// Those of them that it matches.
    pub packets: Set,
}

impl Leaf<'_> {
    /// Whether the chain comes before conntrack.
    pub fn is_raw(&self) -> bool {
        is_early(self.base)
    }

    /// Whether the rule marks packets as untracked, early enough to count.
    pub fn untracks(&self) -> bool {
        self.is_raw() && self.rule.effects.contains(&Effect::Notrack)
    }
}

/// So many ways to rules are followed: chains that jump to each other again and again have more than anybody has written.
const MOST: usize = 100_000;

/// What is known of a ruleset.
pub struct Known<'a> {
    /// The ruleset.
    pub dump: &'a Dump,
    /// The packets.
    pub space: &'a Space,
    /// What becomes of them.
    pub paths: Paths,
    /// The rules, in the order in which packets meet them, path by path.
    pub leaves: Vec<Leaf<'a>>,
    /// Conditions as sets.
    pub conditions: Conditions<'a>,
}

impl<'a> Known<'a> {
    /// Leads all packets through a ruleset and notes which rules they meet.
    pub fn of(space: &'a Space, dump: &'a Dump) -> Result<Self> {
        let paths = Paths::of(space, dump)?;
        let conditions = Conditions::new(space, false);
        let mut walker = Walker { space, dump, conditions: &conditions, leaves: Vec::new() };
        for path in Path::ALL {
            for &family in &dump.families {
                walker.path(path, family, &paths.on(path).untracked)?;
            }
        }
        let leaves = walker.leaves;
        Ok(Known { dump, space, paths, leaves, conditions })
    }

    /// The packets over loopback, by the interface that a path knows.
    pub fn loopback(&self) -> Result<Set> {
        let lo = [InterfacePattern::exact("lo")];
        self.space.interface(Way::In, &lo)?.or(&self.space.interface(Way::Out, &lo)?)
    }

    /// Packets whose flow conntrack knows.
    pub fn follows(&self) -> Result<Set> {
        self.space.state(States { established: true, related: true, ..States::default() })
    }
}

struct Walker<'a, 'c> {
    space: &'a Space,
    dump: &'a Dump,
    conditions: &'c Conditions<'a>,
    leaves: Vec<Leaf<'a>>,
}

/// The jumps that lead to a chain.
#[derive(Default)]
struct Within<'a> {
    guard: Vec<&'a Condition>,
    callers: Vec<&'a Rule>,
}

impl<'a> Within<'a> {
    fn and(&self, rule: &'a Rule) -> Self {
        let guard = self.guard.iter().copied().chain(&rule.conditions).collect();
        Within { guard, callers: self.callers.iter().copied().chain([rule]).collect() }
    }
}

/// A base chain that packets go through.
struct Stage<'a> {
    path: Path,
    family: Family,
    base_chain: &'a Chain,
    base: Base,
    moment: Moment,
    accepted: Set,
}

impl<'a> Walker<'a, '_> {
    fn path(&mut self, path: Path, family: Family, untracked: &Set) -> Result<()> {
        let walk = Walk::new(self.space, self.dump, false);
        let domain = walk.domain(path, family)?;
        let (mut reach, mut marked, mut late) = (domain.clone(), self.space.engine.none(), false);
        for &hook in path.hooks() {
            for (base_chain, base) in self.dump.at(hook, family) {
                let early = is_early(base);
                if !early && !late {
                    late = true;
                    if path != Path::Out {
                        reach = reach.or(&self.space.translated(Side::Destination)?.and(&domain)?)?;
                    }
                }
                let untracked = if early { marked.clone() } else { untracked.clone() };
                let moment = walk.moment(base, untracked)?;
                let accepted = self.space.engine.none();
                let mut stage = Stage { path, family, base_chain, base, moment, accepted };
                let (enter, others) = self.entering(&stage, &reach)?;
                let left = self.chain(&mut stage, base_chain, enter, &Within::default())?;
                reach = stage.accepted.or(&others)?;
                if base.policy == Fate::Accept {
                    reach = reach.or(&left)?;
                }
                marked = stage.moment.untracked;
            }
        }
        Ok(())
    }

    /// Those that go through a chain, and those that pass it by: a NAT chain sees first packets of tracked flows only.
    fn entering(&self, stage: &Stage<'_>, reach: &Set) -> Result<(Set, Set)> {
        if stage.base.kind != ChainKind::Nat {
            return Ok((reach.clone(), self.space.engine.none()));
        }
        let new = self.space.state(States { new: true, ..States::default() })?;
        let enter = reach.and(&new)?.minus(&stage.moment.untracked)?.minus(&stage.moment.never)?;
        let others = reach.minus(&enter)?;
        Ok((enter, others))
    }

    /// Those that a chain leaves undecided.
    fn chain(&mut self, stage: &mut Stage<'a>, chain: &'a Chain, mut reach: Set, within: &Within<'a>) -> Result<Set> {
        let mut returned = self.space.engine.none();
        for rule in &chain.rules {
            if reach.is_empty() {
                // Whatever follows cannot be met: it is noted all the same.
                self.note(stage, rule, within, &reach, &reach)?;
                continue;
            }
            let met = self.conditions.all(&rule.conditions, &stage.moment)?.and(&reach)?;
            self.note(stage, rule, within, &reach, &met)?;
            if rule.effects.contains(&Effect::Notrack) && !stage.moment.after_conntrack {
                stage.moment.untracked = stage.moment.untracked.or(&met)?;
            }
            match &rule.verdict {
                Verdict::Continue => continue,
                Verdict::Return => returned = returned.or(&met)?,
                Verdict::Accept | Verdict::Translate(_) => stage.accepted = stage.accepted.or(&met)?,
                Verdict::Unknown(text) => {
                    stage.accepted = stage.accepted.or(&met.and(&self.space.opaque(text)?)?)?;
                }
                Verdict::Drop | Verdict::Reject => {}
                Verdict::Jump(to) | Verdict::Goto(to) => {
                    let left = match self.dump.chain(*to) {
                        Some(chain) if within.callers.len() < DEPTH && !met.is_empty() => {
                            self.chain(stage, chain, met.clone(), &within.and(rule))?
                        }
                        _ => met.clone(),
                    };
                    if matches!(rule.verdict, Verdict::Goto(_)) {
                        returned = returned.or(&left)?;
                    } else {
                        reach = reach.minus(&met)?.or(&left)?;
                        continue;
                    }
                }
            }
            reach = reach.minus(&met)?;
        }
        reach.or(&returned)
    }

    fn note(&mut self, stage: &Stage<'a>, rule: &'a Rule, within: &Within<'a>, reach: &Set, met: &Set) -> Result<()> {
        if self.leaves.len() == MOST {
            return Err(TooLarge);
        }
        let guard = within.guard.iter().copied().chain(&rule.conditions).collect();
        let callers = within.callers.clone();
        let Stage { path, family, base_chain, base, .. } = *stage;
        let (reach, packets) = (reach.clone(), met.clone());
        self.leaves.push(Leaf { path, family, base_chain, base, rule, guard, callers, reach, packets });
        Ok(())
    }
}

/// A space in which the packets of a ruleset can be told apart, and those that every lint asks for.
pub fn space(dump: &Dump) -> Result<Space> {
    let mut survey = Survey::default();
    survey.dump(dump);
    survey.ports.extend([(1, 1023), (67, 68)]);
    Space::of(&survey)
}
