//! A text for rulesets that have no lines of their own, so that each rule has a place that a diagnostic can show.
//!
//! It reads like nft's listing, as far as the model goes: one line for each chain and each rule. Long sets are abbreviated.

use std::fmt::Write;
use std::sync::Arc;

use super::words::{chain_words, rule_words};
use super::{Base, Chain, Condition, Dump, Effect, Position, Rule, Unread, Verdict};
use crate::net::Family;
use crate::source::{FileId, Place, Sources};

/// A chain whose place is not known yet.
#[derive(Debug, Clone)]
pub(super) struct DraftChain {
    pub(super) table: String,
    pub(super) family: Option<Family>,
    pub(super) name: String,
    pub(super) base: Option<Base>,
    pub(super) rules: Vec<DraftRule>,
}

/// A rule whose place is not known yet. All ways of a verdict map share one line.
#[derive(Debug, Clone, Default)]
pub(super) struct DraftRule {
    pub(super) ways: Vec<DraftWay>,
    pub(super) comment: Option<Arc<str>>,
    pub(super) position: Option<Position>,
}

/// One thing that a rule may do.
#[derive(Debug, Clone)]
pub(super) struct DraftWay {
    pub(super) conditions: Vec<Condition>,
    pub(super) effects: Vec<Effect>,
    pub(super) verdict: Verdict,
}

/// A line, or what will be one.
struct Line {
    start: u32,
    end: u32,
}

impl Line {
    fn place(&self, file: FileId) -> Place {
        Place { file, start: self.start, end: self.end }
    }
}

#[derive(Default)]
struct Listing {
    text: String,
}

impl Listing {
    /// Appends a line; its place leaves out the indentation.
    fn line(&mut self, indent: &str, words: &str) -> Line {
        self.text.push_str(indent);
        let start = self.text.len();
        // A name from outside may hold anything.
        self.text.extend(words.chars().map(|letter| if letter.is_control() { ' ' } else { letter }));
        let end = self.text.len();
        self.text.push('\n');
        let number = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Line { start: number(start), end: number(end) }
    }
}

/// Writes the listing, adds it to the sources under `name`, and gives everything its place in it. `unread` says why.
pub(super) fn finish(
    drafts: Vec<DraftChain>,
    families: Vec<Family>,
    unread: Vec<String>,
    sources: &mut Sources,
    name: &str,
) -> Dump {
    let mut listing = Listing::default();
    let names: Vec<String> = drafts.iter().map(|draft| draft.name.clone()).collect();
    let mut lines = Vec::with_capacity(drafts.len());
    let mut table = None;
    for draft in &drafts {
        if table != Some(&draft.table) {
            listing.line("", &format!("table {}", draft.table));
            table = Some(&draft.table);
        }
        let head = listing.line("  ", &chain_words(&draft.name, draft.base));
        let rules: Vec<Line> =
            draft.rules.iter().map(|rule| listing.line("    ", &draft_words(rule, &names))).collect();
        lines.push((head, rules));
    }
    let notes: Vec<Line> = unread.iter().map(|why| listing.line("", &format!("# {why}"))).collect();
    let file = sources.add(name, listing.text);
    let chains =
        drafts.into_iter().zip(lines).map(|(draft, (head, rules))| placed(draft, &head, &rules, file)).collect();
    let unread = unread.into_iter().zip(notes).map(|(why, line)| Unread { place: line.place(file), why }).collect();
    let mut dump = Dump { chains, families, unread };
    dump.break_cycles();
    dump
}

fn placed(draft: DraftChain, head: &Line, lines: &[Line], file: FileId) -> Chain {
    let mut rules = Vec::with_capacity(draft.rules.len());
    for (rule, line) in draft.rules.into_iter().zip(lines) {
        for way in rule.ways {
            let DraftWay { conditions, effects, verdict } = way;
            let comment = rule.comment.clone();
            rules.push(Rule {
                conditions,
                effects,
                verdict,
                place: line.place(file),
                comment,
                position: rule.position,
            });
        }
    }
    let DraftChain { table, family, name, base, .. } = draft;
    Chain { table, family, name, base, rules, place: head.place(file) }
}

fn draft_words(rule: &DraftRule, names: &[String]) -> String {
    let mut text = ways_words(rule, names);
    if let Some(comment) = &rule.comment {
        let _ = write!(text, " comment \"{comment}\"");
    }
    if let Some(position) = rule.position {
        let _ = write!(text, " # {position}");
    }
    text
}

/// What a rule does, without its comment and handle. `names` are the chains' by their ids.
pub(super) fn ways_words(rule: &DraftRule, names: &[String]) -> String {
    match rule.ways.as_slice() {
        [] => "# nothing".to_string(),
        [first, rest @ ..] => {
            let mut text = rule_words(&first.conditions, &first.effects, &first.verdict, names);
            if !rest.is_empty() {
                let _ = write!(text, " # and {} more of its verdict map", rest.len());
            }
            text
        }
    }
}
