//! One base chain by itself. An accept in one chain never takes back the drop of another, so a packet is lost if any chain drops it.

use std::collections::BTreeMap;

use super::{Decision, Path, State, Walk, is_early};
use crate::dump::{Base, Chain};
use crate::net::Family;
use crate::proof::bdd::{Member, Result, Set};
use crate::proof::condition::Moment;
use crate::spec::Fate;

impl<'a> Walk<'a> {
    /// The packets of a family on a path that the chain drops, whatever other chains do.
    pub fn dropped(&self, (chain, base): (&Chain, Base), path: Path, family: Family) -> Result<Set> {
        let reach = self.domain(path, family)?;
        let moment = self.moment(base, self.before(path, &reach)?)?;
        let (translations, missed) = (BTreeMap::new(), self.space.engine.none());
        let mut state = State { path, moment, translations, missed, visits: 0 };
        let passed = self.base(&mut state, chain, base, &reach)?;
        reach.minus(&passed)
    }

    /// The rule of the chain that decides about a packet.
    pub fn decision(
        &self,
        (chain, base): (&'a Chain, Base),
        path: Path,
        family: Family,
        packet: &Member,
    ) -> Result<Decision<'a>> {
        let mut moment = self.moment(base, self.before(path, &self.domain(path, family)?)?)?;
        let mut decision = Decision { chain, rule: None, notrack: None, passes: base.policy == Fate::Accept };
        self.decide(chain, &mut moment, packet, &mut decision, 0)?;
        Ok(decision)
    }

    /// What is known of packets where the chain is, of which these are marked as untracked.
    pub fn moment(&self, base: Base, untracked: Set) -> Result<Moment> {
        let early = is_early(base);
        let never = if early { self.space.engine.none() } else { self.never()? };
        Ok(Moment { hook: base.hook, after_conntrack: !early, untracked, never })
    }
}
