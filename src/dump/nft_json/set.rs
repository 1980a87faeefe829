//! Sets and maps of nft's JSON.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value as Json;

use super::rule::RuleReader;
use super::value::value;
use crate::dump::netlink::field::{Field, addresses, keyed};
use crate::dump::netlink::register::{Loaded, What};
use crate::dump::{Condition, InterfacePattern, States, Test, Value, Verdict};
use crate::net::RangeSet;

/// What is in a set or map.
#[derive(Debug, Clone)]
pub(super) struct Members<'n> {
    /// The name in the table, if it has one.
    pub(super) name: Option<&'n str>,
    pub(super) elements: Cow<'n, [Json]>,
    /// Whether what is in it may change from packet to packet, or it cannot be found.
    pub(super) volatile: bool,
}

/// A set that has been read as keys of these fields.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) table: String,
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
    pub(super) test: Test,
}

impl Members<'_> {
    pub(super) fn inline(all: &Json) -> Self {
        let elements = match all {
            Json::Array(all) => all.clone(),
            one => vec![one.clone()],
        };
        Members { name: None, elements: Cow::Owned(elements), volatile: false }
    }
}

/// An element without its timeout, comment and counter. Any other statement in it asks more.
fn bare(json: &Json) -> Option<&Json> {
    let Some(inside) = json.get("elem") else { return Some(json) };
    let known = ["val", "timeout", "expires", "comment", "counter"];
    let plain = inside.as_object()?.keys().all(|key| known.contains(&key.as_str()));
    if plain { inside.get("val") } else { None }
}

fn is_catch_all(json: &Json) -> bool {
    json.as_str() == Some("*")
}

