//! Tables of iptables-legacy as the kernel gives them. Matches and targets lie in them as iptables-nft puts them into a rule of nf_tables, so they are
//! read by the same reader.

use std::collections::HashMap;
use std::sync::Arc;

use super::base;
use crate::dump::builder::RuleBuilder;
use crate::dump::listing::{self, DraftChain, DraftRule};
use crate::dump::netlink::action::{extension_match, extension_target};
use crate::dump::netlink::field::{addresses, under_prefix};
use crate::dump::netlink::register::hex;
use crate::dump::{ChainId, Condition, Dump, InterfacePattern, Parts, Position, Side, Test, Verdict, Way};
use crate::kernel::legacy::LegacyTable;
use crate::kernel::wire::{self, Malformed, u16_at, u32_at};
use crate::net::{Family, RangeSet};
use crate::source::Sources;
use crate::spec::Fate;

/// Reads the tables of one family. The listing that gives the rules their places is added to the sources under `name`.
///
/// # Errors
/// The entries are malformed.
pub fn of_tables(tables: &[LegacyTable], family: Family, sources: &mut Sources, name: &str) -> Result<Dump, Malformed> {
    let mut chains = Vec::new();
    for table in tables {
        let first = chains.len();
        chains.extend(Reader { table, family, layout: Layout::of(family) }.chains(first)?);
    }
    Ok(listing::finish(chains, vec![family], Vec::new(), sources, name))
}

/// The built-in chains, by hook number.
const HOOKS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// Where the parts of `struct ipt_entry` or `ip6t_entry` are, in bytes.
struct Layout {
    /// Width of an address.
    address: usize,
    /// `iniface`, behind the addresses and masks.
    interfaces: usize,
    protocol: usize,
    flags: usize,
    inverted: usize,
    target_offset: usize,
    next_offset: usize,
    /// The matches.
    matches: usize,
    /// `IPT_F_GOTO`, `IP6T_F_GOTO`.
    goto: u8,
}

const V4: Layout = Layout {
    address: 4,
    interfaces: 16,
    protocol: 80,
    flags: 82,
    inverted: 83,
    target_offset: 88,
    next_offset: 90,
    matches: 112,
    goto: 2,
};

const V6: Layout = Layout {
    address: 16,
    interfaces: 64,
    protocol: 128,
    flags: 131,
    inverted: 132,
    target_offset: 140,
    next_offset: 142,
    matches: 168,
    goto: 4,
};

impl Layout {
    fn of(family: Family) -> &'static Layout {
        match family {
            Family::V4 => &V4,
            Family::V6 => &V6,
        }
    }
}

/// Bytes of `struct xt_entry_match` and `xt_entry_target` before their data: size (u16), name (29), revision.
const EXTENSION: usize = 32;

/// A match or target.
struct Extension<'a> {
    name: String,
    revision: u64,
    data: &'a [u8],
    /// Bytes of all of it.
    size: usize,
}

impl<'a> Extension<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let size = usize::from(u16_at(bytes, 0)?);
        let (name, revision) = (wire::text(bytes.get(2..31)?), u64::from(*bytes.get(31)?));
        Some(Extension { name, revision, data: bytes.get(EXTENSION..size)?, size })
    }
}

/// An entry: a rule, or the head of a chain.
struct Entry<'a> {
    /// Where it is in the table.
    at: usize,
    bytes: &'a [u8],
    target: Extension<'a>,
}

/// A chain and its entries, its policy not among them.
struct RawChain<'a> {
    name: String,
    /// The number of its hook.
    hook: Option<usize>,
    policy: Fate,
    /// Where its first rule is: jumps lead there.
    start: usize,
    entries: Vec<Entry<'a>>,
}

struct Reader<'a> {
    table: &'a LegacyTable,
    family: Family,
    layout: &'static Layout,
}

impl<'a> Reader<'a> {
    /// The chains; `first` is the id of the first one.
    fn chains(&self, first: usize) -> Result<Vec<DraftChain>, Malformed> {
        let raw = self.raw()?;
        let ids: HashMap<usize, ChainId> =
            raw.iter().enumerate().map(|(at, chain)| (chain.start, ChainId(first + at))).collect();
        let mut chains = Vec::with_capacity(raw.len());
        for chain in raw {
            let mut rules = Vec::with_capacity(chain.entries.len());
            for (at, entry) in chain.entries.iter().enumerate() {
                rules.push(self.rule(entry, at + 1, &ids).ok_or(Malformed::Message)?);
            }
            chains.push(DraftChain {
                table: self.table.name.clone(),
                family: Some(self.family),
                base: chain.hook.and_then(|_| base(&self.table.name, &chain.name, chain.policy)),
                name: chain.name,
                rules,
            });
        }
        Ok(chains)
    }

