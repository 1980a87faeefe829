//! A plan in words and for programs: entries, sets, policies, other rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::Looked;
use crate::command::host::sizing::Change as Size;
use crate::command::status::{Waits, leg};
use crate::command::waiting;
use crate::compile::Compiled;
use crate::kernel::changes::{Change, What};
use crate::policy::Role;

/// How many elements of one group are written out for people.
const SHOWN: usize = 10;

/// How an entry, or an item of it, changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// It is not there and would be.
    Add,
    /// It is there in another way.
    Change,
    /// It is there and would not be.
    Remove,
}

impl Kind {
    fn sign(self) -> char {
        match self {
            Kind::Add => '+',
            Kind::Change => '~',
            Kind::Remove => '-',
        }
    }

    fn of(added: bool) -> Self {
        if added { Kind::Add } else { Kind::Remove }
    }
}

/// What `fwc plan` found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    format: &'static str,
    version: u32,
    /// Whether loading the spec would change nothing.
    same: bool,
    /// Whether a table is loaded now.
    loaded: bool,
    spec_sha256: String,
    generation: u32,
    policies: Vec<Policy>,
    entries: Vec<Entry>,
    sets: Vec<Set>,
    /// Rules, chains and their order, beside what belongs to an entry.
    rules: Vec<Rule>,
    /// Sizes of the conntrack table that would be set.
    sizing: Vec<Size>,
    /// The apply that waits to be confirmed, as `fwc status` tells it.
    pending: Option<Waits>,
    /// Where the plan was saved.
    saved: Option<String>,
}

#[derive(Debug, Serialize)]
struct Policy {
    chain: String,
    from: Option<String>,
    to: Option<String>,
}

/// A service, a client or a forwarded service.
#[derive(Debug, Serialize)]
struct Entry {
    /// `services`, `clients` or `forward`; none for a name that neither the spec nor a set knows.
    section: Option<&'static str>,
    name: String,
    change: Kind,
    items: Vec<Item>,
}

#[derive(Debug, Serialize)]
struct Item {
    change: Kind,
    /// `request`, `reply`, `tracking`, or `from` for the sources that it admits.
    direction: &'static str,
    /// The set, or the chain of a rule.
    place: String,
    /// The element in the words of nft; none for a rule.
    element: Option<String>,
}

#[derive(Debug, Serialize)]
struct Set {
    name: String,
    change: Kind,
    added: Vec<String>,
    removed: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Rule {
    chain: String,
    change: Kind,
    /// Its comment, which says what it is for; else its text.
    what: String,
}

/// Sets that decide about tracking, and the section that they speak of.
const TRACKING: [(&str, &str); 3] =
    [("stateless_services", "services"), ("stateless_clients", "clients"), ("stateless_forward", "forward")];

/// The section and the direction that a set of entries speaks of.
fn aspect(set: &str) -> Option<(&'static str, &'static str)> {
    if let Some((_, section)) = TRACKING.iter().find(|(start, _)| set.starts_with(start)) {
        return Some((section, "tracking"));
    }
    let (section, direction) = leg(set);
    section.map(|section| (section, direction))
}

/// The entries of the spec: section and name.
fn known(compiled: &Compiled) -> BTreeMap<String, &'static str> {
    let section = |role: &Role| match role {
        Role::Service { .. } => "services",
        Role::Client { .. } => "clients",
        Role::Forward { .. } => "forward",
    };
    compiled.policy.entries.iter().map(|entry| (entry.name.to_string(), section(&entry.role))).collect()
}

/// The name of a set of addresses without the family behind it.
fn plain_name(set: &str) -> &str {
    set.strip_suffix("_v4").or_else(|| set.strip_suffix("_v6")).unwrap_or(set)
}

