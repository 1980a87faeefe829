//! The smallest parts of entries: one family, one protocol, as one rule says it.

mod flow;
mod of_rule;
mod same;
mod tracking;

use self::same::{are_answered, covers, same_address, same_server};
use crate::dump::{Hook, Side, Verdict};
use crate::import::leaf::{Known, Leaf};
use crate::net::{AddrRange, AddressSet, Family, Name, RangeSet};
use crate::proof::bdd::Result;
use crate::proof::way::Path;
use crate::source::Place;

/// A section of a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Section {
    Services,
    Clients,
    Forward,
}

/// Addresses of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Target {
    pub range: AddrRange,
    /// Whether packets to it count that are routed elsewhere: what a single address in `listen` means.
    pub anywhere: bool,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Atom {
    pub section: Section,
    pub name: Option<Name>,
    pub family: Family,
    pub protocols: Vec<u8>,
    /// `None` of a protocol without ports.
    pub ports: Option<RangeSet<u16>>,
    /// The server; `None` is any address.
    pub targets: Option<Vec<Target>>,
    /// Who may talk to it; `None` is anybody.
    pub peers: Option<AddressSet>,
    /// Empty is any.
    pub interfaces: Vec<String>,
    /// A client's own ports.
    pub local_ports: Option<RangeSet<u16>>,
    pub stateless: bool,
    pub places: Vec<Place>,
}

/// Why a rule was not made an entry.
pub(super) type Left<'a> = (&'a crate::dump::Rule, String);

/// What reads atoms out of rules.
pub(super) struct Atoms<'k, 'a> {
    pub known: &'k Known<'a>,
    /// What every spec accepts, path by path.
    pub always: &'k crate::proof::claim::Paths,
    pub found: Vec<Atom>,
    pub left: Vec<Left<'a>>,
}

impl<'a> Atoms<'_, 'a> {
    /// Reads all rules that accept.
    pub fn read(&mut self) -> Result<()> {
        let known = self.known;
        let mut replies = Vec::new();
        for leaf in &known.leaves {
            if !accepts(leaf) || leaf.packets.minus(&self.always.on(leaf.path).accepted)?.is_empty() {
                continue;
            }
            self.rule(leaf, &mut replies)?;
        }
        self.answered(replies);
        self.shadowed()
    }

    /// Rules that accept nothing which rules before them do not, as those of one address behind those of all. Their server may still be untracked where
    /// the others' is not: a single address counts for packets that are routed elsewhere too.
    fn shadowed(&mut self) -> Result<()> {
        let known = self.known;
        let is_shadowed = |leaf: &&Leaf<'a>| leaf.path == Path::In && accepts(leaf) && leaf.packets.is_empty();
        let left = self.left.len();
        for leaf in known.leaves.iter().filter(is_shadowed) {
            for new in self.atoms(leaf)? {
                let is_anywhere = new.targets.iter().flatten().any(|target| target.anywhere);
                if new.stateless && is_anywhere && !self.found.iter().any(|one| same_server(one, &new)) {
                    self.found.push(new);
                }
            }
        }
        // Nothing is missing where such a rule is not understood.
        self.left.truncate(left);
        Ok(())
    }

    /// A reply makes an entry where no request does, as where the block list drops all of them: it knows no interfaces.
    fn answered(&mut self, replies: Vec<Atom>) {
        let mut new = Vec::new();
        for mut reply in replies {
            // The ports of one entry may be told apart on the way of its requests, as in a tree of chains.
            let addressed = self.found.iter().filter(|one| same_address(one, &reply));
            if are_answered(&reply, addressed.filter(|one| covers(one.peers.as_ref(), reply.peers.as_ref()))) {
                continue;
            }
            if let Some(first) = self.found.iter().find(|one| same_server(one, &reply)) {
                reply.interfaces.clone_from(&first.interfaces);
                reply.name.clone_from(&first.name);
            }
            new.push(reply);
        }
        self.found.extend(new);
    }

    /// Reads what is untracked where a policy accepts, so that no rule has to.
    pub fn untracked(&mut self, accepting: &[Path]) -> Result<()> {
        let known = self.known;
        for leaf in known.leaves.iter().filter(|leaf| leaf.untracks() && accepting.contains(&leaf.path)) {
            if leaf.packets.is_empty() || leaf.path == Path::Forward && self.serves_this_host(leaf)? {
                continue;
            }
            for new in self.atoms(leaf)? {
                if new.stateless && !self.found.iter().any(|one| same_server(one, &new)) {
                    self.found.push(new);
                }
            }
        }
        Ok(())
    }

    /// The atoms of a rule, not taken in yet, without those of replies to services.
    fn atoms(&mut self, leaf: &Leaf<'a>) -> Result<Vec<Atom>> {
        let before = self.found.len();
        self.rule(leaf, &mut Vec::new())?;
        Ok(self.found.split_off(before))
    }

    /// Whether a rule in prerouting is about packets to this host too.
    fn serves_this_host(&self, leaf: &Leaf<'a>) -> Result<bool> {
        let local = self.known.space.local(Side::Destination)?;
        for other in self.known.leaves.iter().filter(|other| other.path == Path::In) {
            if std::ptr::eq(other.rule, leaf.rule) && !other.packets.and(&local)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn accepts(leaf: &Leaf<'_>) -> bool {
    leaf.rule.verdict == Verdict::Accept
        && matches!(leaf.base.hook, Hook::Input | Hook::Output | Hook::Forward)
        && leaf.base.kind == crate::dump::ChainKind::Filter
        && !leaf.is_raw()
        && leaf.base_chain.table != "mangle"
}
