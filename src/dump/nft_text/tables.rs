//! The frame of the text: tables, what is added and deleted, and the blocks of chains.

use super::Text;
use super::names::number;
use super::sets::Set;
use crate::dump::{Base, ChainKind, Hook, Unread};
use crate::net::Family;
use crate::source::Place;
use crate::spec::Fate;

/// A table as far as it has been read.
#[derive(Debug)]
pub(super) struct Table {
    /// Family and name: `inet fwc`.
    pub name: String,
    pub family: Option<Family>,
    pub sets: Vec<Set>,
    pub chains: Vec<ChainText>,
}

/// A chain of which the rules are still to be read: they may refer to what stands behind them.
#[derive(Debug)]
pub(super) struct ChainText {
    pub name: String,
    pub hooked: Option<(Hook, i32, ChainKind)>,
    pub policy: Option<Fate>,
    /// The tokens with which the rules begin.
    pub rules: Vec<usize>,
    pub place: Place,
}

impl ChainText {
    pub(super) fn base(&self) -> Option<Base> {
        let policy = self.policy.unwrap_or(Fate::Accept);
        self.hooked.map(|(hook, priority, kind)| Base { hook, priority, kind, policy })
    }
}

impl Text<'_> {
    /// All statements of the text.
    pub(super) fn statements(&mut self) {
        loop {
            self.cursor.separators();
            let from = self.cursor.at();
            if self.cursor.kind().is_none() {
                return;
            }
            if !self.statement() {
                self.cursor.go(from);
                // An end of a block that never began.
                if self.cursor.take(&["}"]) {
                    self.unread(from, "no block begins before this end");
                } else {
                    self.unread_statement("not understood outside of a table");
                }
            }
        }
    }

    fn statement(&mut self) -> bool {
        if self.cursor.take(&["flush", "ruleset"]) {
            self.tables.clear();
            return self.cursor.ends_statement();
        }
        let deletes = self.cursor.take(&["delete"]);
        if !deletes {
            self.cursor.take(&["add"]);
        }
        if !self.cursor.take(&["table"]) {
            return false;
        }
        let Some((name, family)) = self.table_name() else { return false };
        if deletes {
            self.tables.retain(|table| table.name != name);
            return self.cursor.ends_statement();
        }
        let index = self.tables.iter().position(|table| table.name == name).unwrap_or_else(|| {
            self.tables.push(Table { name, family, sets: Vec::new(), chains: Vec::new() });
            self.tables.len() - 1
        });
        if self.cursor.take(&["{"]) {
            self.table(index);
        }
        self.cursor.ends_statement()
    }

    /// `None` for a family whose packets are not IP packets.
    fn table_name(&mut self) -> Option<(String, Option<Family>)> {
        let first = self.cursor.word()?;
        let family = match first {
            "inet" => None,
            "ip" => Some(Family::V4),
            "ip6" => Some(Family::V6),
            _ => return None,
        };
        let name = self.cursor.word()?;
        Some((format!("{first} {name}"), family))
    }

    fn table(&mut self, index: usize) {
        loop {
            self.cursor.separators();
            let from = self.cursor.at();
            if self.cursor.take(&["}"]) {
                return;
            }
            if self.cursor.kind().is_none() {
                return self.unread(from, "the table has no end");
            }
            if !self.block(index) {
                self.cursor.go(from);
                self.unread_statement("not understood in a table");
            }
        }
    }

    /// A set, a chain or the comment.
    fn block(&mut self, table: usize) -> bool {
        let from = self.cursor.at();
        let kind = self.cursor.word();
        if kind == Some("comment") {
            return self.cursor.string().is_some() && self.cursor.ends_statement();
        }
        let (Some("set" | "chain"), Some(name)) = (kind, self.cursor.word()) else { return false };
        let place = self.cursor.place(from);
        if !self.cursor.take(&["{"]) {
            return false;
        }
        if kind == Some("set") {
            let mut set = Set { name: name.to_string(), ..Set::default() };
            self.set(&mut set);
            self.add_set(table, set, place);
        } else {
            let name = name.to_string();
            let mut chain = ChainText { name, hooked: None, policy: None, rules: Vec::new(), place };
            self.chain(&mut chain);
            self.add_chain(table, chain);
        }
        self.cursor.ends_statement()
    }

    fn add_set(&mut self, table: usize, set: Set, place: Place) {
        let Some(table) = self.tables.get_mut(table) else { return };
        match table.sets.iter_mut().find(|other| other.name == set.name) {
            Some(other) => {
                other.unknown = true;
                self.unread.push(Unread { place, why: "a set of this name stands above".to_string() });
            }
            None => table.sets.push(set),
        }
    }

    /// The rules of a chain that is declared again come behind those that it has.
    fn add_chain(&mut self, table: usize, chain: ChainText) {
        let Some(table) = self.tables.get_mut(table) else { return };
        match table.chains.iter_mut().find(|other| other.name == chain.name) {
            Some(other) => {
                other.rules.extend(chain.rules);
                other.hooked = chain.hooked.or(other.hooked);
                other.policy = chain.policy.or(other.policy);
            }
            None => table.chains.push(chain),
        }
    }

    /// The block of a chain, behind its `{`.
    fn chain(&mut self, chain: &mut ChainText) {
        loop {
            self.cursor.separators();
            let from = self.cursor.at();
            if self.cursor.take(&["}"]) {
                return;
            }
            if self.cursor.kind().is_none() {
                return self.unread(from, "the chain has no end");
            }
            let read = match self.cursor.peek() {
                "type" => self.hooked(chain),
                "policy" => self.policy(chain),
                "comment" => self.cursor.take(&["comment"]) && self.cursor.string().is_some(),
                "flags" | "devices" => false,
                _ => {
                    chain.rules.push(from);
                    self.cursor.pass_statement();
                    true
                }
            };
            if !read || !self.cursor.ends_statement() {
                self.cursor.go(from);
                self.unread_statement("not understood in a chain");
            }
        }
    }

    /// `type filter hook input priority filter`
    fn hooked(&mut self, chain: &mut ChainText) -> bool {
        self.cursor.take(&["type"]);
        let kind = match self.cursor.word() {
            Some("filter") => ChainKind::Filter,
            Some("nat") => ChainKind::Nat,
            Some("route") => ChainKind::Route,
            _ => return false,
        };
        self.cursor.take(&["hook"]);
        let hook = match self.cursor.word() {
            Some("prerouting") => Hook::Prerouting,
            Some("input") => Hook::Input,
            Some("forward") => Hook::Forward,
            Some("output") => Hook::Output,
            Some("postrouting") => Hook::Postrouting,
            _ => return false,
        };
        self.cursor.take(&["priority"]);
        let Some(priority) = self.priority() else { return false };
        chain.hooked = Some((hook, priority, kind));
        self.cursor.ends_statement()
    }

    /// A number, or a name with something added or taken away.
    fn priority(&mut self) -> Option<i32> {
        let word = self.cursor.word()?;
        let base = match word {
            "raw" => -300,
            "mangle" => -150,
            "dstnat" => -100,
            "filter" => 0,
            "security" => 50,
            "srcnat" => 100,
            _ => return word.parse().ok(),
        };
        let sign = if self.cursor.take(&["+"]) { 1 } else { -1 };
        if sign == -1 && !self.cursor.take(&["-"]) {
            return Some(base);
        }
        let more: u16 = number(self.cursor.word()?)?;
        Some(base + sign * i32::from(more))
    }

    fn policy(&mut self, chain: &mut ChainText) -> bool {
        self.cursor.take(&["policy"]);
        chain.policy = match self.cursor.word() {
            Some("accept") => Some(Fate::Accept),
            Some("drop") => Some(Fate::Drop),
            _ => return false,
        };
        true
    }
}
