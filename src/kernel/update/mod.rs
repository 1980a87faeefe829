//! The messages that turn one table into another, so that what stays is not touched: its counters go on, and a change of ten elements in a million
//! takes the time of ten.
//!
//! Both tables are known by the messages that make them. What differs is decided on their normal forms, so that ids and the like do not count:
//!
//! - Sets of the same definition: elements that are gone are deleted, new ones added. A range of a plain interval set is two elements, its start and
//!   its end; both are deleted and added together, because the kernel takes a start without its end for another range.
//! - Sets that are gone are deleted, new ones added, if they come last, so that the table is listed as if it had been loaded as a whole.
//! - Chains: the rules at the start and at the end that are the same stay. Those between are deleted by their handles and put in by the position of
//!   the rule behind them.
//! - The chain of the signature is deleted and made anew: a comment cannot be changed.
//!
//! Anything else (another chain, another definition of a set, more elements than a set has room for) takes a load as a whole. Room: the kernel counts
//! an element that goes until the transaction is over, so there must be room for the old ones and the new ones.
//!
//! Deletions come before additions: a key may come back with another comment. The kernel carries all of it out at one moment, or nothing.

mod elements;
mod outline;

use std::collections::BTreeMap;
use std::ops::Range;

use nix::libc;

use super::KernelError;
use super::messages::{Messages, Part, Subject};
use super::nf_tables::{self, INET, chain, message, rule, set};
use super::normal::{Digest, NormalTable};
use super::socket::Socket;
use super::table::list;
use super::wire::{Fields, Malformed, Message, Request};
use crate::backend::nft::SIGNATURE;
use outline::{NamedSet, Outline, Piece};

const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const CREATE: u16 = libc::NLM_F_CREATE as u16 | REQUEST;

/// A table: the messages that make it, and what they make.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made<'m> {
    pub(super) messages: &'m Messages,
    pub(super) normal: &'m NormalTable,
}

/// The handles of each chain's rules, in order.
type Handles = BTreeMap<String, Vec<u64>>;

/// The messages that make `new` of `old`, which is the table in the kernel; none where it has to be loaded as a whole.
pub(super) fn between(socket: &mut Socket, old: Made<'_>, new: Made<'_>) -> Result<Option<Messages>, KernelError> {
    let request = Request::netfilter(message::GET_RULE, 0, INET).with_text(rule::TABLE, nf_tables::TABLE);
    let handles = list(socket, &request, |handles: &mut Handles, found| {
        let fields = Fields::of(found.attributes())?;
        let handle = fields.number(rule::HANDLE).ok_or(Malformed::Missing(rule::HANDLE))?;
        handles.entry(fields.text(rule::CHAIN)?).or_default().push(handle);
        Ok(())
    })?;
    let update = update(old, new, &handles);
    update.map_err(|why| KernelError::Malformed { asked: "compare two tables", why })
}

fn update(old: Made<'_>, new: Made<'_>, handles: &Handles) -> Result<Option<Messages>, Malformed> {
    if old.normal.own() != new.normal.own() {
        return Ok(None);
    }
    let (before, after) = (Outline::of(old.messages)?, Outline::of(new.messages)?);
    let chains = |table: &NormalTable| -> Vec<(String, Digest)> {
        table.chains.iter().map(|(name, chain)| (name.clone(), chain.digest)).collect()
    };
    if before.chains != after.chains || chains(old.normal) != chains(new.normal) {
        return Ok(None);
    }
    let (Some(sets), Some(signature)) = (Sets::of(&before, &after, old, new), &after.signature) else {
        return Ok(None);
    };
    let mut writer = Writer::default();
    let Some(rules) = changed_rules(old.normal, new.normal, handles) else { return Ok(None) };
    for (chain, changed) in &rules {
        changed.delete(chain, &mut writer);
    }
    let Some(changes) = sets.changes()? else { return Ok(None) };
    for (set, change) in &changes {
        change.delete(&set.name, &mut writer);
    }
    for name in &sets.gone {
        writer.push(&named(message::DELETE_SET, set::TABLE, set::NAME, name), &format!("set {name}"));
    }
    for piece in sets.new.iter().flat_map(|set| set.pieces()) {
        writer.copy(piece);
    }
    for (set, change) in &changes {
        change.add(&set.name, &mut writer);
    }
    for (chain, changed) in &rules {
        changed.add(after.rules.get(*chain).map_or(&[], Vec::as_slice), &mut writer);
    }
    writer.push(&named(message::DELETE_CHAIN, chain::TABLE, chain::NAME, SIGNATURE), "the signature");
    writer.copy(signature);
    let is_smaller = writer.messages.bytes.len() < new.messages.bytes.len();
    Ok(is_smaller.then_some(writer.messages))
}

/// A request about an object of the table by its name.
fn named(kind: u16, table: u16, attribute: u16, name: &str) -> Request {
    Request::netfilter(kind, REQUEST, INET).with_text(table, nf_tables::TABLE).with_text(attribute, name)
}

/// The named sets of two tables.
struct Sets<'o, 'm> {
    /// Of the same definition.
    both: Vec<(&'o NamedSet<'m>, &'o NamedSet<'m>)>,
    gone: Vec<String>,
    new: Vec<&'o NamedSet<'m>>,
}

