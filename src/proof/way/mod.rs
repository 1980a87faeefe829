//! All packets at once on their way through a ruleset.

mod alone;
mod chain;
mod decision;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use super::bdd::{Result, Set};
use super::condition::{Conditions, Moment};
use super::names::LOOPBACK;
use super::space::Space;
use crate::dump::{Base, Dump, Hook, InterfacePattern, Rule, Side, States, Translation, Way};
use crate::net::{Family, RangeSet};

pub(crate) use chain::DEPTH;
pub use decision::Decision;

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
    /// The packets that somebody else has marked as untracked.
    marked: Option<Set>,
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

impl<'a> Walk<'a> {
    /// `mirrored` asks of every packet what the ruleset does with the one that answers it.
    #[must_use]
    pub fn new(space: &'a Space, dump: &'a Dump, mirrored: bool) -> Self {
        Walk { space, dump, conditions: Conditions::new(space, mirrored), marked: None, known: RefCell::default() }
    }

    /// The same for packets of which these are marked as untracked before they meet the ruleset: by another one.
    #[must_use]
    pub fn beside(space: &'a Space, dump: &'a Dump, marked: Set) -> Self {
        Walk { marked: Some(marked), ..Walk::new(space, dump, false) }
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
                let early = is_early(base);
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
        let marked = match &self.marked {
            Some(marked) => marked.and(domain)?,
            None => self.space.engine.none(),
        };
        if path != Path::In {
            return Ok(marked);
        }
        let lo = self.space.interface(Way::In, &[InterfacePattern::exact(LOOPBACK)])?;
        self.space.came_untracked()?.and(&lo)?.and(domain)?.or(&marked)
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
}

/// Whether a base chain comes before conntrack.
pub(crate) fn is_early(base: Base) -> bool {
    matches!(base.hook, Hook::Prerouting | Hook::Output) && base.priority < CONNTRACK
}
