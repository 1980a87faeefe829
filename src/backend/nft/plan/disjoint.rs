//! Ranges that lie apart.
//!
//! The kernel refuses an element whose ranges overlap with those of another (EEXIST, ENOTEMPTY, and which of them depends on the order). What is
//! contained in another element adds nothing and goes; what overlaps in part moves to another layer, which becomes a set of its own.

use std::collections::BTreeMap;

use crate::backend::nft::keys::{Keys, Value};
use crate::net::AddrRange;

/// An element as a box: first and last of each field.
type Sides = Vec<(u128, u128)>;

/// The elements in layers; within one, no two overlap. Together they match what the elements match. All keys have the same fields.
pub(super) fn layers(elements: &Keys) -> Vec<Keys> {
    let boxes = boxes(elements);
    let mut rest: Vec<usize> = (0..elements.len()).collect();
    let mut layers = Vec::new();
    while !rest.is_empty() {
        let (mut kept, spilled) = layer(&boxes, rest);
        kept.sort_unstable();
        layers.push(elements.picked(&kept));
        rest = spilled;
    }
    layers
}

fn boxes(elements: &Keys) -> Vec<Sides> {
    let mut interfaces: BTreeMap<&str, u128> = BTreeMap::new();
    let mut count = 0;
    let mut sides = |value| match value {
        Value::Addresses(AddrRange::V4(first, last)) => (first.into(), last.into()),
        Value::Addresses(AddrRange::V6(first, last)) => (first, last),
        Value::Protocol(protocol) => (protocol.number().into(), protocol.number().into()),
        Value::Ports(first, last) => (first.into(), last.into()),
        Value::Interface(name) => {
            let number = *interfaces.entry(name).or_insert_with(|| {
                count += 1;
                count
            });
            (number, number)
        }
    };
    elements.iter().map(|element| element.values().map(&mut sides).collect()).collect()
}

/// Boxes that lie apart, and those that must go elsewhere. What is contained in a kept box is in neither.
fn layer(boxes: &[Sides], members: Vec<usize>) -> (Vec<usize>, Vec<usize>) {
    let fields = boxes.first().map_or(0, Vec::len);
    let (mut kept, mut spilled) = (Vec::new(), Vec::new());
    // Members, the field to split by next, how many fields did not split them.
    let mut open = vec![(members, 0, 0)];
    while let Some((mut members, field, tried)) = open.pop() {
        if let [only] = members.as_slice() {
            kept.push(*only);
        } else if tried < fields {
            members.sort_by_key(|&at| side(boxes, at, field));
            let parts = split(boxes, &members, field);
            let tried = if parts.len() > 1 { 0 } else { tried + 1 };
            let next = (field + 1) % fields;
            open.extend(parts.into_iter().map(|part| (part, next, tried)));
        } else if let Some(largest) = largest(boxes, &members) {
            kept.push(largest);
            let mut apart = Vec::new();
            for at in members {
                if at == largest || contains(boxes, largest, at) {
                    continue;
                }
                if overlap(boxes, largest, at) { spilled.push(at) } else { apart.push(at) }
            }
            if !apart.is_empty() {
                open.push((apart, 0, 0));
            }
        }
    }
    spilled.sort_unstable();
    (kept, spilled)
}

fn side(boxes: &[Sides], at: usize, field: usize) -> (u128, u128) {
    boxes.get(at).and_then(|sides| sides.get(field)).copied().unwrap_or_default()
}

/// Parts that do not touch each other in this field. `members` are sorted by it.
fn split(boxes: &[Sides], members: &[usize], field: usize) -> Vec<Vec<usize>> {
    let mut parts: Vec<Vec<usize>> = Vec::new();
    let mut reach = 0;
    for &at in members {
        let (first, last) = side(boxes, at, field);
        match parts.last_mut() {
            Some(part) if first <= reach => part.push(at),
            _ => parts.push(vec![at]),
        }
        reach = reach.max(last);
    }
    parts
}

