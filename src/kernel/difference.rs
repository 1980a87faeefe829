//! Where two tables differ, and what to call that place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::element::key_text;
use super::messages::{Messages, Subject};
use super::nf_tables::message;
use super::normal::{Added, Digest, NormalChain, NormalSet, NormalTable, Side};
use super::wire::{self, Fields};
use crate::backend::nft::SIGNATURE;
use crate::source::Place;

/// The first thing in which the kernel's table is not the one that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What differs, as in `rule 3 of chain input (fwc: web)`.
    pub what: String,
    /// Where the spec asked for it.
    pub place: Option<Place>,
    /// How it differs.
    pub problem: Problem,
}

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// It was sent and is not there.
    Missing,
    /// It is there and was not sent.
    Unexpected,
    /// It is there, but not as it was sent.
    Changed,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { what, .. } = self;
        match self.problem {
            Problem::Missing => write!(f, "{what} is missing in the kernel"),
            Problem::Unexpected => write!(f, "{what} is in the kernel but was not loaded by fwc"),
            Problem::Changed => write!(f, "{what} is not the one that was loaded"),
        }
    }
}

/// A difference in terms of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gap {
    /// The table itself.
    Table(Problem),
    /// A chain's own attributes.
    Chain { name: String, sent: Option<Digest>, problem: Problem },
    /// A set's own attributes.
    Set { name: String, sent: Option<Digest>, problem: Problem },
    /// A rule, by its number from 0.
    Rule { chain: String, number: usize, problem: Problem },
    /// A sent element.
    MissingElement { set: String, digest: Digest },
    /// An element of the kernel's.
    UnexpectedElement { set: String, digest: Digest },
}

/// The first difference, if there is one.
pub(super) fn gap(sent: &NormalTable, listed: &NormalTable) -> Option<Gap> {
    gap_beside(sent, listed, &BTreeSet::new())
}

/// The first difference other than the elements of some sets.
pub(super) fn gap_beside(sent: &NormalTable, listed: &NormalTable, unread: &BTreeSet<String>) -> Option<Gap> {
    match (sent.digest, listed.digest) {
        (Some(_), None) => return Some(Gap::Table(Problem::Missing)),
        (None, Some(_)) => return Some(Gap::Table(Problem::Unexpected)),
        (a, b) if a != b || sent.comment != listed.comment => return Some(Gap::Table(Problem::Changed)),
        _ => {}
    }
    if sent.signature != listed.signature {
        return Some(Gap::Chain { name: SIGNATURE.to_string(), sent: None, problem: Problem::Changed });
    }
    by_name(&sent.chains, &listed.chains, |chain: &NormalChain| chain.digest)
        .map(|(name, sent, problem)| Gap::Chain { name, sent, problem })
        .or_else(|| {
            by_name(&sent.sets, &listed.sets, |set: &NormalSet| set.digest).map(|(name, sent, problem)| Gap::Set {
                name,
                sent,
                problem,
            })
        })
        .or_else(|| {
            pairs(&sent.chains, &listed.chains).find_map(|(name, a, b)| {
                rules(&a.rules, &b.rules).map(|(number, problem)| Gap::Rule { chain: name.clone(), number, problem })
            })
        })
        .or_else(|| {
            let mut read = pairs(&sent.sets, &listed.sets)
                .filter(|(name, a, b)| !unread.contains(*name) && !a.elements.is_same(&b.elements));
            read.find_map(|(name, a, b)| members(name, &a.elements.sorted(), &b.elements.sorted()))
        })
}

fn by_name<T>(
    sent: &BTreeMap<String, T>,
    listed: &BTreeMap<String, T>,
    digest: impl Fn(&T) -> Digest,
) -> Option<(String, Option<Digest>, Problem)> {
    let wrong = sent.iter().find_map(|(name, item)| match listed.get(name) {
        None => Some((name.clone(), Some(digest(item)), Problem::Missing)),
        Some(other) if digest(other) != digest(item) => Some((name.clone(), Some(digest(item)), Problem::Changed)),
        Some(_) => None,
    });
    let extra = || listed.keys().find(|name| !sent.contains_key(*name));
    wrong.or_else(|| extra().map(|name| (name.clone(), None, Problem::Unexpected)))
}

fn pairs<'a, T>(
    sent: &'a BTreeMap<String, T>,
    listed: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = (&'a String, &'a T, &'a T)> {
    sent.iter().filter_map(|(name, item)| Some((name, item, listed.get(name)?)))
}