#[derive(Default)]
struct Groups {
    policies: BTreeMap<String, (Option<String>, Option<String>)>,
    entries: BTreeMap<(Option<&'static str>, String), Vec<Item>>,
    sets: BTreeMap<String, (Vec<String>, Vec<String>)>,
    rules: Vec<Rule>,
}

impl Groups {
    fn of(compiled: &Compiled, changes: &[Change]) -> Self {
        let mut known = known(compiled);
        // Entries that the spec no longer has are known by the sets that they stand in.
        for change in changes {
            if let (What::Element(set), Some(comment)) = (&change.what, &change.comment)
                && let Some((section, _)) = aspect(set)
            {
                known.entry(entry_name(comment).to_string()).or_insert(section);
            }
        }
        let mut groups = Groups::default();
        for change in changes {
            groups.take(change, &known);
        }
        groups
    }

    fn take(&mut self, change: &Change, known: &BTreeMap<String, &'static str>) {
        let kind = Kind::of(change.added);
        match &change.what {
            What::Policy(chain) => {
                let (from, to) = self.policies.entry(chain.clone()).or_default();
                *(if change.added { to } else { from }) = Some(change.words.clone());
            }
            What::Element(set) => self.element(change, set, known),
            What::Rule(chain, _) => {
                let name = change.comment.as_deref().map_or(change.words.as_str(), entry_name);
                match known.get(name).filter(|_| change.comment.is_some()) {
                    Some(section) => {
                        let direction = if chain.contains("repl") { "reply" } else { "request" };
                        let item = Item { change: kind, direction, place: chain.clone(), element: None };
                        self.entries.entry((Some(section), name.to_string())).or_default().push(item);
                    }
                    None => self.rule(chain, kind, name.to_string()),
                }
            }
            What::Chain(chain) => self.rule(chain, kind, "the chain itself".to_string()),
            What::Order(chain) => self.rule(chain, Kind::Change, "the order of its rules".to_string()),
            What::Set(set) => {
                self.sets.entry(plain_name(set).to_string()).or_default();
            }
        }
    }

    fn rule(&mut self, chain: &str, change: Kind, what: String) {
        // Rules of one purpose, as for each family, are told once.
        let is_told = |rule: &Rule| rule.chain == chain && rule.change == change && rule.what == what;
        if !self.rules.last().is_some_and(is_told) {
            self.rules.push(Rule { chain: chain.to_string(), change, what });
        }
    }