    /// The entries by their chains. The last one of a chain is its policy, or the return of a chain that others jump to.
    fn raw(&self) -> Result<Vec<RawChain<'a>>, Malformed> {
        let all = &self.table.entries;
        let mut chains: Vec<RawChain<'a>> = Vec::new();
        let mut at = 0;
        while let Some(rest) = all.get(at..).filter(|rest| !rest.is_empty()) {
            let entry = self.entry(at, rest).ok_or(Malformed::Message)?;
            let next = at + entry.bytes.len();
            let hook = self.table.starts.iter().position(|start| *start == Some(at));
            let chain =
                |name: String, hook, start, entries| RawChain { name, hook, policy: Fate::Accept, start, entries };
            match (hook, entry.target.name.as_str(), chains.last_mut()) {
                (Some(hook), ..) => {
                    let name = HOOKS.get(hook).copied().unwrap_or_default().to_string();
                    chains.push(chain(name, Some(hook), at, vec![entry]));
                }
                // The end of the table, or the head of a chain.
                (None, "ERROR", _) if next == all.len() => {}
                (None, "ERROR", _) => chains.push(chain(wire::text(entry.target.data), None, next, Vec::new())),
                (None, _, Some(chain)) => chain.entries.push(entry),
                (None, _, None) => return Err(Malformed::Message),
            }
            at = next;
        }
        for chain in &mut chains {
            let last = chain.entries.pop().ok_or(Malformed::Message)?;
            let Some(hook) = chain.hook else { continue };
            if self.table.policies.get(hook).copied().flatten() != Some(last.at) {
                return Err(Malformed::Message);
            }
            if standard(&last.target) == Some(-1) {
                chain.policy = Fate::Drop;
            }
        }
        Ok(chains)
    }

    fn entry(&self, at: usize, rest: &'a [u8]) -> Option<Entry<'a>> {
        let target = usize::from(u16_at(rest, self.layout.target_offset)?);
        let next = usize::from(u16_at(rest, self.layout.next_offset)?);
        let target = Extension::read(rest.get(target.max(self.layout.matches)..next)?)?;
        Some(Entry { at, bytes: rest.get(..next)?, target })
    }

    fn rule(&self, entry: &Entry<'_>, number: usize, chains: &HashMap<usize, ChainId>) -> Option<DraftRule> {
        let mut rule = RuleBuilder::default();
        self.header(entry.bytes).into_iter().flatten().for_each(|one| rule.add(one));
        let mut comment = None;
        let end = usize::from(u16_at(entry.bytes, self.layout.target_offset)?);
        let mut matches = entry.bytes.get(self.layout.matches..end)?;
        while !matches.is_empty() {
            let found = Extension::read(matches)?;
            if found.name == "comment" {
                comment = Some(Arc::from(wire::text(found.data)));
            } else {
                rule.act(extension_match(&found.name, found.revision, found.data, Some(self.family)));
            }
            matches = matches.get(found.size..)?;
        }
        let target = &entry.target;
        match target.name.as_str() {
            "" => rule.end(self.verdict(entry, standard(target)?, chains)),
            name => rule.act(extension_target(name, target.revision, target.data, Some(self.family))),
        }
        Some(DraftRule { ways: rule.finish(), comment, position: Some(Position::Number(number)) })
    }

    /// What a standard target does: a negative number is a verdict, another one where the rule is that comes next.
    fn verdict(&self, entry: &Entry<'_>, code: i32, chains: &HashMap<usize, ChainId>) -> Verdict {
        let goto = entry.bytes.get(self.layout.flags).is_some_and(|flags| flags & self.layout.goto != 0);
        match (code, usize::try_from(code)) {
            // The verdict of netfilter, negated, minus 1; `XT_RETURN`.
            (-1, _) => Verdict::Drop,
            (-2, _) => Verdict::Accept,
            (-4, _) => Verdict::Unknown("queue".to_string()),
            (-5, _) => Verdict::Return,
            // A rule without a target.
            (_, Ok(next)) if next == entry.at + entry.bytes.len() => Verdict::Continue,
            (_, Ok(next)) => match chains.get(&next) {
                Some(id) if goto => Verdict::Goto(*id),
                Some(id) => Verdict::Jump(*id),
                None => Verdict::Unknown("jump to nowhere".to_string()),
            },
            _ => Verdict::Unknown(format!("verdict {code}")),
        }
    }

    /// What `struct ipt_ip` or `ip6t_ip6` asks; `None` where the bytes end too soon.
    fn header(&self, entry: &[u8]) -> Option<Vec<Condition>> {
        let layout = self.layout;
        let (flags, inverted) = (*entry.get(layout.flags)?, *entry.get(layout.inverted)?);
        let mut all = Vec::new();
        let address = |index: usize| entry.get(index * layout.address..(index + 1) * layout.address);
        for (index, bit, side) in [(0, 0x08, Side::Source), (1, 0x10, Side::Destination)] {
            let (value, mask, negated) = (address(index)?, address(index + 2)?, inverted & bit != 0);
            if negated || mask.iter().any(|&byte| byte != 0) {
                all.push(Condition { negated, test: self.address(side, value, mask) });
            }
        }
        for (at, bit, way) in [(layout.interfaces, 0x01, Way::In), (layout.interfaces + 16, 0x02, Way::Out)] {
            let (name, mask) = (entry.get(at..at + 16)?, entry.get(at + 32..at + 48)?);
            let asked = interface(name, mask).map(|name| Test::Interface(way, vec![name]));
            all.extend(asked.map(|test| Condition { negated: inverted & bit != 0, test }));
        }
        let protocol = u16_at(entry, layout.protocol)?;
        // IPv6 looks at the protocol only if a flag is set.
        if protocol != 0 && (self.family == Family::V4 || flags & 1 != 0) {
            let numbers = u8::try_from(protocol).map_or_else(|_| RangeSet::default(), RangeSet::single);
            all.push(Condition { negated: inverted & 0x40 != 0, test: Test::Protocol(numbers) });
        }
        match self.family {
            Family::V4 if flags & 1 != 0 => {
                all.push(Condition { negated: inverted & 0x20 != 0, test: Test::Fragment(Parts::LATER) });
            }
            Family::V6 if flags & 2 != 0 => {
                let test = Test::Opaque { text: "the traffic class".into(), volatile: true };
                all.push(Condition { negated: inverted & 0x04 != 0, test });
            }
            _ => {}
        }
        Some(all)
    }

    fn address(&self, side: Side, value: &[u8], mask: &[u8]) -> Test {
        match under_prefix(value, mask) {
            Some((first, last)) => Test::Address(side, Arc::new(addresses(self.family, &RangeSet::range(first, last)))),
            None => {
                let text = format!("{side:?} address & {} == {}", hex(mask), hex(value));
                Test::Opaque { text: text.into(), volatile: false }
            }
        }
    }
}