/// A box that no other contains. Among equals the one in the middle: what is left then falls apart into halves.
fn largest(boxes: &[Sides], members: &[usize]) -> Option<usize> {
    let size = |at: usize| -> u32 {
        let bits = |&(first, last): &(u128, u128)| u128::BITS - (last - first).leading_zeros();
        boxes.get(at).map_or(0, |sides| sides.iter().map(bits).sum())
    };
    let most = members.iter().map(|&at| size(at)).max()?;
    let ties: Vec<usize> = members.iter().copied().filter(|&at| size(at) == most).collect();
    let mut found = *ties.get(ties.len() / 2)?;
    // A box that contains it is as large by this rough measure, so it is among them.
    for &at in &ties {
        if at != found && contains(boxes, at, found) && !(contains(boxes, found, at) && found < at) {
            found = at;
        }
    }
    Some(found)
}

fn pairs(boxes: &[Sides], a: usize, b: usize) -> impl Iterator<Item = ((u128, u128), (u128, u128))> {
    let all = |at: usize| boxes.get(at).into_iter().flatten().copied();
    all(a).zip(all(b))
}

fn contains(boxes: &[Sides], outer: usize, inner: usize) -> bool {
    pairs(boxes, outer, inner).all(|(outer, inner)| outer.0 <= inner.0 && inner.1 <= outer.1)
}

fn overlap(boxes: &[Sides], a: usize, b: usize) -> bool {
    pairs(boxes, a, b).all(|(a, b)| a.0 <= b.1 && b.0 <= a.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::nft::key_type::Field;
    use crate::backend::nft::keys::{Element, Key};
    use crate::net::{Family, Protocol};
    use crate::policy::EntryId;
    use proptest::prelude::*;

    /// First and last address, first and last port.
    type Range = ((u32, u32), (u16, u16));

    fn keys(ranges: &[Range]) -> Keys {
        let mut keys = Keys::new(vec![Field::Address(Family::V4), Field::Protocol, Field::Port], true);
        for &(address, ports) in ranges {
            let address = Value::Addresses(AddrRange::V4(address.0, address.1));
            let values = [address, Value::Protocol(Protocol::TCP), Value::Ports(ports.0, ports.1)];
            keys.push(&Key::of(&values), EntryId(0));
        }
        keys
    }

    fn holds(element: Element<'_>, address: u32, port: u16) -> bool {
        let values: Vec<Value<'_>> = element.values().collect();
        let [Value::Addresses(AddrRange::V4(a, b)), _, Value::Ports(c, d)] = values[..] else {
            return false;
        };
        a <= address && address <= b && c <= port && port <= d
    }

    proptest! {
        #[test]
        fn layers_lie_apart_and_lose_nothing(
            sides in proptest::collection::vec(((0u32..12, 0u32..6), (1u16..12, 0u16..6)), 0..20)
        ) {
            let ranges: Vec<Range> = sides.iter().map(|&((a, b), (c, d))| ((a, a + b), (c, c + d))).collect();
            let elements = keys(&ranges);
            let layers = layers(&elements);
            for address in 0..20 {
                for port in 0..20 {
                    let wanted = elements.iter().any(|element| holds(element, address, port));
                    let hits = |layer: &Keys| layer.iter().filter(|element| holds(*element, address, port)).count();
                    prop_assert!(layers.iter().all(|layer| hits(layer) <= 1));
                    prop_assert_eq!(layers.iter().any(|layer| hits(layer) == 1), wanted);
                }
            }
        }
    }

    #[test]
    fn what_is_contained_goes_and_what_is_not_moves() {
        let (wide, inside, across) = (((0, 99), (1, 99)), ((5, 5), (7, 9)), ((0, 9), (90, 110)));
        assert_eq!(layers(&keys(&[inside, wide, across, wide])), [keys(&[wide]), keys(&[across])]);
    }

    #[test]
    fn ten_thousand_that_all_touch_are_no_trouble() {
        // Each port range overlaps with the next one.
        let chain: Vec<Range> = (0..10_000u16).map(|n| ((1, 1), (n * 5 + 1, n * 5 + 8))).collect();
        assert!(layers(&keys(&chain)).len() <= 4);
        let mut nested: Vec<Range> = (0..10_000u32).map(|n| ((n * 256, n * 256 + 255), (1, 9))).collect();
        nested.push(((0, u32::MAX), (1, 99)));
        assert_eq!(layers(&keys(&nested)).len(), 1);
    }
}
