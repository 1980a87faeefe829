//! The address sets of a spec, each kept once.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::net::{AddrRange, AddressSet, Family};

/// One of the [`AddressSets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressSetId(u32);

/// Which addresses a rule speaks of. Never an empty set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Addresses {
    /// Any address of both families.
    Any,
    /// One address, prefix or range.
    Range(AddrRange),
    /// A set of the spec, or a list that was written in place.
    Set(AddressSetId),
}

#[derive(Debug, Clone)]
struct Labelled {
    label: Arc<str>,
    set: Arc<AddressSet>,
}

/// All sets of addresses that a policy uses. Equal content is kept once, under the first label it came with.
#[derive(Debug, Clone, Default)]
pub struct AddressSets {
    sets: Vec<Labelled>,
}

/// Address sets while they are collected.
#[derive(Debug, Default)]
pub(super) struct Collector {
    pub(super) kept: AddressSets,
    by_content: HashMap<Arc<AddressSet>, AddressSetId>,
    labels: HashSet<Arc<str>>,
}

impl Collector {
    /// Keeps a non-empty set. `label` is a name that a person knows it by: the spec's set or `<entry>-from`.
    /// A label that is taken by other content gets a number.
    pub(super) fn intern(&mut self, label: &str, set: AddressSet) -> AddressSetId {
        if let Some(&known) = self.by_content.get(&set) {
            return known;
        }
        let id = AddressSetId(u32::try_from(self.kept.sets.len()).unwrap_or(u32::MAX));
        let mut unique: Arc<str> = Arc::from(label);
        let mut number = 2;
        while !self.labels.insert(Arc::clone(&unique)) {
            unique = Arc::from(format!("{label}-{number}"));
            number += 1;
        }
        let set = Arc::new(set);
        self.by_content.insert(Arc::clone(&set), id);
        self.kept.sets.push(Labelled { label: unique, set });
        id
    }
}

impl AddressSets {
    /// The content of each set.
    pub fn all(&self) -> impl Iterator<Item = &AddressSet> {
        self.sets.iter().map(|labelled| &*labelled.set)
    }

    /// The content of a set.
    #[must_use]
    pub fn get(&self, id: AddressSetId) -> &AddressSet {
        &self.sets[id.0 as usize].set
    }

    /// The label of a set: unique, a spec's name or derived from one.
    #[must_use]
    pub fn label(&self, id: AddressSetId) -> &str {
        &self.sets[id.0 as usize].label
    }

    /// Whether an address is among `addresses`.
    #[must_use]
    pub fn contains(&self, addresses: Addresses, address: IpAddr) -> bool {
        match addresses {
            Addresses::Any => true,
            Addresses::Range(range) => {
                Family::of(address) == range.family() && range.first() <= address && address <= range.last()
            }
            Addresses::Set(id) => self.get(id).contains(address),
        }
    }

    /// Whether any of `addresses` is of this family.
    #[must_use]
    pub fn has(&self, addresses: Addresses, family: Family) -> bool {
        match addresses {
            Addresses::Any => true,
            Addresses::Range(range) => range.family() == family,
            Addresses::Set(id) => self.get(id).has(family),
        }
    }

    /// The ranges of one family, sorted and disjoint. `None` means every address of the family.
    #[must_use]
    pub fn ranges(&self, addresses: Addresses, family: Family) -> Option<Vec<AddrRange>> {
        match addresses {
            Addresses::Any => None,
            Addresses::Range(range) if range.family() == family => Some(vec![range]),
            Addresses::Range(_) => Some(Vec::new()),
            Addresses::Set(id) => Some(self.get(id).ranges(family).collect()),
        }
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlap(&self, a: Addresses, b: Addresses) -> bool {
        match (a, b) {
            (Addresses::Any, _) | (_, Addresses::Any) => true,
            (Addresses::Set(a), Addresses::Set(b)) if a == b => true,
            (Addresses::Set(a), Addresses::Set(b)) => self.get(a).overlaps(self.get(b)),
            (Addresses::Range(range), other) | (other, Addresses::Range(range)) => self
                .ranges(other, range.family())
                .is_some_and(|ranges| ranges.iter().any(|r| r.first() <= range.last() && range.first() <= r.last())),
        }
    }
}
