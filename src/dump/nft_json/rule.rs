//! One rule of nft's JSON.

use std::sync::Arc;

use serde_json::Value as Json;

use super::Names;
use super::set::Members;
use crate::dump::builder::RuleBuilder;
use crate::dump::listing::DraftWay;
use crate::dump::netlink::question::Known;
use crate::dump::netlink::register::{Loaded, What};
use crate::dump::{Condition, Test, Verdict};
use crate::net::{Family, RangeSet};

/// A rule as far as it has been read.
pub(super) struct RuleReader<'n> {
    pub(super) names: &'n Names<'n>,
    /// The table, as in `inet filter`.
    pub(super) table: &'n str,
    pub(super) rule: RuleBuilder,
    pub(super) known: Known,
}

impl<'n> RuleReader<'n> {
    /// Reads the statements of a rule.
    pub(super) fn read(names: &'n Names<'n>, table: &'n str, family: Option<Family>, rule: &Json) -> Vec<DraftWay> {
        let known = Known { family, protocol: None };
        let mut reader = RuleReader { names, table, rule: RuleBuilder::default(), known };
        match rule.get("expr").and_then(Json::as_array) {
            Some(all) => all.iter().for_each(|one| reader.statement(one)),
            None => reader.rule.end(Verdict::Unknown("a rule without statements".to_string())),
        }
        reader.rule.finish()
    }

    fn statement(&mut self, json: &Json) {
        let Some((kind, inside)) = json.as_object().and_then(|object| object.iter().next()) else {
            return self.rule.end(Verdict::Unknown(json.to_string()));
        };
        match kind.as_str() {
            "match" => self.matches(json, inside),
            "vmap" => self.verdict_map(inside),
            "reject" => self.reject(inside),
            _ => match self.verdict(json) {
                Some(verdict) => self.rule.end(verdict),
                None => self.act(kind, inside, json),
            },
        }
    }

    /// How the sender is told says of which packets it can be told.
    fn reject(&mut self, inside: &Json) {
        match inside.get("type").and_then(Json::as_str) {
            Some("icmp") => self.need_family(Family::V4),
            Some("icmpv6") => self.need_family(Family::V6),
            Some("tcp reset") => self.need_protocol(6),
            _ => {}
        }
        self.rule.end(Verdict::Reject);
    }

    /// The verdict that a statement or a map's element is.
    pub(super) fn verdict(&self, json: &Json) -> Option<Verdict> {
        let (kind, inside) = match json {
            Json::String(word) => (word.as_str(), &Json::Null),
            _ => json.as_object()?.iter().next().map(|(kind, inside)| (kind.as_str(), inside))?,
        };
        let target = || inside.get("target").and_then(Json::as_str).and_then(|name| self.names.chain(self.table, name));
        Some(match kind {
            "accept" => Verdict::Accept,
            "drop" => Verdict::Drop,
            "return" => Verdict::Return,
            "continue" => Verdict::Continue,
            "reject" => Verdict::Reject,
            "jump" => target().map_or_else(|| Verdict::Unknown("jump to nowhere".to_string()), Verdict::Jump),
            "goto" => target().map_or_else(|| Verdict::Unknown("goto nowhere".to_string()), Verdict::Goto),
            _ => return None,
        })
    }

    /// A condition that is not understood. What is in a set that is not, may change.
    pub(super) fn opaque(json: &Json) -> Test {
        let volatile = match super::left::other(json, 0).what {
            What::Other { volatile, .. } => volatile,
            _ => true,
        };
        let text = super::words::words(json);
        let volatile = volatile || text.contains('@');
        Test::Opaque { text: Arc::from(text), volatile }
    }