/// Where two lists of rules part ways.
fn rules(sent: &[Digest], listed: &[Digest]) -> Option<(usize, Problem)> {
    let number = sent.iter().zip(listed).position(|(a, b)| a != b).unwrap_or(sent.len().min(listed.len()));
    match (sent.get(number), listed.get(number)) {
        (None, None) => None,
        (Some(rule), _) if !listed.contains(rule) => Some((number, Problem::Missing)),
        (_, Some(rule)) if !sent.contains(rule) => Some((number, Problem::Unexpected)),
        _ => Some((number, Problem::Changed)),
    }
}

/// Where two sorted lists of elements part ways.
fn members(set: &str, sent: &[Digest], listed: &[Digest]) -> Option<Gap> {
    let at = sent.iter().zip(listed).position(|(a, b)| a != b).unwrap_or(sent.len().min(listed.len()));
    let set = set.to_string();
    match (sent.get(at), listed.get(at)) {
        (None, None) => None,
        (Some(&ours), None) => Some(Gap::MissingElement { set, digest: ours }),
        (Some(&ours), Some(&theirs)) if ours < theirs => Some(Gap::MissingElement { set, digest: ours }),
        (_, Some(&digest)) => Some(Gap::UnexpectedElement { set, digest }),
    }
}

/// What to call a difference: by the messages' own words where they have any.
pub(super) fn subject_of(gap: &Gap, messages: &Messages) -> Difference {
    let (wanted, what, problem) = match gap {
        Gap::Table(problem) => (Some(Added::Table), "the table inet fwc".to_string(), *problem),
        Gap::Chain { name, sent, problem } => (sent.map(Added::Chain), format!("chain {name}"), *problem),
        Gap::Set { name, sent, problem } => (sent.map(Added::Set), format!("set {name}"), *problem),
        Gap::Rule { chain, number, problem } => {
            let what = format!("rule {} of chain {chain}", number + 1);
            match problem {
                Problem::Unexpected => (None, what, *problem),
                _ => return rule_subject(messages, chain, *number, what, *problem),
            }
        }
        Gap::MissingElement { set, digest } => return missing_element(messages, set, *digest),
        Gap::UnexpectedElement { set, .. } => (None, format!("an element of set {set}"), Problem::Unexpected),
    };
    let subject = wanted.and_then(|wanted| find(messages, |_, added| added == wanted));
    difference(subject, what, problem)
}

fn difference(subject: Option<Subject>, what: String, problem: Problem) -> Difference {
    match subject {
        Some(subject) => Difference { what: subject.what, place: subject.place, problem },
        None => Difference { what, place: None, problem },
    }
}

/// The subject of the first message that `is_it` knows, given the chain that a rule is for.
fn find(messages: &Messages, mut is_it: impl FnMut(Option<String>, Added) -> bool) -> Option<Subject> {
    let mut table = NormalTable::default();
    for (message, part) in wire::messages(&messages.bytes).zip(&messages.index) {
        let message = message.ok()?;
        if message.kind == message::NEW_ELEMENTS {
            continue;
        }
        let added = table.take(&message, Side::Sent).ok()?;
        let chain = Fields::of(message.attributes()).ok()?.text(super::nf_tables::rule::CHAIN).ok();
        if is_it(chain, added) {
            return Some(part.subject.clone());
        }
    }
    None
}

fn rule_subject(messages: &Messages, chain: &str, number: usize, what: String, problem: Problem) -> Difference {
    let mut seen = 0;
    let subject = find(messages, |of, added| {
        let here = matches!(added, Added::Rule(_)) && of.as_deref() == Some(chain);
        seen += usize::from(here);
        here && seen == number + 1
    });
    difference(subject, what, problem)
}

fn missing_element(messages: &Messages, set: &str, digest: Digest) -> Difference {
    let mut table = NormalTable::default();
    let mut found = None;
    for (message, part) in wire::messages(&messages.bytes).flatten().zip(&messages.index) {
        if message.kind != message::NEW_ELEMENTS {
            let _ = table.take(&message, Side::Sent);
            continue;
        }
        let Ok(fields) = Fields::of(message.attributes()) else { continue };
        let _ = table.take_elements(&fields, Side::Sent, |other, bytes| {
            if other == digest && found.is_none() {
                found = key_text(bytes).map(|key| (key, part.subject.place));
            }
        });
    }
    match found {
        Some((key, place)) => {
            Difference { what: format!("element {key} of set {set}"), place, problem: Problem::Missing }
        }
        None => Difference { what: format!("an element of set {set}"), place: None, problem: Problem::Missing },
    }
}
