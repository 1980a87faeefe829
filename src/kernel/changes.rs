//! Everything in which the table as it is differs from what messages would make of it: chain by chain, set by set, element by element.
//!
//! [`super::difference`] names the first gap between what was sent and what is there. Here all of them are named, for a person who decides whether to
//! go from one to the other. Objects are compared as digests first, so that only sets that differ are read into words.

use std::collections::{BTreeMap, BTreeSet};

use super::key_words::{Key, range_words};
use super::nf_tables::{self, COMMENT, data, element, elements, message, rule, set, set_flag};
use super::normal::{Added, Digest, NormalTable, Side};
use super::wire::{self, Fields, Malformed};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// What differs.
    pub what: What,
    /// Who it belongs to: the comment, as in `fwc: web`.
    pub comment: Option<String>,
    /// What would be there and is not, else what is there and would not be.
    pub added: bool,
    /// The element or the policy, in the words of nft; empty for other things.
    pub words: String,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A chain's policy: the other word is that of the other side.
    Policy(String),
    /// A chain as a whole, or its hook.
    Chain(String),
    /// A set as a whole, or its type.
    Set(String),
    /// An element of this set.
    Element(String),
    /// A rule of this chain, and which one of all rules on its side, counted from 0 in the order of the messages.
    Rule(String, usize),
    /// The order of this chain's rules.
    Order(String),
}

/// A rule, apart from what it says.
struct Rule {
    digest: Digest,
    comment: Option<String>,
    /// Which one of all rules it is.
    number: usize,
}

/// `NFTA_CHAIN_POLICY`.
const POLICY: u16 = 5;
/// `NFTA_SET_KEY_TYPE`.
const KEY_TYPE: u16 = 4;

/// All differences between the table that is there (the messages that list it, empty where there is none, or those that made it) and the one that
/// messages would make.
///
/// # Errors
/// Either is malformed.
pub fn changes(side: Side, there: &[u8], sent: &[u8]) -> Result<Vec<Change>, Malformed> {
    let (live, wanted) = (Table::of(there, side)?, Table::of(sent, Side::Sent)?);
    let mut found = BTreeSet::new();
    chains(&live, &wanted, &mut found);
    let mut differing = BTreeSet::new();
    for name in live.normal.sets.keys().chain(wanted.normal.sets.keys()) {
        match (live.normal.sets.get(name), wanted.normal.sets.get(name)) {
            (Some(a), Some(b)) if a.digest == b.digest && a.elements.is_same(&b.elements) => {}
            (Some(a), Some(b)) if a.digest != b.digest => {
                // Another type, other flags, room for another number of elements.
                found.insert(change(What::Set(name.clone()), None, true));
                differing.insert(name.clone());
            }
            _ => {
                differing.insert(name.clone());
            }
        }
    }
    let (old, new) = (members(there, &live, &differing)?, members(sent, &wanted, &differing)?);
    for (from, to, added) in [(&old, &new, false), (&new, &old, true)] {
        for (set, comment, words) in from.difference(to) {
            let what = What::Element(set.clone());
            found.insert(Change { what, comment: comment.clone(), added, words: words.clone() });
        }
    }
    Ok(found.into_iter().collect())
}

fn change(what: What, comment: Option<String>, added: bool) -> Change {
    Change { what, comment, added, words: String::new() }
}

/// A table, with what its digests do not tell.
#[derive(Default)]
struct Table {
    normal: NormalTable,
    /// By chain: the policy, where it has one.
    policies: BTreeMap<String, Option<u64>>,
    /// By chain: the rules in order.
    rules: BTreeMap<String, Vec<Rule>>,
    /// By set: the type of its key, and its flags.
    shapes: BTreeMap<String, (u64, u64)>,
}

impl Table {
    fn of(bytes: &[u8], side: Side) -> Result<Self, Malformed> {
        let mut table = Table::default();
        let mut count = 0;
        for found in wire::messages(bytes) {
            let found = found?;
            let fields = Fields::of(found.attributes())?;
            let added = table.normal.take(&found, side)?;
            match (found.kind, added) {
                (message::NEW_CHAIN, _) => {
                    let name = fields.text(nf_tables::chain::NAME)?;
                    let has_hook = fields.get(nf_tables::chain::HOOK).is_some();
                    let policy = has_hook.then(|| fields.number(POLICY).unwrap_or(1));
                    table.policies.insert(name, policy);
                }
                (message::NEW_SET, _) => {
                    let number = |kind| fields.number(kind).unwrap_or(0);
                    table.shapes.insert(fields.text(set::NAME)?, (number(KEY_TYPE), number(set::FLAGS)));
                }
                (message::NEW_RULE, Added::Rule(digest)) => {
                    let comment = fields.get(rule::USER_DATA).and_then(|data| wire::user_data(data, COMMENT));
                    let rules = table.rules.entry(fields.text(rule::CHAIN)?).or_default();
                    rules.push(Rule { digest, comment: comment.map(wire::text), number: count });
                    count += 1;
                }
                _ => {}
            }
        }
        table.normal.settle();
        Ok(table)
    }

