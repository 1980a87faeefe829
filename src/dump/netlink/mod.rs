//! Netlink messages of nf_tables: those that fwc sends, and those with which the kernel lists what it holds.

pub(super) mod action;
mod extension;
pub(super) mod field;
mod lookup;
mod program;
pub(super) mod question;
pub(super) mod register;
mod set;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::listing::{self, DraftChain, DraftRule};
use super::{Base, ChainId, ChainKind, Dump, Hook, Position};
use crate::kernel::nf_tables::{self, chain, elements, message, rule, set as set_attribute, table};
use crate::kernel::wire::{self, Fields, Malformed, Message};
use crate::net::Family;
use crate::source::Sources;
use crate::spec::Fate;
use lookup::Read;
use program::Program;
use set::Set;

/// `NFTA_HOOK_PRIORITY`
const HOOK_PRIORITY: u16 = 2;
/// `NFTA_CHAIN_POLICY`
const POLICY: u16 = 5;
/// `NFT_TABLE_F_DORMANT`
const DORMANT: u64 = 1;
/// `NFTA_LOOKUP_SET` and `NFTA_LOOKUP_SET_ID`
const LOOKUP_SET: u16 = 1;
const LOOKUP_SET_ID: u16 = 4;

/// Reads messages that make a ruleset, be they sent or listed, in any order in which sets stand before their elements. The listing that gives
/// the rules their places is added to the sources under `name`.
///
/// # Errors
/// The messages are malformed, or something belongs to a chain or set that is not there.
pub fn of_messages(bytes: &[u8], sources: &mut Sources, name: &str) -> Result<Dump, Malformed> {
    Tables::default().read(bytes)?.finish(sources, name)
}

/// The words of every rule of the messages, in their order, without comments. Sets are told by their names.
///
/// # Errors
/// As [`of_messages`].
pub fn rule_words(bytes: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut tables = Tables::default().read(bytes)?;
    tables.names_sets = true;
    let names: Vec<String> = tables.chains.iter().map(|chain| chain.name.clone()).collect();
    tables.rules.iter().map(|raw| Ok(listing::ways_words(&tables.rule(raw)?, &names))).collect()
}

/// The same of messages with which this host lists what it holds. Rules that ask for an interface by its index (`iif`, `oif`) ask for the name that
/// `interface` gives: indices mean nothing elsewhere.
///
/// # Errors
/// As [`of_messages`].
pub fn of_this_host(
    bytes: &[u8],
    interface: fn(u32) -> Option<String>,
    sources: &mut Sources,
    name: &str,
) -> Result<Dump, Malformed> {
    Tables { interface: Some(interface), ..Tables::default() }.read(bytes)?.finish(sources, name)
}

/// The kernel's objects.
#[derive(Debug, Default)]
pub(crate) struct Tables<'a> {
    tables: Vec<Table>,
    chains: Vec<DraftChain>,
    /// By table and name.
    chain_ids: HashMap<(usize, String), ChainId>,
    sets: Vec<Set<'a>>,
    /// The name of the interface with an index, where the messages are about this host.
    interface: Option<fn(u32) -> Option<String>>,
    /// By table and name.
    by_name: HashMap<(usize, String), usize>,
    /// By table and the number within a transaction.
    by_id: HashMap<(usize, u64), usize>,
    rules: Vec<RawRule<'a>>,
    cache: RefCell<Vec<Read>>,
    unread: BTreeSet<String>,
    /// Whether lookups in sets that have names are told by these names instead of the elements.
    names_sets: bool,
}

#[derive(Debug)]
struct Table {
    family: u8,
    name: String,
    dormant: bool,
    deleted: bool,
}

#[derive(Debug)]
struct RawRule<'a> {
    table: usize,
    chain: ChainId,
    fields: Fields<'a>,
}

impl<'a> Tables<'a> {
    fn read(mut self, bytes: &'a [u8]) -> Result<Self, Malformed> {
        for found in wire::messages(bytes) {
            self.take(&found?)?;
        }
        Ok(self)
    }