impl RuleReader<'_> {
    /// The key is in the set; `None` where that is not understood.
    pub(super) fn in_set(&self, loaded: &[Loaded], members: &Members<'_>) -> Option<Test> {
        if members.volatile {
            return None;
        }
        let fields: Option<Vec<Field>> = loaded.iter().map(|one| self.known.field(one)).collect();
        if let (Some(name), Some(fields)) = (members.name, &fields)
            && let Some(read) = self.names.read(self.table, name, fields)
        {
            return Some(read);
        }
        let keys: Vec<&Json> = members.elements.iter().map(bare).collect::<Option<_>>()?;
        let test = self.among(loaded, &keys)?;
        if let (Some(name), Some(fields)) = (members.name, fields) {
            self.names.keep(Read { table: self.table.to_string(), name: name.to_string(), fields, test: test.clone() });
        }
        Some(test)
    }

    /// The key is one of these.
    fn among(&self, loaded: &[Loaded], keys: &[&Json]) -> Option<Test> {
        if keys.is_empty() {
            return Some(Test::Never);
        }
        if keys.iter().any(|key| is_catch_all(key)) {
            return None;
        }
        let Some(fields) = loaded.iter().map(|one| self.known.field(one)).collect::<Option<Vec<Field>>>() else {
            return self.one_by_one(loaded, keys);
        };
        match (fields.as_slice(), loaded) {
            ([Field::Interface(way)], [one]) => {
                let name = |key: &&Json| match value(one, Field::Interface(*way), key)? {
                    Value::Interface(pattern) => Some(pattern),
                    Value::Numbers(..) => None,
                };
                let mut names: Vec<InterfacePattern> = keys.iter().map(name).collect::<Option<_>>()?;
                names.sort_unstable();
                Some(Test::Interface(*way, names))
            }
            ([field], [one]) => {
                let numbers = self.numbers(*field, one, keys)?;
                match field {
                    Field::Address(family, side) => Some(Test::Address(*side, Arc::new(addresses(*family, &numbers)))),
                    _ => field.among(&numbers),
                }
            }
            _ => {
                let selectors = fields.iter().map(|field| field.selector()).collect::<Option<Vec<_>>>()?;
                let mut elements = Vec::with_capacity(keys.len());
                for key in keys {
                    let parts = key.get("concat")?.as_array()?;
                    if parts.len() != fields.len() {
                        return None;
                    }
                    let parts = parts.iter().zip(fields.iter().zip(loaded));
                    elements.push(parts.map(|(part, (field, one))| value(one, *field, part)).collect::<Option<_>>()?);
                }
                elements.sort_unstable();
                keyed(selectors, elements)
            }
        }
    }

    fn numbers(&self, field: Field, loaded: &Loaded, keys: &[&Json]) -> Option<RangeSet<u128>> {
        let range = |key: &&Json| match value(loaded, field, key)? {
            Value::Numbers(first, last) => Some((first, last)),
            Value::Interface(_) => None,
        };
        keys.iter().map(range).collect::<Option<Vec<_>>>().map(RangeSet::from_ranges)
    }

    /// What is no field of a key is compared value by value.
    fn one_by_one(&self, loaded: &[Loaded], keys: &[&Json]) -> Option<Test> {
        let [one] = loaded else { return None };
        if matches!(one.what, What::Other { .. }) {
            return None;
        }
        let mut all = Vec::new();
        for key in keys {
            let wanted = super::value::bytes(one, None, key)?;
            // A copy: what one of several values says, the rule does not know.
            let found = { self.known }.equal(one, &wanted, false);
            let [condition] = found.as_slice() else { return None };
            if !condition.test.is_understood() {
                return None;
            }
            all.push(condition.clone());
        }
        Some(any_of(all))
    }

    /// Each verdict of a verdict map is a way of its own.
    pub(super) fn verdict_map(&mut self, inside: &Json) {
        let null = Json::Null;
        let loaded = self.key(inside.get("key").unwrap_or(&null));
        let ways = self.members(inside.get("data").unwrap_or(&null)).and_then(|found| self.ways(&loaded, &found));
        let Some(ways) = ways else {
            self.rule.add(Condition::is(Self::opaque(&serde_json::json!({ "vmap": inside }))));
            return self.rule.end(Verdict::Unknown("vmap".to_string()));
        };
        for (conditions, verdict) in ways {
            self.rule.way(conditions, verdict);
        }
        self.rule.ended_by_map();
    }

    fn ways(&self, loaded: &[Loaded], members: &Members<'_>) -> Option<Vec<(Vec<Condition>, Verdict)>> {
        if members.volatile {
            return None;
        }
        let mut groups: Vec<(Verdict, Vec<&Json>)> = Vec::new();
        let mut rest = None;
        for one in members.elements.iter() {
            let [key, data] = one.as_array()?.as_slice() else { return None };
            let (key, verdict) = (bare(key)?, self.verdict(data)?);
            if is_catch_all(key) {
                rest = Some(verdict);
            } else if let Some((_, keys)) = groups.iter_mut().find(|(known, _)| *known == verdict) {
                keys.push(key);
            } else {
                groups.push((verdict, vec![key]));
            }
        }
        let mut ways = Vec::new();
        let mut others = Vec::new();
        for (verdict, keys) in groups {
            let test = self.among(loaded, &keys)?;
            others.push(Condition::not(test.clone()));
            ways.push((vec![Condition::is(test)], verdict));
        }
        ways.extend(rest.map(|verdict| (others, verdict)));
        // Keys are apart from each other, so the order means nothing: let it be the same for all readers.
        ways.sort_by_cached_key(|(_, verdict)| format!("{verdict:?}"));
        Some(ways)
    }

    /// The condition that a map in a statement has something for the packet.
    pub(super) fn in_map(&mut self, map: &Json) {
        let null = Json::Null;
        let loaded = self.key(map.get("key").unwrap_or(&null));
        let members = self.members(map.get("data").unwrap_or(&null));
        let keys = members.and_then(|members| {
            let key = |one: &Json| one.as_array()?.first().cloned();
            let elements = members.elements.iter().map(key).collect::<Option<Vec<_>>>()?;
            self.in_set(&loaded, &Members { name: None, elements: Cow::Owned(elements), volatile: members.volatile })
        });
        self.rule.add(Condition::is(keys.unwrap_or_else(|| Self::opaque(&serde_json::json!({ "map": map })))));
    }
}

/// At least one of these; states of conntrack are one test.
fn any_of(mut all: Vec<Condition>) -> Test {
    let mut states = States::default();
    let mut only_states = true;
    for one in &all {
        match (&one.test, one.negated) {
            (Test::State(state), false) => {
                states.new |= state.new;
                states.established |= state.established;
                states.related |= state.related;
                states.invalid |= state.invalid;
                states.untracked |= state.untracked;
            }
            _ => only_states = false,
        }
    }
    match all.as_slice() {
        _ if only_states => Test::State(states),
        [one] if !one.negated => all.swap_remove(0).test,
        _ => Test::AnyOf(all),
    }
}
