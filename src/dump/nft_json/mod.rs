//! What `nft -j list ruleset` and `nft -j list table` print.

mod act;
mod left;
mod rule;
mod set;
mod value;
mod words;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value as Json;

use super::listing::{self, DraftChain, DraftRule};
use super::netlink::field::Field;
use super::{Base, ChainId, ChainKind, Dump, Hook, Position, Test, Unread};
use crate::net::Family;
use crate::source::{Place, Sources};
use crate::spec::Fate;
use rule::RuleReader;
use set::{Members, Read};

/// Reads the JSON. The listing that gives the rules their places is added to the sources as `NAME (as nft lists it)`; of a text that is no
/// JSON the text itself is, with one [`Unread`] at the place of the mistake.
pub fn read(name: &str, text: &str, sources: &mut Sources) -> Dump {
    let all: Json = match serde_json::from_str(text) {
        Ok(all) => all,
        Err(error) => return broken(name, text, &error, sources),
    };
    let mut reader = Reader::default();
    match all.get("nftables").and_then(Json::as_array) {
        Some(objects) => reader.objects(objects),
        None => {
            reader.unread.insert("the JSON has no list `nftables`: it is not what nft prints".to_string());
        }
    }
    let Reader { chains, unread, .. } = reader;
    let listing = format!("{name} (as nft lists it)");
    listing::finish(chains, Family::BOTH.to_vec(), unread.into_iter().collect(), sources, &listing)
}

fn broken(name: &str, text: &str, error: &serde_json::Error, sources: &mut Sources) -> Dump {
    let file = sources.add(name, text);
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let mut start = (before + error.column().saturating_sub(1)).min(text.len().saturating_sub(1));
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let end = start + text.get(start..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    let number = |at| u32::try_from(at).unwrap_or(u32::MAX);
    let place = Place { file, start: number(start), end: number(end) };
    let unread = vec![Unread { place, why: format!("this is not JSON: {error}") }];
    Dump { chains: Vec::new(), families: Family::BOTH.to_vec(), unread }
}

/// Names within tables, and what has been read of sets.
#[derive(Debug, Default)]
pub(super) struct Names<'j> {
    /// By table and name.
    chains: HashMap<(String, String), ChainId>,
    sets: HashMap<(String, String), &'j [Json]>,
    /// Sets to which rules add, by table and name.
    filled: HashSet<(String, String)>,
    cache: RefCell<Vec<Read>>,
}

impl<'j> Names<'j> {
    fn chain(&self, table: &str, name: &str) -> Option<ChainId> {
        self.chains.get(&(table.to_string(), name.to_string())).copied()
    }

    /// What is in a named set.
    fn members(&'j self, table: &str, name: &str) -> Members<'j> {
        let key = (table.to_string(), name.to_string());
        let volatile = self.filled.contains(&key);
        match self.sets.get_key_value(&key) {
            Some((key, elements)) => Members { name: Some(&key.1), elements: Cow::Borrowed(elements), volatile },
            None => Members { name: None, elements: Cow::Borrowed(&[]), volatile: true },
        }
    }

    fn read(&self, table: &str, name: &str, fields: &[Field]) -> Option<Test> {
        let cache = self.cache.borrow();
        let found = cache.iter().find(|read| read.table == table && read.name == name && read.fields == fields);
        found.map(|read| read.test.clone())
    }

    fn keep(&self, read: Read) {
        self.cache.borrow_mut().push(read);
    }
}

#[derive(Default)]
struct Reader {
    chains: Vec<DraftChain>,
    unread: BTreeSet<String>,
}

/// Objects that stand for themselves: what rules do with them is said in the rules.
const SILENT: &[&str] = &[
    "metainfo",
    "table",
    "counter",
    "quota",
    "limit",
    "ct helper",
    "ct timeout",
    "ct expectation",
    "synproxy",
    "secmark",
];

fn text<'j>(json: &'j Json, key: &str) -> &'j str {
    json.get(key).and_then(Json::as_str).unwrap_or("")
}

/// The table of an object, as in `inet filter`.
fn table_of(json: &Json) -> String {
    format!("{} {}", text(json, "family"), text(json, "table"))
}

