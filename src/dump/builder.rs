//! A rule while its parts are read.

use super::listing::DraftWay;
use super::netlink::field::push;
use super::{Condition, Effect, Verdict};

/// Conditions and effects in the order in which they are read, and the ways through the rule.
#[derive(Debug, Default)]
pub(super) struct RuleBuilder {
    conditions: Vec<Condition>,
    effects: Vec<Effect>,
    ways: Vec<DraftWay>,
    ended: bool,
    /// The last thing read may be a verdict that nobody knows.
    unclear: Option<String>,
}

impl RuleBuilder {
    /// Adds a condition. What the rule has done before it is asked is done all the same.
    pub(super) fn add(&mut self, condition: Condition) {
        if self.ended {
            return;
        }
        if self.effects.iter().any(|effect| !matches!(effect, Effect::Harmless(_))) {
            let (conditions, effects) = (self.conditions.clone(), std::mem::take(&mut self.effects));
            self.ways.push(DraftWay { conditions, effects, verdict: Verdict::Continue });
        }
        push(&mut self.conditions, condition);
    }

    /// Adds an effect.
    pub(super) fn effect(&mut self, effect: Effect) {
        if !self.ended {
            self.effects.push(effect);
        }
    }

    /// A way to the rule's end with more conditions.
    pub(super) fn way(&mut self, more: Vec<Condition>, verdict: Verdict) {
        let mut conditions = self.conditions.clone();
        more.into_iter().for_each(|condition| push(&mut conditions, condition));
        self.ways.push(DraftWay { conditions, effects: self.effects.clone(), verdict });
    }

    /// The rule ends so. What stands behind its end never happens.
    pub(super) fn end(&mut self, verdict: Verdict) {
        if !self.ended {
            self.way(Vec::new(), verdict);
            self.ended = true;
        }
    }

    /// A verdict map has given all the ways.
    pub(super) fn ended_by_map(&mut self) {
        self.ended = true;
    }

    /// What was just read may be a condition or, where nothing else ends the rule, its verdict.
    pub(super) fn unclear(&mut self, words: String) {
        self.unclear = Some(words);
    }

    /// All the ways through the rule.
    pub(super) fn finish(mut self) -> Vec<DraftWay> {
        self.end(self.unclear.clone().map_or(Verdict::Continue, Verdict::Unknown));
        self.ways
    }
}
