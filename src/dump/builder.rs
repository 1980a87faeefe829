//! A rule while its parts are read.

use super::listing::DraftWay;
use super::netlink::action::Action;
use super::netlink::field::{has_ports, push};
use super::{Condition, Effect, Selector, Test, Verdict};

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

    /// Adds what an expression, a match or a target is to the rule. What it loads is nothing to the rule.
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Effect(effect) => self.effect(effect),
            Action::Asks(test) => self.add(Condition::is(test)),
            Action::AsksAll(conditions) => conditions.into_iter().for_each(|one| self.add(one)),
            Action::AsksAnd(test, effect) => {
                self.add(Condition::is(test));
                self.effect(effect);
            }
            Action::Ends(verdict) => self.end(verdict),
            Action::Loads { .. } => {}
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
    pub(super) fn finish(self) -> Vec<DraftWay> {
        let mut ways = self.into_written();
        ways.iter_mut().for_each(|way| doubt_ports(&mut way.conditions));
        ways
    }

    /// The same for a person, without what the conditions leave open.
    pub(super) fn into_written(mut self) -> Vec<DraftWay> {
        self.end(self.unclear.clone().map_or(Verdict::Continue, Verdict::Unknown));
        self.ways
    }
}

/// The kernel compares the bytes where ports would be, whatever protocol comes along: only where a rule says that the protocol has ports, are they ports.
fn doubt_ports(conditions: &mut [Condition]) {
    let is_port = |selector: &Selector| matches!(selector, Selector::Port(_));
    let has_ports = conditions.iter().filter(|one| !one.negated).any(|one| match &one.test {
        Test::Protocol(set) => set.ranges().iter().all(|&(first, last)| (first..=last).all(has_ports)),
        // No other protocol stands beside ports in a key: see `keyed`.
        Test::Keys(selectors, _) => selectors.contains(&Selector::Protocol) && selectors.iter().any(is_port),
        _ => false,
    });
    if has_ports {
        return;
    }
    for condition in conditions {
        let asks = match &condition.test {
            Test::Port(..) => true,
            Test::Keys(selectors, _) => selectors.iter().any(is_port),
            _ => false,
        };
        if asks {
            let asked = Condition::is(condition.test.clone());
            let text = format!("{asked} of any protocol");
            condition.test = Test::Opaque { text: text.into(), volatile: false };
        }
    }
}
