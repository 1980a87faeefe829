//! NAT rules of iptables-legacy, read as iptables-legacy-save does: by getsockopt, in the layout of a 64-bit kernel and
//! process (`linux/netfilter_ipv4/ip_tables.h`, `linux/netfilter_ipv6/ip6_tables.h`).

use std::fs;
use std::io::ErrorKind;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::facts::{Facts, Field};
use super::{Action, Backend, InterfacePattern, NatRule, Position, TableFamily, xtables};
use crate::kernel::KernelError;
use crate::kernel::wire::{self, Malformed, big_endian, u16_at, u32_at};
use crate::net::Family;
use crate::policy::footprint::NatHook;
use crate::sys::socket_option::{XtablesQuestion, ask_xtables};

/// `XT_TABLE_MAXNAMELEN`.
const NAME: usize = 32;
/// Bytes of `struct ipt_getinfo`.
const INFO: usize = 84;
/// Bytes of `struct ipt_get_entries` before the entries, which are aligned to 8.
const ENTRIES: usize = 40;
/// How often to ask again when somebody changes the table meanwhile.
const TRIES: usize = 20;
/// The built-in chains, by hook number.
const HOOKS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// The name of the tool for a family.
pub(super) fn tool(ipv6: bool) -> &'static str {
    if ipv6 { "ip6tables-legacy" } else { "iptables-legacy" }
}

/// The NAT rules of one family.
pub(super) fn rules(ipv6: bool) -> Result<Vec<NatRule>, KernelError> {
    // A table that is not listed is not loaded, and asking for it would load it.
    let path = if ipv6 { "/proc/thread-self/net/ip6_tables_names" } else { "/proc/thread-self/net/ip_tables_names" };
    let names = match fs::read_to_string(path) {
        Ok(names) => names,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
            return Err(KernelError::Call { doing: "read the names of the legacy tables", errno });
        }
    };
    if !names.lines().any(|name| name == "nat") {
        return Ok(Vec::new());
    }
    let table = read(ipv6, "nat")?;
    table.rules().map_err(|why| KernelError::Malformed { asked: ASKED, why })
}

const ASKED: &str = "list the legacy NAT rules";

/// A table as the kernel gives it.
#[derive(Debug, Clone)]
struct LegacyTable {
    ipv6: bool,
    /// Where each hook's chain starts, in bytes; none where the table has no such chain.
    starts: [Option<usize>; 5],
    entries: Vec<u8>,
}

fn read(ipv6: bool, name: &str) -> Result<LegacyTable, KernelError> {
    if !cfg!(target_pointer_width = "64") {
        // The entries of a 32-bit process have another layout.
        return Err(KernelError::Call { doing: ASKED, errno: Errno::ENOSYS });
    }
    let family = if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let call = |errno| KernelError::Call { doing: ASKED, errno };
    let socket = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map_err(call)?;
    let malformed = KernelError::Malformed { asked: ASKED, why: Malformed::Message };
    for _ in 0..TRIES {
        let mut info = vec![0; INFO];
        wire::patch(&mut info, 0, name.as_bytes());
        ask_xtables(&socket, ipv6, XtablesQuestion::Info, &mut info).map_err(call)?;
        let valid = u32_at(&info, NAME).unwrap_or(0);
        let Some(size) = u32_at(&info, 80) else { return Err(malformed) };
        let starts = [0, 1, 2, 3, 4].map(|hook| {
            let start = u32_at(&info, 36 + 4 * hook).map(|start| start as usize);
            start.filter(|_| valid & 1 << hook != 0)
        });
        let mut entries = vec![0; ENTRIES + size as usize];
        wire::patch(&mut entries, 0, name.as_bytes());
        wire::patch(&mut entries, NAME, &size.to_ne_bytes());
        match ask_xtables(&socket, ipv6, XtablesQuestion::Entries, &mut entries) {
            Ok(_) => return Ok(LegacyTable { ipv6, starts, entries: entries.split_off(ENTRIES) }),
            // The table changed its size in between.
            Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(call(errno)),
        }
    }
    Err(KernelError::Unsettled { asked: ASKED })
}

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
};

/// Bytes of `struct xt_entry_match` and `xt_entry_target` before their data: size (u16), name (29), revision.
const EXTENSION: usize = 32;

/// A match or target: its name, revision, data and whole size.
fn extension(bytes: &[u8]) -> Option<(String, u8, &[u8], usize)> {
    let size = usize::from(u16_at(bytes, 0)?);
    let name = wire::text(bytes.get(2..31)?);
    Some((name, *bytes.get(31)?, bytes.get(EXTENSION..size)?, size))
}