    fn take(&mut self, found: &Message<'a>) -> Result<(), Malformed> {
        let fields = Fields::of(found.attributes())?;
        match found.kind {
            message::NEW_TABLE => self.take_table(found.family(), &fields),
            message::DELETE_TABLE => {
                let gone = self.table(found.family(), &fields)?;
                self.tables.get_mut(gone).into_iter().for_each(|table| table.deleted = true);
                Ok(())
            }
            message::NEW_CHAIN => self.take_chain(found.family(), &fields),
            message::NEW_RULE => self.take_rule(found.family(), fields),
            message::NEW_SET => self.take_set(found.family(), &fields),
            message::NEW_ELEMENTS => self.take_elements(found.family(), &fields),
            kind => Err(Malformed::Kind(kind)),
        }
    }

    /// The table that an object belongs to: its name is attribute 1 of every object.
    fn table(&self, family: u8, fields: &Fields<'_>) -> Result<usize, Malformed> {
        let name = fields.text(table::NAME)?;
        let found = self.tables.iter().position(|table| !table.deleted && table.family == family && table.name == name);
        found.ok_or_else(|| Malformed::Orphan(format!("the table {name}")))
    }

    fn take_table(&mut self, family: u8, fields: &Fields<'_>) -> Result<(), Malformed> {
        let dormant = fields.number(table::FLAGS).unwrap_or(0) & DORMANT != 0;
        if let Ok(known) = self.table(family, fields) {
            self.tables.get_mut(known).into_iter().for_each(|table| table.dormant = dormant);
            return Ok(());
        }
        self.tables.push(Table { family, name: fields.text(table::NAME)?, dormant, deleted: false });
        Ok(())
    }

    fn take_chain(&mut self, family: u8, fields: &Fields<'_>) -> Result<(), Malformed> {
        let number = self.table(family, fields)?;
        let Some(table) = self.tables.get(number) else { return Ok(()) };
        let name = fields.text(chain::NAME)?;
        let label = format!("{} {}", family_word(family), table.name);
        let only = match family {
            2 => Some(Family::V4),
            10 => Some(Family::V6),
            _ => None,
        };
        let mut base = None;
        if let Some(hook) = fields.get(chain::HOOK)
            && !table.dormant
            && is_ip(family)
        {
            base = base_of(fields, &Fields::of(hook)?);
            if base.is_none() {
                self.unread.insert(format!("chain {name} of table {label}: its hook is not looked at"));
            }
        }
        let id = ChainId(self.chains.len());
        self.chain_ids.insert((number, name.clone()), id);
        self.chains.push(DraftChain { table: label, family: only, name, base, rules: Vec::new() });
        Ok(())
    }

    fn take_rule(&mut self, family: u8, fields: Fields<'a>) -> Result<(), Malformed> {
        let table = self.table(family, &fields)?;
        let name = fields.text(rule::CHAIN)?;
        let chain = self.chain(table, &name).ok_or_else(|| Malformed::Orphan(format!("the chain {name}")))?;
        self.rules.push(RawRule { table, chain, fields });
        Ok(())
    }

    fn take_set(&mut self, family: u8, fields: &Fields<'a>) -> Result<(), Malformed> {
        let table = self.table(family, fields)?;
        let number = self.sets.len();
        let set = Set::of(fields)?;
        self.by_name.insert((table, set.name.clone()), number);
        if let Some(id) = fields.number(set_attribute::ID) {
            self.by_id.insert((table, id), number);
        }
        self.sets.push(set);
        Ok(())
    }

    fn take_elements(&mut self, family: u8, fields: &Fields<'a>) -> Result<(), Malformed> {
        let table = self.table(family, fields)?;
        let name = fields.text(elements::SET)?;
        let number = self.set_number(table, &name, fields.number(elements::SET_ID));
        let orphan = || Malformed::Orphan(format!("the set {name}"));
        let set = number.and_then(|number| self.sets.get_mut(number)).ok_or_else(orphan)?;
        set.take(fields.get(elements::ELEMENTS).unwrap_or(&[]))
    }