    fn shape(&self, set: &str) -> Option<(u64, u64)> {
        self.shapes.get(set).copied()
    }
}

fn policy_words(policy: u64) -> &'static str {
    if policy == 0 { "drop" } else { "accept" }
}

fn chains(there: &Table, wanted: &Table, found: &mut BTreeSet<Change>) {
    let names: BTreeSet<&String> = there.policies.keys().chain(wanted.policies.keys()).collect();
    for name in names {
        match (there.policies.get(name), wanted.policies.get(name)) {
            (Some(Some(old)), Some(Some(new))) if old != new => {
                for (policy, added) in [(old, false), (new, true)] {
                    let words = policy_words(*policy).to_string();
                    found.insert(Change { what: What::Policy(name.clone()), comment: None, added, words });
                }
            }
            (Some(_), Some(_)) => {
                let digest = |table: &Table| table.normal.chains.get(name).map(|chain| chain.digest);
                if digest(there) != digest(wanted) {
                    found.insert(change(What::Chain(name.clone()), None, true));
                }
            }
            (None, Some(Some(new))) => {
                let words = policy_words(*new).to_string();
                found.insert(Change { what: What::Policy(name.clone()), comment: None, added: true, words });
            }
            (old, _) => {
                found.insert(change(What::Chain(name.clone()), None, old.is_none()));
            }
        }
        let none = Vec::new();
        rules(name, there.rules.get(name).unwrap_or(&none), wanted.rules.get(name).unwrap_or(&none), found);
    }
}

fn rules(chain: &str, there: &[Rule], wanted: &[Rule], found: &mut BTreeSet<Change>) {
    let mut differs = false;
    for (from, to, added) in [(there, wanted, false), (wanted, there, true)] {
        let mut left: BTreeMap<Digest, usize> = BTreeMap::new();
        for rule in to {
            *left.entry(rule.digest).or_default() += 1;
        }
        for rule in from {
            match left.get_mut(&rule.digest).filter(|count| **count > 0) {
                Some(count) => *count -= 1,
                None => {
                    differs = true;
                    found.insert(change(What::Rule(chain.to_string(), rule.number), rule.comment.clone(), added));
                }
            }
        }
    }
    let digests = |rules: &[Rule]| rules.iter().map(|rule| rule.digest).collect::<Vec<_>>();
    if !differs && digests(there) != digests(wanted) {
        found.insert(change(What::Order(chain.to_string()), None, true));
    }
}

/// The set, the comment and the words of an element.
type Member = (String, Option<String>, String);

/// The elements of some sets, in words.
fn members(bytes: &[u8], table: &Table, wanted: &BTreeSet<String>) -> Result<BTreeSet<Member>, Malformed> {
    let mut found = BTreeSet::new();
    // The bounds of plain intervals, which are elements of their own.
    let mut bounds: BTreeMap<&String, BTreeSet<(Vec<u8>, bool)>> = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    for one in wire::messages(bytes) {
        let one = one?;
        if one.kind != message::NEW_ELEMENTS {
            continue;
        }
        let fields = Fields::of(one.attributes())?;
        let name = fields.text(elements::SET)?;
        let (Some(name), Some((key_type, flags))) = (wanted.get(&name), table.shape(&name)) else { continue };
        let is_plain = flags & set_flag::INTERVAL != 0 && flags & set_flag::CONCATENATED == 0;
        for item in wire::attributes(fields.get(elements::ELEMENTS).unwrap_or(&[])) {
            let fields = Fields::of(item?.value)?;
            let value = |kind| Fields::of(fields.get(kind)?).ok()?.get(data::VALUE).map(<[u8]>::to_vec);
            let Some(first) = value(element::KEY) else { continue };
            if is_plain {
                let is_end = fields.number(element::FLAGS).unwrap_or(0) & element::INTERVAL_END != 0;
                bounds.entry(name).or_default().insert((first, !is_end));
                continue;
            }
            let comment = fields.get(element::USER_DATA).and_then(|data| wire::user_data(data, COMMENT));
            let words = Key { key_type, first: &first, last: value(element::KEY_END).as_deref() }.words();
            found.insert((name.clone(), comment.map(wire::text), words));
        }
    }
    for (name, bounds) in bounds {
        let key_type = table.shape(name).map_or(0, |(key_type, _)| key_type);
        let mut bounds = bounds.into_iter().peekable();
        while let Some((first, is_start)) = bounds.next() {
            if is_start {
                let end = bounds.next_if(|(_, is_start)| !is_start).map(|(end, _)| end);
                found.insert((name.clone(), None, range_words(key_type, &first, end.as_deref())));
            }
        }
    }
    Ok(found)
}