impl LegacyTable {
    fn rules(&self) -> Result<Vec<NatRule>, Malformed> {
        let mut rules = Vec::new();
        let (mut chain, mut number) = (String::new(), 0);
        let mut at = 0;
        while let Some(entry) = self.entries.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(hook) = self.starts.iter().position(|start| *start == Some(at)) {
                (chain, number) = (HOOKS.get(hook).copied().unwrap_or_default().to_string(), 0);
            }
            let (name, revision, data, next) = self.target(entry).ok_or(Malformed::Message)?;
            if name == "ERROR" {
                // The head of a user's chain, or the end of the table.
                (chain, number) = (wire::text(data), 0);
            } else {
                number += 1;
                let family = if self.ipv6 { Family::V6 } else { Family::V4 };
                if let Some(action) = xtables::target(&name, revision, data, Some(family)) {
                    let facts = self.facts(entry, family).ok_or(Malformed::Message)?;
                    rules.push(self.rule(&chain, number, &action, facts));
                }
            }
            at += next;
        }
        Ok(rules)
    }

    fn rule(&self, chain: &str, number: usize, action: &Action, facts: Facts) -> NatRule {
        let family = if self.ipv6 { TableFamily::Ip6 } else { TableFamily::Ip };
        let matching = facts.finish();
        NatRule {
            backend: Backend::Legacy,
            family,
            table: "nat".to_string(),
            chain: chain.to_string(),
            hook: match chain {
                "PREROUTING" => Some(NatHook::Prerouting),
                "INPUT" => Some(NatHook::Input),
                "OUTPUT" => Some(NatHook::Output),
                "POSTROUTING" => Some(NatHook::Postrouting),
                _ => None,
            },
            position: Position::Number(number),
            kind: action.kind.clone(),
            text: format!("{} nat {chain} rule {number}: {matching}{action}", tool(self.ipv6)),
            matching,
            target: action.target.clone(),
        }
    }

    fn layout(&self) -> &'static Layout {
        if self.ipv6 { &V6 } else { &V4 }
    }

    /// An entry's target, and the offset to the next entry, which is never 0.
    fn target<'a>(&self, entry: &'a [u8]) -> Option<(String, u8, &'a [u8], usize)> {
        let layout = self.layout();
        let target = usize::from(u16_at(entry, layout.target_offset)?);
        let next = usize::from(u16_at(entry, layout.next_offset)?);
        let (name, revision, data, _) = extension(entry.get(target.max(layout.matches)..next)?)?;
        Some((name, revision, data, next))
    }

    fn facts(&self, entry: &[u8], family: Family) -> Option<Facts> {
        let layout = self.layout();
        let mut facts = Facts::new(Some(family));
        let inverted = *entry.get(layout.inverted)?;
        let address = |index: usize| big_endian(entry.get(index * layout.address..(index + 1) * layout.address)?);
        for (index, bit, field) in [(0, 0x08, Field::Source), (1, 0x10, Field::Destination)] {
            let (value, mask) = (address(index)?, address(index + 2)?);
            if mask != 0 || inverted & bit != 0 {
                facts.narrow_bits(field, layout.address as u32 * 8, value, mask, inverted & bit != 0);
            }
        }
        facts.incoming = interface(entry, layout.interfaces, inverted & 0x01 != 0, &mut facts.understood)?;
        facts.outgoing = interface(entry, layout.interfaces + 16, inverted & 0x02 != 0, &mut facts.understood)?;
        let protocol = u128::from(u16_at(entry, layout.protocol)?);
        let flags = *entry.get(layout.flags)?;
        // IPv6 looks at the protocol only if this flag is set.
        if protocol != 0 && (!self.ipv6 || flags & 1 != 0) {
            facts.narrow_bits(Field::Protocol, 8, protocol, 0xff, inverted & 0x40 != 0);
        }
        // Fragments, or the type of service.
        facts.understood &= flags & if self.ipv6 { 2 } else { 1 } == 0;
        let end = usize::from(u16_at(entry, layout.target_offset)?);
        let mut matches = entry.get(layout.matches..end)?;
        while !matches.is_empty() {
            let (name, revision, data, size) = extension(matches)?;
            xtables::narrow(&mut facts, &name, revision, data);
            matches = matches.get(size..)?;
        }
        Some(facts)
    }
}

/// An interface and its mask, which covers the final NUL of an exact name.
fn interface(entry: &[u8], at: usize, inverted: bool, understood: &mut bool) -> Option<Option<InterfacePattern>> {
    let (bytes, mask) = (entry.get(at..at + 16)?, entry.get(at + 32..at + 48)?);
    let length = mask.iter().take_while(|&&byte| byte == 0xff).count();
    if length == 0 {
        return Some(None);
    }
    if inverted {
        *understood = false;
        return Some(None);
    }
    let name = bytes.get(..length)?;
    Some(Some(InterfacePattern { prefix: !name.contains(&0), name: wire::text(name) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_table_can_make_it_panic_or_run_on(
            ipv6 in any::<bool>(),
            mut entries in proptest::collection::vec(any::<u8>(), 0..600),
            target in 0u16..260,
            next in 0u16..400,
            name in 0usize..3,
        ) {
            // Lengths that are nearly right, and a target that is looked at closely.
            let layout = if ipv6 { &V6 } else { &V4 };
            wire::patch(&mut entries, layout.target_offset, &target.to_ne_bytes());
            wire::patch(&mut entries, layout.next_offset, &next.to_ne_bytes());
            wire::patch(&mut entries, usize::from(target), &40u16.to_ne_bytes());
            wire::patch(&mut entries, usize::from(target) + 2, [b"DNAT\0", b"ERROR", b"SNAT\0"][name]);
            let table = LegacyTable { ipv6, starts: [Some(0), None, None, Some(7), Some(usize::MAX)], entries };
            let _ = table.rules();
        }
    }

    #[test]
    fn an_entry_without_length_ends_the_reading() {
        let table = LegacyTable { ipv6: false, starts: [None; 5], entries: vec![0; 112] };
        assert_eq!(table.rules(), Err(Malformed::Message));
    }
}
