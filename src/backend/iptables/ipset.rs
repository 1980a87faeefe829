//! The sets that are too large to be written out as rules, as a file for `ipset restore`.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use super::names::{IPSET, Names};
use crate::net::{AddressSet, Family};
use crate::policy::{AddressSetId, AddressSets, Addresses};

/// Ranges of a set that are written out. Longer sets become ipsets.
const WRITTEN_OUT: usize = 32;

/// Elements that a set may hold. It is a limit and costs nothing (`hashsize` is what is allocated). It is the same for nearly every set, because
/// `create -exist` refuses a set that exists with another limit.
const MAX_ELEMENTS: usize = 1 << 24;

/// The sets that lines of either family refer to, in the order in which they are first needed.
#[derive(Debug)]
pub(super) struct Ipsets<'a> {
    names: Names,
    /// Of those that were asked for; `None` where the addresses are written out.
    known: HashMap<(AddressSetId, Family), Option<Arc<str>>>,
    used: Vec<Ipset<'a>>,
}

#[derive(Debug)]
struct Ipset<'a> {
    name: Arc<str>,
    family: Family,
    /// Only single addresses.
    hosts: bool,
    set: &'a AddressSet,
}

impl<'a> Ipsets<'a> {
    pub fn new() -> Self {
        Ipsets { names: Names::new(IPSET), known: HashMap::new(), used: Vec::new() }
    }

    /// The name of the ipset with these addresses, if they are one.
    pub fn name(&self, id: AddressSetId, family: Family) -> Option<&Arc<str>> {
        self.known.get(&(id, family))?.as_ref()
    }

    /// Makes an ipset of addresses that lines will ask for, if they are many.
    pub fn need(&mut self, addresses: Addresses, family: Family, sets: &'a AddressSets) {
        let Addresses::Set(id) = addresses else { return };
        if self.known.contains_key(&(id, family)) {
            return;
        }
        let set = sets.get(id);
        if !is_large(set, family) {
            self.known.insert((id, family), None);
            return;
        }
        let hosts = set.ranges(family).all(|range| range.as_host().is_some());
        // The type is part of the name: a set cannot change its type while rules refer to it.
        let name = self.names.unique(&format!("fwc-{}", sets.label(id)), kind(family, hosts));
        self.known.insert((id, family), Some(Arc::clone(&name)));
        self.used.push(Ipset { name, family, hosts, set });
    }

    /// Whether there is any.
    pub fn is_needed(&self) -> bool {
        !self.used.is_empty()
    }

    /// The file's commands, or none where no set is needed.
    pub fn text(&self) -> Option<String> {
        if self.used.is_empty() {
            return None;
        }
        let mut text = String::new();
        for set in &self.used {
            set.write(&mut text);
        }
        Some(text)
    }
}

/// Whether the addresses of a family are too many to be written out. A set that is the whole family has one range.
pub(super) fn is_large(set: &AddressSet, family: Family) -> bool {
    set.ranges(family).nth(WRITTEN_OUT).is_some()
}

fn kind(family: Family, hosts: bool) -> &'static str {
    match (family, hosts) {
        (Family::V4, true) => "-ip4",
        (Family::V4, false) => "-net4",
        (Family::V6, true) => "-ip6",
        (Family::V6, false) => "-net6",
    }
}

impl Ipset<'_> {
    /// Fills a set beside the one that is in use and swaps the two, so that the rules never see half a set.
    fn write(&self, text: &mut String) {
        let start = text.len();
        let next = format!("fwc+next{}", kind(self.family, self.hosts));
        let mut members = 0_usize;
        for range in self.set.ranges(self.family) {
            if let Some(host) = range.as_host() {
                let _ = writeln!(text, "add {next} {host}");
                members += 1;
                continue;
            }
            for prefix in range.prefixes() {
                let _ = writeln!(text, "add {next} {prefix}");
                members += 1;
            }
        }
        let _ = writeln!(text, "swap {next} {}\ndestroy {next}", self.name);
        let options = self.options(members);
        let head = format!("create {} {options}\ncreate {next} {options}\nflush {next}\n", self.name);
        text.insert_str(start, &head);
    }

    fn options(&self, members: usize) -> String {
        let kind = if self.hosts { "hash:ip" } else { "hash:net" };
        let family = match self.family {
            Family::V4 => "inet",
            Family::V6 => "inet6",
        };
        let buckets = members.next_power_of_two().clamp(64, 1 << 20);
        let limit = members.next_power_of_two().max(MAX_ELEMENTS);
        format!("{kind} family {family} hashsize {buckets} maxelem {limit} -exist")
    }
}
