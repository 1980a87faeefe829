//! NAT rules as items of `nat`.

use super::atom::Target;
use super::piece::{Piece, pieces};
use crate::dump::{Hook, Translation, TranslationKind, Varies, Verdict};
use crate::import::leaf::{Known, Leaf};
use crate::net::{AddressSet, Family, Protocol, RangeSet};
use crate::source::Place;

/// An item of `nat`.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub translation: Translation,
    /// The outgoing interface, of a source NAT.
    pub out: Option<String>,
    /// Sources, of a source NAT; `None` is any, of the families below.
    pub from: Option<AddressSet>,
    /// What a destination NAT listens on.
    pub targets: Option<Vec<Target>>,
    pub protocols: Vec<u8>,
    pub ports: Option<RangeSet<u16>>,
    pub families: Vec<Family>,
    pub places: Vec<Place>,
}

/// All NAT rules that a spec has words for, in order; and the others, with the reason.
pub(super) fn items<'a>(known: &Known<'a>, left: &mut Vec<super::atom::Left<'a>>) -> Vec<Item> {
    let mut found: Vec<Item> = Vec::new();
    let mut seen: Vec<(*const crate::dump::Rule, Family)> = Vec::new();
    for leaf in &known.leaves {
        let Verdict::Translate(translation) = &leaf.rule.verdict else { continue };
        // A rule is met on two paths.
        let key = (std::ptr::from_ref(leaf.rule), leaf.family);
        if seen.contains(&key) || leaf.packets.is_empty() {
            continue;
        }
        seen.push(key);
        for piece in pieces(&leaf.guard, leaf.family) {
            match item(leaf, translation, piece) {
                Ok(new) => add(&mut found, new),
                Err(why) => left.push((leaf.rule, why)),
            }
        }
    }
    found
}

fn item(leaf: &Leaf<'_>, translation: &Translation, piece: Piece) -> Result<Item, String> {
    if let Some(why) = piece.why {
        return Err(why);
    }
    let protocols: Option<Vec<u8>> =
        piece.protocol.as_ref().map(|set| set.ranges().iter().flat_map(|&(first, last)| first..=last).collect());
    let mut item = Item {
        translation: translation.clone(),
        out: None,
        from: None,
        targets: None,
        protocols: Vec::new(),
        ports: None,
        families: vec![leaf.family],
        places: vec![leaf.rule.place],
    };
    match translation.kind {
        TranslationKind::Masquerade | TranslationKind::Snat if leaf.base.hook == Hook::Postrouting => {
            if piece.destination.is_some() || protocols.is_some() {
                return Err("a spec translates sources by interface and source only".to_string());
            }
            let [out] = piece.outgoing.as_deref().unwrap_or_default() else {
                return Err("a source NAT of a spec has one outgoing interface".to_string());
            };
            item.out = Some(out.clone());
            item.from = piece.source;
        }
        TranslationKind::Dnat | TranslationKind::Redirect if leaf.base.hook == Hook::Prerouting => {
            if piece.source.is_some() || piece.incoming.is_some() || piece.source_ports.is_some() {
                return Err("a spec translates destinations by destination only".to_string());
            }
            item.protocols = protocols.filter(|all| all.len() <= 16).ok_or("it translates every protocol")?;
            let with_ports = |number: &u8| Protocol::WITH_PORTS.contains(number);
            let real = RangeSet::range(1, u16::MAX);
            if item.protocols.iter().all(with_ports) {
                item.ports = Some(piece.destination_ports.map_or(real.clone(), |ports| ports.intersection(&real)));
            }
            let target = |range| Target { range, anywhere: !piece.local };
            item.targets = piece.destination.map(|set| set.ranges(leaf.family).map(target).collect());
        }
        _ => return Err("a spec translates destinations before routing and sources after it".to_string()),
    }
    sayable(translation)?;
    Ok(item)
}

fn sayable(translation: &Translation) -> Result<(), String> {
    let one_address = translation.address.is_none_or(|(first, last)| first == last);
    let one_port = translation.ports.is_none_or(|(first, last)| first == last);
    let whereto = translation.kind != TranslationKind::Redirect || translation.ports.is_some();
    if one_address && one_port && whereto && translation.varies == Varies::default() {
        Ok(())
    } else {
        Err("a spec translates to one address and port".to_string())
    }
}

/// What a destination NAT leads to, as a spec writes it.
pub(super) fn target(translation: &Translation) -> String {
    match (translation.address, translation.ports) {
        (Some((to, _)), Some((port, _))) if to.is_ipv6() => format!("\"[{to}]:{port}\""),
        (Some((to, _)), Some((port, _))) => format!("\"{to}:{port}\""),
        (Some((to, _)), None) => format!("\"{to}\""),
        (None, Some((port, _))) => port.to_string(),
        (None, None) => "\"\"".to_string(),
    }
}

/// Puts an item beside those before it, or into the last one that does the same.
fn add(found: &mut Vec<Item>, new: Item) {
    let same = |one: &&mut Item| {
        one.translation == new.translation
            && one.out == new.out
            && one.protocols == new.protocols
            && one.ports == new.ports
            && one.from.is_some() == new.from.is_some()
            && one.targets.is_some() == new.targets.is_some()
    };
    let Some(one) = found.iter_mut().find(same) else {
        found.push(new);
        return;
    };
    one.places.extend(new.places);
    one.families.extend(new.families.into_iter().filter(|family| !one.families.contains(family)).collect::<Vec<_>>());
    if let (Some(all), Some(more)) = (&mut one.from, new.from) {
        *all = all.union(&more);
    }
    if let (Some(all), Some(more)) = (&mut one.targets, new.targets) {
        all.extend(more);
    }
}