    fn element(&mut self, change: &Change, set: &str, known: &BTreeMap<String, &'static str>) {
        let kind = Kind::of(change.added);
        let plain = plain_name(set);
        // The sources of one entry, written in its `from`, are a set named after it.
        let owner = plain.strip_suffix("-from").and_then(|name| Some((*known.get(name)?, name, "from")));
        let leg = change.comment.as_deref().map(entry_name).map(|name| {
            let (section, direction) = aspect(set).unwrap_or(("", "request"));
            (known.get(name).copied().unwrap_or(section), name, direction)
        });
        if let Some((section, name, direction)) = leg.or(owner) {
            let item = Item { change: kind, direction, place: set.to_string(), element: Some(change.words.clone()) };
            let section = Some(section).filter(|section| !section.is_empty());
            self.entries.entry((section, name.to_string())).or_default().push(item);
            return;
        }
        let (added, removed) = self.sets.entry(plain.to_string()).or_default();
        (if change.added { added } else { removed }).push(change.words.clone());
    }
}

fn entry_name(comment: &str) -> &str {
    comment.trim_start_matches("fwc: ")
}

impl Report {
    pub(super) fn new(compiled: &Compiled, looked: Looked, saved: Option<&Path>) -> Self {
        let groups = Groups::of(compiled, &looked.changes);
        let spoken: BTreeSet<String> = known(compiled).into_keys().collect();
        let entry = |((section, name), items): ((Option<&'static str>, String), Vec<Item>)| {
            let all = |kind| items.iter().all(|item| item.change == kind);
            let change = match (looked.live.is_some(), spoken.contains(&name)) {
                _ if all(Kind::Add) && items.iter().any(|item| item.direction == "request") => Kind::Add,
                (_, false) if all(Kind::Remove) => Kind::Remove,
                _ => Kind::Change,
            };
            Entry { section, name, change, items }
        };
        let set = |(name, (added, removed)): (String, (Vec<String>, Vec<String>))| Set {
            name,
            change: Kind::Change,
            added,
            removed,
        };
        let has_rules = looked.changes.is_empty() && looked.live.is_some();
        Report {
            format: "fwc-plan",
            version: 1,
            same: has_rules && looked.sizes.is_empty(),
            loaded: looked.live.is_some(),
            spec_sha256: compiled.hash.clone(),
            generation: looked.generation.0,
            policies: groups.policies.into_iter().map(|(chain, (from, to))| Policy { chain, from, to }).collect(),
            entries: groups.entries.into_iter().map(entry).collect(),
            sets: groups.sets.into_iter().map(set).collect(),
            rules: groups.rules,
            sizing: looked.sizes,
            pending: looked.waits,
            saved: saved.map(|path| path.display().to_string()),
        }
    }

    pub(super) fn is_same(&self) -> bool {
        self.same
    }

    /// Whether the rules are those of the spec.
    fn has_rules(&self) -> bool {
        let Report { policies, entries, sets, rules, .. } = self;
        self.loaded && policies.is_empty() && entries.is_empty() && sets.is_empty() && rules.is_empty()
    }

    pub(super) fn human(&self) -> String {
        let mut text = match (self.loaded, self.same) {
            (_, true) => "table inet fwc: as the spec says; nothing would change\n".to_string(),
            (false, _) => "table inet fwc: not loaded; all of this would be added\n".to_string(),
            (true, _) if self.has_rules() => "table inet fwc: as the spec says\n".to_string(),
            (true, _) => "table inet fwc: differs from the spec\n".to_string(),
        };
        if let Some(waits) = &self.pending {
            let _ = writeln!(text, "  {}", waiting::words(waits));
        }
        for Size { key, from, to, .. } in &self.sizing {
            let _ = writeln!(text, "  ~ conntrack.{key}: {from} -> {to}");
        }
        for Policy { chain, from, to } in &self.policies {
            let word = |policy: &Option<String>| policy.clone().unwrap_or_else(|| "no chain".to_string());
            let _ = writeln!(text, "  ~ policy {chain}: {} -> {}", word(from), word(to));
        }
        for entry in &self.entries {
            let name = entry.section.map_or(entry.name.clone(), |section| format!("{section}.{}", entry.name));
            let _ = writeln!(text, "  {} {name}", entry.change.sign());
            items(&mut text, &entry.items);
        }
        for set in &self.sets {
            let (added, removed) = (set.added.len(), set.removed.len());
            let _ = writeln!(text, "  ~ set {}: {added} added, {removed} removed", set.name);
            for (sign, words) in [('+', &set.added), ('-', &set.removed)] {
                words.iter().take(SHOWN).for_each(|word| {
                    let _ = writeln!(text, "      {sign} {word}");
                });
                more(&mut text, words.len());
            }
        }
        for Rule { chain, change, what } in &self.rules {
            let _ = writeln!(text, "  {} rule in {chain}: {what}", change.sign());
        }
        if let Some(path) = &self.saved {
            let _ = writeln!(text, "saved: `fwc apply {path}` loads exactly this, as long as nothing changes before");
        }
        text
    }
}

fn items(text: &mut String, items: &[Item]) {
    for item in items.iter().take(SHOWN) {
        let Item { change, direction, place, element } = item;
        let what = element.clone().unwrap_or_else(|| "a rule".to_string());
        let _ = writeln!(text, "      {} {direction:<8}  {what}  ({place})", change.sign());
    }
    more(text, items.len());
}

fn more(text: &mut String, count: usize) {
    if count > SHOWN {
        let _ = writeln!(text, "      and {} more", count - SHOWN);
    }
}