/// An interface under its mask, which covers the final NUL of an exact name.
fn interface(name: &[u8], mask: &[u8]) -> Option<InterfacePattern> {
    let length = mask.iter().take_while(|&&byte| byte == 0xff).count();
    let name = name.get(..length).filter(|name| !name.is_empty())?;
    Some(InterfacePattern { prefix: !name.contains(&0), name: wire::text(name) })
}

/// The number in a standard target.
fn standard(target: &Extension<'_>) -> Option<i32> {
    let bytes = u32_at(target.data, 0).filter(|_| target.name.is_empty())?;
    Some(i32::from_ne_bytes(bytes.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(family: Family, starts: [Option<usize>; 5], entries: Vec<u8>) -> Result<Dump, Malformed> {
        let table = LegacyTable { name: "nat".to_string(), starts, policies: starts, entries };
        of_tables(&[table], family, &mut Sources::default(), "legacy")
    }

    proptest! {
        #[test]
        fn no_table_can_make_it_panic_or_run_on(
            ipv6 in any::<bool>(),
            mut entries in proptest::collection::vec(any::<u8>(), 0..600),
            target in 0u16..260,
            next in 0u16..400,
            name in 0usize..4,
        ) {
            // Lengths that are nearly right, and a target that is looked at closely.
            let family = if ipv6 { Family::V6 } else { Family::V4 };
            let layout = Layout::of(family);
            let mut put = |at: usize, bytes: &[u8]| {
                if let Some(slot) = entries.get_mut(at..at + bytes.len()) {
                    slot.copy_from_slice(bytes);
                }
            };
            put(layout.target_offset, &target.to_ne_bytes());
            put(layout.next_offset, &next.to_ne_bytes());
            put(usize::from(target), &40u16.to_ne_bytes());
            put(usize::from(target) + 2, [b"DNAT\0", b"ERROR", b"SNAT\0", b"\0\0\0\0\0"][name]);
            let _ = read(family, [Some(0), None, None, Some(7), Some(usize::MAX)], entries);
        }
    }

    #[test]
    fn an_entry_without_length_ends_the_reading() {
        assert_eq!(read(Family::V4, [None; 5], vec![0; 112]).unwrap_err(), Malformed::Message);
    }
}