impl Reader {
    fn objects(&mut self, objects: &[Json]) {
        let mut names = Names::default();
        let mut rules = Vec::new();
        for object in objects {
            let Some((kind, inside)) = object.as_object().and_then(|object| object.iter().next()) else {
                self.unread.insert(format!("an object without a name: {object}"));
                continue;
            };
            // A listing may stand under the command that makes it.
            match kind.as_str() {
                "table" => self.table(inside),
                "chain" => self.chain(inside, &mut names),
                "rule" => rules.push(inside),
                "set" | "map" => {
                    let elements = inside.get("elem").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
                    names.sets.insert((table_of(inside), text(inside, "name").to_string()), elements);
                    if inside.get("flags").is_some_and(|flags| flags.to_string().contains("\"dynamic\"")) {
                        names.filled.insert((table_of(inside), text(inside, "name").to_string()));
                    }
                }
                "element" => {
                    self.unread.insert(format!("elements of set {} that stand alone", text(inside, "name")));
                    names.filled.insert((table_of(inside), text(inside, "name").to_string()));
                }
                "flowtable" => {
                    self.unread.insert(format!("flowtable {}: its packets pass by the rules", text(inside, "name")));
                }
                silent if SILENT.contains(&silent) => {}
                other => {
                    self.unread.insert(format!("an object `{other}`"));
                }
            }
        }
        rules.iter().for_each(|rule| filled_by(rule, &mut names));
        rules.iter().for_each(|rule| self.rule(rule, &names));
    }

    fn table(&mut self, json: &Json) {
        let label = format!("{} {}", text(json, "family"), text(json, "name"));
        if !is_ip(text(json, "family")) {
            self.unread.insert(format!("table {label}: rules of this family are not looked at"));
        }
        // nft up to 1.0.6 prints `dormant` as rubbish.
        let harmless = |flag: &Json| matches!(flag.as_str(), Some("owner" | "persist"));
        let in_force = match json.get("flags") {
            None => true,
            Some(Json::Array(flags)) => flags.iter().all(harmless),
            Some(flag) => harmless(flag),
        };
        if !in_force {
            self.unread.insert(format!("table {label} is dormant: its chains are not in force"));
        }
    }

    fn chain(&mut self, json: &Json, names: &mut Names<'_>) {
        let (table, name) = (table_of(json), text(json, "name").to_string());
        let family = match text(json, "family") {
            "ip" => Some(Family::V4),
            "ip6" => Some(Family::V6),
            _ => None,
        };
        let mut base = None;
        if json.get("hook").is_some() && is_ip(text(json, "family")) {
            base = base_of(json);
            if base.is_none() {
                self.unread.insert(format!("chain {name} of table {table}: its hook is not looked at"));
            }
        }
        if self.unread.contains(&format!("table {table} is dormant: its chains are not in force")) {
            base = None;
        }
        names.chains.insert((table.clone(), name.clone()), ChainId(self.chains.len()));
        self.chains.push(DraftChain { table, family, name, base, rules: Vec::new() });
    }

    fn rule(&mut self, json: &Json, names: &Names<'_>) {
        if !is_ip(text(json, "family")) {
            return;
        }
        let table = table_of(json);
        let chain = names.chain(&table, text(json, "chain")).and_then(|id| self.chains.get_mut(id.0));
        let Some(chain) = chain else {
            self.unread.insert(format!("a rule of the chain {}, which is not there: {json}", text(json, "chain")));
            return;
        };
        let ways = RuleReader::read(names, &table, chain.family, json);
        let comment = json.get("comment").and_then(Json::as_str).map(Arc::from);
        chain.rules.push(DraftRule {
            ways,
            comment,
            position: json.get("handle").and_then(Json::as_u64).map(Position::Handle),
        });
    }
}

/// Notes the sets that a rule adds to: nft's listing does not say of a set that it is one of these.
fn filled_by(rule: &Json, names: &mut Names<'_>) {
    for statement in rule.get("expr").and_then(Json::as_array).into_iter().flatten() {
        for kind in ["set", "map", "meter"] {
            let Some(inside) = statement.get(kind) else { continue };
            let name = inside.get(kind).or_else(|| inside.get("name")).and_then(Json::as_str).unwrap_or("");
            names.filled.insert((table_of(rule), name.trim_start_matches('@').to_string()));
        }
    }
}

/// Whether a table's packets are IP packets at the hooks of the model.
fn is_ip(family: &str) -> bool {
    matches!(family, "inet" | "ip" | "ip6")
}

/// How a chain is hooked in; `None` at a hook that the model does not have.
fn base_of(json: &Json) -> Option<Base> {
    let hook = match text(json, "hook") {
        "prerouting" => Hook::Prerouting,
        "input" => Hook::Input,
        "forward" => Hook::Forward,
        "output" => Hook::Output,
        "postrouting" => Hook::Postrouting,
        _ => return None,
    };
    let kind = match text(json, "type") {
        "nat" => ChainKind::Nat,
        "route" => ChainKind::Route,
        _ => ChainKind::Filter,
    };
    let priority = json.get("prio").and_then(Json::as_i64).and_then(|number| i32::try_from(number).ok())?;
    let policy = if text(json, "policy") == "drop" { Fate::Drop } else { Fate::Accept };
    Some(Base { hook, priority, kind, policy })
}
