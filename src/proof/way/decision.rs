//! The rules that decide about one packet.

use super::{DEPTH, Path, Walk, is_early};
use crate::dump::{Chain, ChainKind, Effect, Rule, Verdict};
use crate::net::Family;
use crate::proof::bdd::{Member, Result};
use crate::proof::condition::Moment;
use crate::spec::Fate;

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

impl<'a> Walk<'a> {
    /// The rules that decide about one packet, hook by hook, and whether they let it pass.
    pub fn decisions(&self, path: Path, family: Family, packet: &Member) -> Result<Vec<Decision<'a>>> {
        let outcome = self.path(path)?;
        let mut found = Vec::new();
        let mut untracked = self.before(path, &self.domain(path, family)?)?;
        for &hook in path.hooks() {
            for (chain, base) in self.dump.at(hook, family) {
                if !is_early(base) {
                    untracked = outcome.untracked.clone();
                }
                let mut moment = self.moment(base, untracked.clone())?;
                if base.kind == ChainKind::Nat && self.passes_nat_by(&moment)?.has(packet) {
                    continue;
                }
                let mut decision = Decision { chain, rule: None, notrack: None, passes: base.policy == Fate::Accept };
                self.decide(chain, &mut moment, packet, &mut decision, 0)?;
                untracked = moment.untracked;
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
    pub(super) fn decide(
        &self,
        chain: &'a Chain,
        moment: &mut Moment,
        packet: &Member,
        decision: &mut Decision<'a>,
        depth: usize,
    ) -> Result<bool> {
        for rule in &chain.rules {
            if !self.conditions.all(&rule.conditions, moment)?.has(packet) {
                continue;
            }
            if rule.effects.contains(&Effect::Notrack) && !moment.after_conntrack {
                decision.notrack = decision.notrack.or(Some(rule));
                // Of all packets, only this one is asked about.
                moment.untracked = self.space.engine.all();
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
