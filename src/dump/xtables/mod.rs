//! Rules of x_tables: files of iptables-save and ip6tables-save, which iptables-restore and ip6tables-restore read, and the tables of
//! iptables-legacy as the kernel gives them (`blob`).
//!
//! `words` cuts lines, `rule` reads one `-A` line, `matches` its conditions, `targets` what it does.

mod blob;
mod matches;
mod rule;
mod targets;
mod words;

use std::collections::HashMap;

use super::ipset::Ipsets;
use super::{Base, Chain, ChainId, ChainKind, Dump, Hook, Unread};
use crate::net::Family;
use crate::source::{FileId, Place};
use crate::spec::Fate;
pub use blob::of_tables;
use rule::Context;

/// Reads a file of one family. `ipsets` has the sets that its rules may refer to.
#[must_use]
pub fn read(file: FileId, text: &str, family: Family, ipsets: &Ipsets) -> Dump {
    let mut reader =
        Reader { family, ipsets, dump: Dump::default(), known: HashMap::new(), table: None, seen: Vec::new() };
    reader.dump.families = vec![family];
    for (place, line) in lines(file, text) {
        reader.declaration(place, line);
    }
    reader.table = None;
    for (place, line) in lines(file, text) {
        reader.line(place, line);
    }
    if let Some((table, place)) = reader.table.take() {
        reader.unread(place, format!("the table `{table}` has no COMMIT, so iptables-restore does not load it"));
    }
    reader.dump.break_cycles();
    reader.dump
}

/// The family that a file must be of, by its addresses and protocols. `None`: it may be either.
#[must_use]
pub fn guess_family(text: &str) -> Option<Family> {
    let rules = || text.lines().filter(|line| !line.starts_with('#'));
    let word = |test: fn(&str) -> bool| rules().any(|line| line.split_ascii_whitespace().any(test));
    if word(|word| matches!(word, "ipv6-icmp" | "icmpv6" | "icmp6" | "--icmpv6-type" | "hl" | "ipv6header")) {
        return Some(Family::V6);
    }
    let address = |word: &str| word.split(['/', '-', ',']).next().map(str::to_string).unwrap_or_default();
    for line in rules() {
        for word in line.split_ascii_whitespace() {
            if let Ok(address) = address(word).parse::<std::net::IpAddr>() {
                return Some(Family::of(address));
            }
        }
    }
    word(|word| matches!(word, "icmp" | "--icmp-type" | "ttl")).then_some(Family::V4)
}

/// Lines that say something, with their places.
fn lines(file: FileId, text: &str) -> impl Iterator<Item = (Place, &str)> {
    let mut start = 0usize;
    text.split_inclusive('\n').filter_map(move |raw| {
        let at = start;
        start += raw.len();
        let line = raw.trim_end();
        let lead = line.len() - line.trim_start().len();
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let place = Place { file, start: number(at + lead), end: number(at + line.len()) };
        let line = line.trim_start();
        (!line.is_empty() && !line.starts_with('#')).then_some((place, line))
    })
}

struct Reader<'a> {
    family: Family,
    ipsets: &'a Ipsets,
    dump: Dump,
    /// Chains by table and name.
    known: HashMap<(String, String), ChainId>,
    /// The table that is being read, with its line.
    table: Option<(String, Place)>,
    /// The tables that have been read.
    seen: Vec<String>,
}

impl Reader<'_> {
    fn unread(&mut self, place: Place, why: String) {
        self.dump.unread.push(Unread { place, why });
    }

    /// First pass: tables and chains, so that rules can jump to chains that come later.
    fn declaration(&mut self, place: Place, line: &str) {
        if let Some(name) = line.strip_prefix('*') {
            self.table = Some((name.trim().to_string(), place));
        } else if line == "COMMIT" {
            self.table = None;
        } else if let (Some(rest), Some((table, _))) = (line.strip_prefix(':'), self.table.clone()) {
            let mut words = rest.split_ascii_whitespace();
            let (Some(name), policy) = (words.next(), words.next().unwrap_or("-")) else { return };
            let policy = if policy == "DROP" { Fate::Drop } else { Fate::Accept };
            let chain = Chain {
                base: base(&table, name, policy),
                table: table.clone(),
                family: Some(self.family),
                name: name.to_string(),
                rules: Vec::new(),
                place,
            };
            self.known.insert((table, name.to_string()), ChainId(self.dump.chains.len()));
            self.dump.chains.push(chain);
        }
    }

    /// Second pass: rules, and whatever is wrong.
    fn line(&mut self, place: Place, line: &str) {
        if let Some(name) = line.strip_prefix('*') {
            if let Some((open, at)) = self.table.take() {
                self.unread(at, format!("the table `{open}` has no COMMIT, so iptables-restore does not load it"));
            }
            let name = name.trim().to_string();
            if self.seen.contains(&name) {
                let why = "comes a second time: iptables-restore empties it before it reads on";
                self.unread(place, format!("the table `{name}` {why}"));
            }
            self.seen.push(name.clone());
            if !TABLES.contains(&name.as_str()) {
                self.unread(place, format!("there is no table `{name}`"));
            }
            self.table = Some((name, place));
        } else if line == "COMMIT" {
            if self.table.take().is_none() {
                self.unread(place, "COMMIT without a table".to_string());
            }
        } else if line.starts_with(':') {
            if self.table.is_none() {
                self.unread(place, "a chain without a table".to_string());
            }
        } else if let Some((table, _)) = self.table.clone() {
            self.rule(place, &table, line);
        } else {
            self.unread(place, "a rule without a table".to_string());
        }
    }

    fn rule(&mut self, place: Place, table: &str, line: &str) {
        let known = &self.known;
        let chains = |name: &str| known.get(&(table.to_string(), name.to_string())).copied();
        let context = Context { family: self.family, ipsets: self.ipsets, chains: &chains };
        match rule::read(&context, place, line) {
            Ok(None) => {}
            Ok(Some((name, rule))) => match chains(&name).and_then(|id| self.dump.chains.get_mut(id.0)) {
                Some(chain) => chain.rules.push(rule),
                None => self.unread(place, format!("the chain `{name}` is not declared in the table `{table}`")),
            },
            Err(why) => self.unread(place, why),
        }
    }
}

const TABLES: [&str; 5] = ["raw", "mangle", "nat", "filter", "security"];

/// Where the kernel calls a built-in chain (`NF_IP_PRI_*`).
fn base(table: &str, chain: &str, policy: Fate) -> Option<Base> {
    let hook = match chain {
        "PREROUTING" => Hook::Prerouting,
        "INPUT" => Hook::Input,
        "FORWARD" => Hook::Forward,
        "OUTPUT" => Hook::Output,
        "POSTROUTING" => Hook::Postrouting,
        _ => return None,
    };
    let (priority, kind) = match (table, hook) {
        ("raw", _) => (-300, ChainKind::Filter),
        ("mangle", Hook::Output) => (-150, ChainKind::Route),
        ("mangle", _) => (-150, ChainKind::Filter),
        ("nat", Hook::Prerouting | Hook::Output) => (-100, ChainKind::Nat),
        ("nat", _) => (100, ChainKind::Nat),
        ("filter", _) => (0, ChainKind::Filter),
        ("security", _) => (50, ChainKind::Filter),
        _ => return None,
    };
    Some(Base { hook, priority, kind, policy })
}

#[cfg(test)]
mod tests;