impl<'o, 'm> Sets<'o, 'm> {
    /// None where a set has another definition, or would be listed at another place than if the table were loaded as a whole.
    fn of(before: &'o Outline<'m>, after: &'o Outline<'m>, old: Made<'_>, new: Made<'_>) -> Option<Self> {
        let find = |outline: &'o Outline<'m>, name: &str| outline.sets.iter().find(|set| set.name == name);
        let mut sets = Sets { both: Vec::new(), gone: Vec::new(), new: Vec::new() };
        for set in &before.sets {
            match find(after, &set.name) {
                None => sets.gone.push(set.name.clone()),
                Some(other) => {
                    let digest = |table: &NormalTable| table.sets.get(&set.name).map(|set| set.digest);
                    if digest(old.normal)? != digest(new.normal)? {
                        return None;
                    }
                    sets.both.push((set, other));
                }
            }
        }
        sets.new = after.sets.iter().filter(|set| find(before, &set.name).is_none()).collect();
        let stay = sets.both.iter().map(|(set, _)| &set.name).chain(sets.new.iter().map(|set| &set.name));
        stay.eq(after.sets.iter().map(|set| &set.name)).then_some(sets)
    }

    /// What changes in each; none where one has no room for it.
    fn changes(&self) -> Result<Option<Vec<(&'o NamedSet<'m>, elements::Change<'m>)>>, Malformed> {
        let mut changes = Vec::new();
        for (before, after) in &self.both {
            if before.has_same_messages(after) {
                continue;
            }
            let (old, new) = (before.elements()?, after.elements()?);
            let change = elements::Change::between(&old, &new);
            let needed = u64::try_from(old.len() + change.added.len()).unwrap_or(u64::MAX);
            if after.size.is_some_and(|size| needed > size) {
                return Ok(None);
            }
            changes.push((*after, change));
        }
        Ok(Some(changes))
    }
}

/// Which rules of a chain are others than before.
struct Rules<'h> {
    /// The handles of those that go.
    gone: &'h [u64],
    /// The new ones, by their numbers.
    new: Range<usize>,
    /// The rule that comes behind them.
    behind: Option<u64>,
}

/// The chains with other rules; none where the kernel's rules are not those of `old`.
fn changed_rules<'n, 'h>(
    old: &'n NormalTable,
    new: &'n NormalTable,
    handles: &'h Handles,
) -> Option<Vec<(&'n String, Rules<'h>)>> {
    let mut changed = Vec::new();
    for (name, chain) in &old.chains {
        let (before, after) = (chain.rules.as_slice(), new.chains.get(name)?.rules.as_slice());
        let handles = handles.get(name).map_or(&[][..], Vec::as_slice);
        if handles.len() != before.len() {
            return None;
        }
        let same = |(a, b): &(&Digest, &Digest)| a == b;
        let start = before.iter().zip(after).take_while(same).count();
        let most = before.len().min(after.len()) - start;
        let end = before.iter().rev().zip(after.iter().rev()).take(most).take_while(same).count();
        let (gone, new) = (start..before.len() - end, start..after.len() - end);
        if !gone.is_empty() || !new.is_empty() {
            let behind = handles.get(gone.end).copied();
            changed.push((name, Rules { gone: handles.get(gone)?, new, behind }));
        }
    }
    Some(changed)
}

impl Rules<'_> {
    fn delete(&self, chain: &str, writer: &mut Writer) {
        for handle in self.gone {
            let request = named(message::DELETE_RULE, rule::TABLE, rule::CHAIN, chain);
            writer.push(&request.with(rule::HANDLE, &handle.to_be_bytes()), &format!("a former rule of chain {chain}"));
        }
    }

    /// Each rule is the messages of its sets, and its own.
    fn add(&self, rules: &[Vec<Piece<'_>>], writer: &mut Writer) {
        for pieces in rules.get(self.new.clone()).unwrap_or(&[]) {
            for piece in pieces {
                match self.behind.filter(|_| piece.message.kind == message::NEW_RULE) {
                    // Without NLM_F_APPEND the kernel puts it before the rule at this position.
                    Some(behind) => writer.placed(piece, behind),
                    None => writer.copy(piece),
                }
            }
        }
    }
}

/// The messages so far.
#[derive(Default)]
struct Writer {
    messages: Messages,
}

impl Writer {
    fn part(&mut self, subject: Subject) {
        self.messages.index.push(Part { offset: self.messages.bytes.len(), subject });
    }

    fn push(&mut self, request: &Request, what: &str) {
        self.part(Subject { what: what.to_string(), place: None });
        self.append(request);
    }

    fn append(&mut self, request: &Request) {
        self.messages.bytes.extend(request.finish(0));
        self.messages.bytes.resize(self.messages.bytes.len().next_multiple_of(4), 0);
    }

    fn copy(&mut self, piece: &Piece<'_>) {
        let Message { kind, flags, payload, .. } = piece.message;
        self.part(piece.subject.clone());
        self.append(&Request::with_header(kind, flags, payload));
    }

    fn placed(&mut self, piece: &Piece<'_>, behind: u64) {
        let Message { kind, flags, payload, .. } = piece.message;
        self.part(piece.subject.clone());
        let request = Request::with_header(kind, flags & !(libc::NLM_F_APPEND as u16), payload);
        self.append(&request.with(rule::POSITION, &behind.to_be_bytes()));
    }
}
