//! NAT rules of nf_tables, iptables-nft included.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::program::{ForeignSet, Program, is_nat};
use super::{Backend, NatRule, Position, TableFamily, Values};
use crate::kernel::KernelError;
use crate::kernel::nf_tables::{self, INET, chain, data, element, elements, message, rule, set, set_flag};
use crate::kernel::socket::Socket;
use crate::kernel::wire::{self, Fields, Malformed, Request};
use crate::policy::footprint::NatHook;

const ASKED: &str = "list the nf_tables NAT rules";

fn malformed(why: Malformed) -> KernelError {
    KernelError::Malformed { asked: ASKED, why }
}

/// A table by its family's number and its name.
type TableId = (u8, String);

/// A rule with NAT in it, not yet understood.
struct Found {
    chain: String,
    handle: u64,
    expressions: Vec<u8>,
}

/// The NAT rules of all tables but fwc's own that have a NAT hook.
pub(super) fn rules(socket: &mut Socket) -> Result<Vec<NatRule>, KernelError> {
    let mut rules = Vec::new();
    for (table, hooks) in tables(socket)? {
        let found = match in_table(socket, &table) {
            // The table vanished meanwhile.
            Err(KernelError::Refused { errno: Errno::ENOENT, .. }) => continue,
            found => found?,
        };
        let mut sets = BTreeMap::new();
        for found in found {
            let family = TableFamily::of(table.0);
            let program = Program::read(&found.expressions, family, |name| {
                sets.entry(name.to_string()).or_insert_with(|| foreign_set(socket, &table, name)).clone()
            });
            let Some((action, matching)) = program.map_err(malformed)? else { continue };
            let (table, chain, handle) = (table.1.clone(), found.chain, found.handle);
            rules.push(NatRule {
                backend: Backend::NfTables,
                family,
                hook: hooks.get(&chain).copied().flatten(),
                text: format!("{family} {table} {chain} handle {handle}: {matching}{action}"),
                table,
                chain,
                position: Position::Handle(handle),
                kind: action.kind,
                matching,
                target: action.target,
            });
        }
    }
    Ok(rules)
}

/// The hooks of a table's nat chains, by the chains' names.
type Hooks = BTreeMap<String, Option<NatHook>>;

/// The tables with a chain of type nat.
fn tables(socket: &mut Socket) -> Result<BTreeMap<TableId, Hooks>, KernelError> {
    let request = Request::netfilter(message::GET_CHAIN, 0, 0);
    socket.dump(ASKED, &request, BTreeMap::new, |tables: &mut BTreeMap<TableId, Hooks>, message| {
        let fields = Fields::of(message.attributes()).map_err(malformed)?;
        let table = (message.family(), fields.text(chain::TABLE).map_err(malformed)?);
        let nat = fields.text(chain::TYPE).is_ok_and(|kind| kind == "nat");
        if nat && (table.0, table.1.as_str()) != (INET, nf_tables::TABLE) {
            let name = fields.text(chain::NAME).map_err(malformed)?;
            let inside = Fields::of(fields.get(chain::HOOK).unwrap_or(&[])).map_err(malformed)?;
            let hook = inside.number(chain::HOOK_NUMBER).and_then(hook_of);
            tables.entry(table).or_default().insert(name, hook);
        }
        Ok(())
    })
}

/// `enum nf_inet_hooks` of the kernel.
fn hook_of(number: u64) -> Option<NatHook> {
    match number {
        0 => Some(NatHook::Prerouting),
        1 => Some(NatHook::Input),
        3 => Some(NatHook::Output),
        4 => Some(NatHook::Postrouting),
        _ => None,
    }
}

fn in_table(socket: &mut Socket, table: &TableId) -> Result<Vec<Found>, KernelError> {
    let request = Request::netfilter(message::GET_RULE, 0, table.0).with_text(rule::TABLE, &table.1);
    socket.dump(ASKED, &request, Vec::new, |found, message| {
        let fields = Fields::of(message.attributes()).map_err(malformed)?;
        let expressions = fields.get(rule::EXPRESSIONS).unwrap_or(&[]);
        if is_nat(expressions).map_err(malformed)? {
            found.push(Found {
                chain: fields.text(rule::CHAIN).map_err(malformed)?,
                handle: fields.number(rule::HANDLE).ok_or(malformed(Malformed::Missing(rule::HANDLE)))?,
                expressions: expressions.to_vec(),
            });
        }
        Ok(())
    })
}

/// The values in a set; none where it cannot be read or its keys are concatenated ranges.
fn foreign_set(socket: &mut Socket, table: &TableId, name: &str) -> Option<ForeignSet> {
    let request =
        Request::netfilter(message::GET_SET, 0, table.0).with_text(set::TABLE, &table.1).with_text(set::NAME, name);
    let (flags, length) = socket
        .ask(ASKED, &request, |message| {
            let fields = Fields::of(message.attributes()).map_err(malformed)?;
            Ok((fields.number(set::FLAGS).unwrap_or(0), fields.number(set::KEY_LENGTH).unwrap_or(0)))
        })
        .ok()?;
    if flags & set_flag::CONCATENATED != 0 {
        return None;
    }
    let request = Request::netfilter(message::GET_ELEMENTS, 0, table.0)
        .with_text(elements::TABLE, &table.1)
        .with_text(elements::SET, name);
    let keys = socket.dump(ASKED, &request, Vec::new, |keys, message| {
        let list = Fields::of(message.attributes()).map_err(malformed)?.get(elements::ELEMENTS);
        for attribute in wire::attributes(list.unwrap_or(&[])) {
            let fields = Fields::of(attribute.map_err(malformed)?.value).map_err(malformed)?;
            keys.push((number(&fields, element::KEY), fields.number(element::FLAGS).unwrap_or(0)));
        }
        Ok(())
    });
    Some((ranges(keys.ok()?, flags & set_flag::INTERVAL != 0)?, length))
}

fn number(fields: &Fields<'_>, kind: u16) -> Option<u128> {
    wire::big_endian(Fields::of(fields.get(kind)?).ok()?.get(data::VALUE)?)
}

/// The ranges of a set's keys. In an interval set each range is a start and, unless it reaches the last value, an end
/// behind its last value.
fn ranges(keys: Vec<(Option<u128>, u64)>, intervals: bool) -> Option<Values> {
    let mut all = Vec::with_capacity(keys.len());
    for (key, flags) in keys {
        // A key that is not there is the catch-all element.
        all.push((key?, flags & element::INTERVAL_END == 0));
    }
    if !intervals {
        return Some(Values::from_ranges(all.into_iter().map(|(key, _)| (key, key))));
    }
    // Where a range ends as the next one starts, the end comes first.
    all.sort_unstable();
    let mut ranges = Vec::new();
    let mut open = None;
    for (key, is_start) in all {
        if let Some(start) = open.take() {
            ranges.push((start, key.checked_sub(1)?));
        }
        open = is_start.then_some(key);
    }
    ranges.extend(open.map(|start| (start, u128::MAX)));
    Some(Values::from_ranges(ranges))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_ends_are_exclusive() {
        let keys = vec![(Some(20), 0), (Some(0), 1), (Some(10), 0), (Some(20), 1), (Some(30), 1), (Some(90), 0)];
        let expected = Values::from_ranges([(10, 29), (90, u128::MAX)]);
        assert_eq!(ranges(keys.clone(), true), Some(expected));
        let hash = vec![(Some(7), 0), (Some(9), 0)];
        assert_eq!(ranges(hash, false), Some(Values::from_ranges([(7, 7), (9, 9)])));
        assert_eq!(ranges(vec![(None, 2)], false), None);
    }
}
