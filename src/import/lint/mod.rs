//! Traps of NOTRACK and of filters beside it, found in any ruleset.
//!
//! Each is a question about all packets, answered by sets; rules are named because packets of the answer meet them.

mod accepted;
mod legs;
mod nat;
mod rules;

use std::collections::HashSet;

use super::leaf::{Known, Leaf};
use crate::diagnostic::{Diagnostic, sort};
use crate::dump::{Dump, Hook, Parts, Side, Test};
use crate::net::{AddressSet, Family};
use crate::proof::bdd::{Result, Set};
use crate::proof::space::Field;
use crate::proof::way::Path;
use crate::proof::witness::witness;

/// Everything that is found in a ruleset.
pub fn lint(dump: &Dump) -> Result<Vec<Diagnostic>> {
    let space = super::leaf::space(dump)?;
    let known = Known::of(&space, dump)?;
    let mut found = legs::find(&known)?;
    found.extend(accepted::find(&known)?);
    found.extend(nat::find(&known)?);
    found.extend(rules::find(&known)?);
    found.extend(rules::not_understood(dump));
    // A rule for both families is looked at twice.
    let mut seen = HashSet::new();
    found.retain(|one| seen.insert((one.finding.code, one.labels.first().map(|label| label.place))));
    sort(&mut found);
    Ok(found)
}

impl Known<'_> {
    /// A packet of the set, in words.
    fn example(&self, set: &Set, path: Path) -> Result<String> {
        Ok(witness(self.space, set, path)?.map_or_else(String::new, |packet| format!("`{}`", packet.packet)))
    }

    /// The rules that mark packets of a set as untracked on a path, each with those of the set that it marks.
    fn untracking(&self, path: Path, set: &Set) -> Result<Vec<(&Leaf<'_>, Set)>> {
        let mut found = Vec::new();
        for leaf in self.leaves.iter().filter(|leaf| leaf.path == path && leaf.untracks()) {
            let part = leaf.packets.and(set)?;
            if !part.is_empty() {
                found.push((leaf, part));
            }
        }
        Ok(found)
    }

    /// Packets from or to an address that is this host's, as far as its rules tell: what input is asked for as a destination, and output as a source.
    fn own(&self) -> Result<Set> {
        let mut sets = Vec::new();
        for leaf in &self.leaves {
            let near = match leaf.base.hook {
                Hook::Input => Side::Destination,
                Hook::Output => Side::Source,
                _ => continue,
            };
            for condition in leaf.guard.iter().filter(|condition| !condition.negated) {
                let Test::Address(side, set) = &condition.test else { continue };
                if *side == near && is_hosts(set) {
                    sets.push(self.space.address(Field::Address(Side::Source), set)?);
                    sets.push(self.space.address(Field::Address(Side::Destination), set)?);
                }
            }
        }
        self.space.engine.any(sets)
    }

    /// Packets that are no fragments and come from another host to this one, or the other way.
    fn abroad(&self, near: Side) -> Result<Set> {
        let whole = self.space.parts(Parts { whole: true, first: false, later: false })?;
        let far = if near == Side::Source { Side::Destination } else { Side::Source };
        whole.minus(&self.loopback()?)?.and(&self.space.local(near)?)?.minus(&self.space.local(far)?)
    }
}

/// Whether a set has single addresses only.
fn is_hosts(set: &AddressSet) -> bool {
    Family::BOTH.iter().flat_map(|&family| set.ranges(family)).all(|range| range.as_host().is_some())
}
