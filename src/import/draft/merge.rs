//! Atoms put together into entries, as long as the entry means exactly what they mean.

use std::collections::HashMap;

use super::atom::{Atom, Section, Target};
use crate::net::{AddressSet, Family, Name, RangeSet};
use crate::source::Place;

/// What an entry listens on, or leads to, in one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub family: Family,
    pub targets: Option<Vec<Target>>,
    pub ports: Option<RangeSet<u16>>,
}

/// An entry of a spec.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub section: Section,
    pub name: Option<Name>,
    pub protocols: Vec<u8>,
    pub servers: Vec<Server>,
    /// Of each family that has servers: who may talk to them; `None` inside is anybody.
    pub peers: Vec<(Family, Option<AddressSet>)>,
    pub interfaces: Vec<String>,
    pub local_ports: Option<RangeSet<u16>>,
    pub stateless: bool,
    pub places: Vec<Place>,
}

/// Puts together what differs in one field only, field by field, then the families and the ports of one name.
pub(super) fn entries(atoms: Vec<Atom>) -> Vec<Entry> {
    let atoms = joined(atoms, |atom| atom.peers = None, |one, other| one.peers = either(one.peers.take(), other.peers));
    let atoms = joined(
        atoms,
        |atom| atom.interfaces = Vec::new(),
        |one, other| {
            if one.interfaces.is_empty() || other.interfaces.is_empty() {
                one.interfaces = Vec::new();
            } else {
                one.interfaces.extend(other.interfaces);
                one.interfaces.sort_unstable();
                one.interfaces.dedup();
            }
        },
    );
    let atoms = joined(
        atoms,
        |atom| atom.targets = None,
        |one, other| {
            one.targets = one.targets.take().zip(other.targets).map(|(mut all, more)| {
                all.extend(more.into_iter().filter(|target| !all.contains(target)).collect::<Vec<_>>());
                all
            });
        },
    );
    let atoms = joined(
        atoms,
        |atom| atom.protocols = Vec::new(),
        |one, other| {
            one.protocols
                .extend(other.protocols.into_iter().filter(|new| !one.protocols.contains(new)).collect::<Vec<_>>());
        },
    );
    families(atoms)
}

fn either(one: Option<AddressSet>, other: Option<AddressSet>) -> Option<AddressSet> {
    one.zip(other).map(|(a, b)| a.union(&b))
}

/// Joins atoms that are equal once a field is cleared.
fn joined(atoms: Vec<Atom>, clear: impl Fn(&mut Atom), join: impl Fn(&mut Atom, Atom)) -> Vec<Atom> {
    let mut known: HashMap<Atom, usize> = HashMap::new();
    let mut found: Vec<Atom> = Vec::new();
    for mut atom in atoms {
        let mut key = atom.clone();
        key.places = Vec::new();
        clear(&mut key);
        let at = *known.entry(key).or_insert(found.len());
        match found.get_mut(at) {
            Some(one) => {
                one.places.append(&mut atom.places);
                join(one, atom);
            }
            None => found.push(atom),
        }
    }
    found
}

/// Joins entries over families, and those that a comment gives one name.
fn families(atoms: Vec<Atom>) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    // Only what agrees in this can be joined.
    let mut known: HashMap<String, Vec<usize>> = HashMap::new();
    for atom in atoms {
        let mut protocols = atom.protocols.clone();
        protocols.sort_unstable();
        let key = format!(
            "{:?}",
            (atom.section, &atom.name, &protocols, &atom.interfaces, &atom.local_ports, atom.stateless)
        );
        let places = known.entry(key).or_default();
        let new = entry(atom);
        let fitting = places.iter().copied().find(|&at| found.get(at).is_some_and(|one| fits(one, &new)));
        match fitting.and_then(|at| found.get_mut(at)) {
            Some(one) => {
                one.places.extend(new.places);
                one.servers.extend(new.servers);
                for peers in new.peers {
                    if !one.peers.contains(&peers) {
                        one.peers.push(peers);
                    }
                }
            }
            None => {
                places.push(found.len());
                found.push(new);
            }
        }
    }
    found
}

fn entry(atom: Atom) -> Entry {
    Entry {
        section: atom.section,
        name: atom.name,
        protocols: atom.protocols,
        servers: vec![Server { family: atom.family, targets: atom.targets, ports: atom.ports }],
        peers: vec![(atom.family, atom.peers)],
        interfaces: atom.interfaces,
        local_ports: atom.local_ports,
        stateless: atom.stateless,
        places: atom.places,
    }
}

fn fits(one: &Entry, new: &Entry) -> bool {
    let peers = new
        .peers
        .iter()
        .all(|(family, peers)| one.peers.iter().all(|(other, known)| other != family || known == peers));
    let named = one.name.is_some();
    let other_family = new
        .servers
        .iter()
        .all(|server| one.servers.iter().all(|known| known.family != server.family && known.ports == server.ports));
    peers && (named || other_family)
}
