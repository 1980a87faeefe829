//! Which rules of entries share a lookup.
//!
//! Rules that ask for the same are one class: one lookup of all their endpoints. Where there are many classes (a thousand services, each with
//! a `from` of its own), most of them give up their rule, and what they ask for becomes one more field of the key.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::sorted::{Asked, Base, Item, Kind, MULTIPLIED, Restriction, Staged, multiplied};
use crate::policy::{AddressSets, Addresses};
use crate::ruleset::Leg;
use crate::source::Place;

/// Up to this many classes each have a rule of their own.
const CLASSES: usize = 8;
/// Where there are more, a class keeps its rule if it would take this many elements more without.
const WORTH_A_RULE: usize = 32;

/// Rules that one lookup decides.
pub(super) struct Class<'a> {
    pub(super) base: Base,
    /// Whether interfaces and peers of the items are fields of the key.
    pub(super) wide: bool,
    /// Items that ask for the same. One part, unless the class is wide.
    pub(super) parts: Vec<(&'a Asked, &'a [Item])>,
}

impl Class<'_> {
    /// What its rule asks for besides the lookup.
    pub(super) fn restriction(&self) -> &Restriction {
        self.parts.first().filter(|_| !self.wide).map_or(Restriction::NONE, |(asked, _)| &asked.restriction)
    }

    /// Where it comes from, if from one rule.
    pub(super) fn place(&self) -> Option<Place> {
        match self.parts.as_slice() {
            [(asked, [_])] => Some(asked.place),
            _ => None,
        }
    }

    /// How many items it has.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|(_, items)| items.len()).sum()
    }
}

/// The classes of the items of one stage, those of one base side by side.
pub(super) fn classes<'s>(sets: &AddressSets, staged: &'s mut Staged) -> Vec<Class<'s>> {
    let Staged { items, asked, .. } = staged;
    share_guard(asked);
    join_equal(asked, items);
    let mut growth = vec![Some(0); asked.len()];
    for item in items.iter() {
        if let (Some(growth), Some(asked)) = (growth.get_mut(item.asked), asked.get(item.asked)) {
            *growth = growth
                .zip(grown(sets, &asked.restriction, item))
                .map(|(sum, more): (usize, usize)| sum.saturating_add(more));
        }
    }
    let order = order(asked, items, &growth);
    // The items in the order of what they ask for, and within it in their own.
    let mut ranks = vec![0; asked.len()];
    for (rank, (place, _)) in order.iter().enumerate() {
        if let Some(slot) = ranks.get_mut(*place) {
            *slot = rank;
        }
    }
    items.sort_by_key(|item| ranks.get(item.asked));
    let mut classes: Vec<Class<'s>> = Vec::new();
    for ((place, wide), items) in order.into_iter().zip(items.chunk_by(|a, b| a.asked == b.asked)) {
        let Some(asked) = asked.get(place) else { continue };
        match classes.last_mut().filter(|last| wide && last.wide && last.base == asked.base) {
            Some(last) => last.parts.push((asked, items)),
            None => classes.push(Class { base: asked.base, wide, parts: vec![(asked, items)] }),
        }
    }
    classes
}

/// The guard looks at TCP alone, so replies of other protocols may stand behind it: then they share the sets of TCP's.
fn share_guard(asked: &mut [Asked]) {
    let guarded: BTreeSet<Leg> = asked.iter().filter(|asked| asked.base.guarded).map(|asked| asked.base.leg).collect();
    for Asked { base, .. } in asked {
        base.guarded |= guarded.contains(&base.leg) && base.kind == Kind::Ports && !base.tracked;
    }
}

/// Items that ask for the same have it at the same place.
fn join_equal(asked: &[Asked], items: &mut [Item]) {
    let mut first = BTreeMap::new();
    let places: Vec<usize> = asked
        .iter()
        .enumerate()
        .map(|(place, asked)| *first.entry((asked.base, &asked.restriction)).or_insert(place))
        .collect();
    for item in items {
        item.asked = places.get(item.asked).copied().unwrap_or(item.asked);
    }
}

/// What is asked for by any item, in the order of its classes, and whether the class is a wide one.
fn order(asked: &[Asked], items: &[Item], growth: &[Option<usize>]) -> Vec<(usize, bool)> {
    let used: BTreeSet<usize> = items.iter().map(|item| item.asked).collect();
    let mut bases: Vec<(Base, Vec<usize>)> = Vec::new();
    for (place, Asked { base, .. }) in asked.iter().enumerate().filter(|(place, _)| used.contains(place)) {
        match bases.iter_mut().find(|(other, _)| other == base) {
            Some((_, places)) => places.push(place),
            None => bases.push((*base, vec![place])),
        }
    }
    let mut order = Vec::with_capacity(used.len());
    for (_, places) in bases {
        let joining = joining(&places, growth);
        let (wide, narrow): (Vec<usize>, Vec<usize>) = places.into_iter().partition(|place| joining.contains(place));
        order.extend(narrow.into_iter().map(|place| (place, false)));
        order.extend(wide.into_iter().map(|place| (place, true)));
    }
    order
}

/// Those that give up their rule.
fn joining(places: &[usize], growth: &[Option<usize>]) -> BTreeSet<usize> {
    if places.len() <= CLASSES {
        return BTreeSet::new();
    }
    let growth = |place: &usize| growth.get(*place).copied().flatten();
    // The classes that would grow most keep their rule.
    let mut order = places.to_vec();
    order.sort_by_key(|place| growth(place).map(Reverse));
    let joins =
        |(rank, place): &(usize, usize)| growth(place).is_some_and(|more| more < WORTH_A_RULE || *rank >= CLASSES);
    order.into_iter().enumerate().filter(joins).map(|(_, place)| place).collect()
}

/// How many elements more an item takes when what its class asks for is multiplied out. `None`: too many, the class must keep its rule.
fn grown(sets: &AddressSets, asked: &Restriction, item: &Item) -> Option<usize> {
    if asked.server != Addresses::Any {
        return None;
    }
    let own = multiplied(sets, item.server, item.ports.as_ref());
    let peers = multiplied(sets, asked.peer, asked.peer_ports.as_ref());
    let all = own.saturating_mul(asked.interfaces.len().max(1)).saturating_mul(peers);
    (all <= MULTIPLIED.max(own)).then(|| all - own)
}
