//! One form for what was sent and what the kernel lists, so that the two can be compared.
//!
//! Both are decoded by the same code: attributes in the order of their numbers, defaults left out, handles, counters and the like dropped. An
//! object's normal form is a list of (attribute number, length, content), so two objects have the same one only if they mean the same. Objects
//! are kept as digests: a set of a million elements takes 16 MB. A set without a name is part of the rule that it belongs to: its number
//! depends on who loaded it.

mod condition;
mod element;
mod form;
mod members;
mod object;
mod shape;
mod simple;
mod take;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::xxh3_128;

pub use self::members::Members;

/// Whose words are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Ours. What is not understood here is an error: it could not be compared.
    Sent,
    /// The kernel's. It may say more than fwc understands, as newer kernels do.
    Listed,
}

/// XXH3 of a normal form. It tells changes apart, not forgeries: who may change the table may change its comment too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(u128);

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        Digest(xxh3_128(bytes))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a message added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// Nothing that counts.
    Nothing,
    /// The table.
    Table,
    /// A chain.
    Chain(Digest),
    /// A set.
    Set(Digest),
    /// A rule.
    Rule(Digest),
    /// Elements of a set.
    Elements,
}

/// A chain in normal form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalChain {
    /// Its own attributes.
    pub digest: Digest,
    /// Its rules, in order.
    pub rules: Vec<Digest>,
}

/// A set in normal form.
#[derive(Debug, Clone)]
pub struct NormalSet {
    /// Its own attributes.
    pub digest: Digest,
    /// Its elements.
    pub elements: Members,
    /// The expressions that elements get where they name none.
    expressions: Vec<u8>,
    /// Whether it belongs to a rule, whose digest has its content.
    pub(super) anonymous: bool,
    /// How many elements the kernel says it has, where it does. Of ranges that are two elements each it tells half, rounded down, so that nothing
    /// can be concluded.
    pub(super) count: Option<u64>,
}

impl NormalSet {
    /// What it is and holds, for a rule that it belongs to.
    fn content(&self) -> Digest {
        let elements = [Digest(self.elements.len() as u128), self.elements.digest()];
        let parts: Vec<u8> =
            std::iter::once(&self.digest).chain(&elements).flat_map(|digest| digest.0.to_le_bytes()).collect();
        Digest::of(&parts)
    }
}

/// The table `inet fwc` in normal form, and how far it has been decoded.
#[derive(Debug, Clone, Default)]
pub struct NormalTable {
    /// The table's own attributes; none if it is not there.
    pub digest: Option<Digest>,
    /// The comment of the table, which is no part of its identity.
    pub comment: Option<String>,
    /// The comment of the chain [`SIGNATURE`](crate::backend::nft::SIGNATURE). It tells the identity of the rest, so it is no part of it; the chain
    /// is.
    pub signature: Option<String>,
    /// The table's flags: a dormant one is not in force.
    flags: u64,
    /// By name.
    pub chains: BTreeMap<String, NormalChain>,
    /// By name.
    pub sets: BTreeMap<String, NormalSet>,
    /// The names of sets by their id within the transaction.
    names: HashMap<u64, String>,
}

impl NormalTable {
    /// Drops the sets that rules have taken in. Call it when all messages have been taken.
    pub fn settle(&mut self) {
        self.sets.retain(|_, set| !set.anonymous);
    }

    /// What the table is apart from what is in it.
    pub(super) fn own(&self) -> (Option<Digest>, &Option<String>, u64) {
        (self.digest, &self.comment, self.flags)
    }

    /// One digest of everything but the table's comment and its signature. The table must be settled.
    #[must_use]
    pub fn identity(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let mut part = |name: &str, digest: Option<Digest>, items: &[Digest]| {
            hasher.update((name.len() as u64).to_le_bytes());
            hasher.update(name);
            hasher.update(digest.map_or([0; 16], |digest| digest.0.to_le_bytes()));
            hasher.update((items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| hasher.update(item.0.to_le_bytes()));
        };
        part(if self.digest.is_some() { "table" } else { "no table" }, None, &[]);
        self.chains.iter().for_each(|(name, chain)| part(name, Some(chain.digest), &chain.rules));
        part("sets", None, &[]);
        for (name, set) in &self.sets {
            let count = Digest(set.elements.len() as u128);
            part(name, Some(set.digest), &[count, set.elements.digest()]);
        }
        hasher.update(self.flags.to_le_bytes());
        hasher.finalize().into()
    }
}