    fn matches(&mut self, json: &Json, inside: &Json) {
        let part = |key: &str| inside.get(key).cloned().unwrap_or(Json::Null);
        let (left, right) = (part("left"), part("right"));
        let loaded = self.key(&left);
        let operator = inside.get("op").and_then(Json::as_str).unwrap_or("==");
        match self.conditions(&loaded, operator, &right) {
            Some(found) => found.into_iter().for_each(|condition| self.rule.add(condition)),
            None => self.rule.add(Condition::is(Self::opaque(json))),
        }
    }

    fn conditions(&mut self, loaded: &[Loaded], operator: &str, right: &Json) -> Option<Vec<Condition>> {
        if let Some(members) = self.members(right) {
            let negated = match operator {
                "==" | "in" => false,
                "!=" => true,
                _ => return None,
            };
            let test = self.in_set(loaded, &members)?;
            if !negated {
                self.known.learn(&test);
            }
            return Some(vec![Condition { negated, test }]);
        }
        let [one] = loaded else { return None };
        match operator {
            "==" | "!=" => self.equal(one, right, operator == "!="),
            "in" | "!" => self.any_bit(one, right, operator == "!"),
            _ => self.ordered(one, right, operator).map(|test| vec![Condition::is(test)]),
        }
    }

    /// The set on the right, if it is one.
    pub(super) fn members(&self, right: &Json) -> Option<Members<'n>> {
        if let Some(all) = right.get("set") {
            // Nothing keeps what the caller has: the elements are few, or they would have a name.
            return Some(Members::inline(all));
        }
        let name = right.as_str()?.strip_prefix('@')?;
        Some(self.names.members(self.table, name))
    }

    fn equal(&mut self, loaded: &Loaded, right: &Json, negated: bool) -> Option<Vec<Condition>> {
        if matches!(loaded.what, What::Other { .. }) {
            return None;
        }
        let plain = Loaded { mask: None, ..loaded.clone() };
        let field = self.known.field(&plain);
        if right.get("prefix").is_some() || right.get("range").is_some() {
            let test = self.range(loaded, right)?;
            return Some(vec![Condition { negated, test }]);
        }
        let wanted = super::value::bytes(&plain, field, right)?;
        let found = self.known.equal(loaded, &wanted, negated);
        // What the packets' bytes would be is no word of the reader's text.
        found.iter().all(|one| one.test.is_understood()).then_some(found)
    }

    fn range(&self, loaded: &Loaded, right: &Json) -> Option<Test> {
        let field = self.known.field(loaded)?;
        match super::value::value(loaded, field, right)? {
            crate::dump::Value::Numbers(first, last) if first <= last => field.among(&RangeSet::range(first, last)),
            _ => None,
        }
    }

    /// Any of these bits is set, or none is.
    fn any_bit(&mut self, loaded: &Loaded, right: &Json, none: bool) -> Option<Vec<Condition>> {
        let is_bits = matches!(loaded.what, What::Conntrack { key: 0 | 2, .. } | What::Transport { offset: 13 });
        if !is_bits || loaded.mask.is_some() {
            return if none { None } else { self.equal(loaded, right, false) };
        }
        let mask = super::value::bytes(loaded, None, right)?;
        let zero = vec![0; mask.len()];
        let masked = Loaded { mask: Some(mask), ..loaded.clone() };
        let found = self.known.equal(&masked, &zero, !none);
        found.iter().all(|one| one.test.is_understood()).then_some(found)
    }

    fn ordered(&self, loaded: &Loaded, right: &Json, operator: &str) -> Option<Test> {
        let field = self.known.field(loaded)?;
        let crate::dump::Value::Numbers(number, _) = super::value::value(loaded, field, right)? else { return None };
        let numbers = match operator {
            "<" => number.checked_sub(1).map(|last| RangeSet::range(0, last)),
            "<=" => Some(RangeSet::range(0, number)),
            ">" => (number < field.largest()).then(|| RangeSet::range(number + 1, field.largest())),
            ">=" => Some(RangeSet::range(number, field.largest())),
            _ => return None,
        };
        field.among(&numbers.unwrap_or_default())
    }
}