    fn set_number(&self, table: usize, name: &str, id: Option<u64>) -> Option<usize> {
        let by_id = id.and_then(|id| self.by_id.get(&(table, id)));
        by_id.or_else(|| self.by_name.get(&(table, name.to_string()))).copied()
    }

    /// The set of a lookup.
    fn set(&self, table: usize, fields: &Fields<'_>) -> Option<(usize, &Set<'a>)> {
        let number = self.set_number(table, &fields.text(LOOKUP_SET).ok()?, fields.number(LOOKUP_SET_ID))?;
        Some((number, self.sets.get(number)?))
    }

    fn chain(&self, table: usize, name: &str) -> Option<ChainId> {
        self.chain_ids.get(&(table, name.to_string())).copied()
    }

    fn finish(mut self, sources: &mut Sources, name: &str) -> Result<Dump, Malformed> {
        for table in self.tables.iter().filter(|table| !table.deleted && !is_ip(table.family)) {
            let label = format!("{} {}", family_word(table.family), table.name);
            self.unread.insert(format!("table {label}: rules of this family are not looked at"));
        }
        let mut rules: BTreeMap<ChainId, Vec<DraftRule>> = BTreeMap::new();
        for raw in &self.rules {
            if self.tables.get(raw.table).is_some_and(|table| !table.deleted && is_ip(table.family)) {
                rules.entry(raw.chain).or_default().push(self.rule(raw)?);
            }
        }
        let gone = |table: &Table| table.deleted || !is_ip(table.family);
        for ((table, _), id) in &self.chain_ids {
            if let Some(chain) = self.chains.get_mut(id.0) {
                chain.rules = rules.remove(id).unwrap_or_default();
                if self.tables.get(*table).is_none_or(gone) {
                    chain.base = None;
                }
            }
        }
        Ok(listing::finish(self.chains, Family::BOTH.to_vec(), self.unread.into_iter().collect(), sources, name))
    }

    fn rule(&self, raw: &RawRule<'a>) -> Result<DraftRule, Malformed> {
        let family = self.chains.get(raw.chain.0).and_then(|chain| chain.family);
        let ways = Program::read(self, raw.table, family, raw.fields.get(rule::EXPRESSIONS).unwrap_or(&[]))?;
        let comment = raw.fields.get(rule::USER_DATA).and_then(|data| wire::user_data(data, nf_tables::COMMENT));
        let comment = comment.map(|bytes| Arc::from(wire::text(bytes)));
        Ok(DraftRule { ways, comment, position: raw.fields.number(rule::HANDLE).map(Position::Handle) })
    }
}

/// Whether a table's packets are IP packets at the hooks of the model.
fn is_ip(family: u8) -> bool {
    matches!(family, 1 | 2 | 10)
}

fn family_word(family: u8) -> String {
    match family {
        1 => "inet".to_string(),
        2 => "ip".to_string(),
        3 => "arp".to_string(),
        5 => "netdev".to_string(),
        7 => "bridge".to_string(),
        10 => "ip6".to_string(),
        other => format!("family-{other}"),
    }
}

/// How a chain is hooked in; `None` at a hook that the model does not have.
fn base_of(chain: &Fields<'_>, hook: &Fields<'_>) -> Option<Base> {
    let kind = match chain.text(chain::TYPE).as_deref() {
        Ok("nat") => ChainKind::Nat,
        Ok("route") => ChainKind::Route,
        _ => ChainKind::Filter,
    };
    let point = match hook.number(chain::HOOK_NUMBER)? {
        0 => Hook::Prerouting,
        1 => Hook::Input,
        2 => Hook::Forward,
        3 => Hook::Output,
        4 => Hook::Postrouting,
        _ => return None,
    };
    let priority = hook.get(HOOK_PRIORITY).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_be_bytes);
    let policy = if chain.number(POLICY) == Some(0) { Fate::Drop } else { Fate::Accept };
    Some(Base { hook: point, priority, kind, policy })
}
