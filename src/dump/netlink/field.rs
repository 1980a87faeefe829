//! What expressions load: the fields of packets, and what asking about one means.

use std::sync::Arc;

use crate::dump::{Condition, InterfacePattern, Keys, Selector, Side, Test, Value, Way};
use crate::kernel::wire;
use crate::net::{AddressSet, Family, Protocol, RangeSet, Scalar};

/// A field that the model knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dump) enum Field {
    Address(Family, Side),
    Protocol,
    Port(Side),
    IcmpType(Family),
    IcmpCode(Family),
    Interface(Way),
    OriginalDestination(Family),
    OriginalPort,
}

impl Field {
    /// Bytes of it.
    pub(in crate::dump) fn width(self) -> usize {
        match self {
            Field::Address(Family::V4, _) | Field::OriginalDestination(Family::V4) => 4,
            Field::Address(Family::V6, _) | Field::OriginalDestination(Family::V6) | Field::Interface(_) => 16,
            Field::Protocol | Field::IcmpType(_) | Field::IcmpCode(_) => 1,
            Field::Port(_) | Field::OriginalPort => 2,
        }
    }

    /// The field as a part of a key.
    pub(in crate::dump) fn selector(self) -> Option<Selector> {
        match self {
            Field::Address(family, side) => Some(Selector::Address(family, side)),
            Field::Protocol => Some(Selector::Protocol),
            Field::Port(side) => Some(Selector::Port(side)),
            Field::Interface(way) => Some(Selector::Interface(way)),
            Field::OriginalDestination(family) => Some(Selector::OriginalDestination(family)),
            Field::IcmpType(_) | Field::IcmpCode(_) | Field::OriginalPort => None,
        }
    }

    /// The largest value.
    pub(in crate::dump) fn largest(self) -> u128 {
        u128::MAX.checked_shr(128 - 8 * u32::try_from(self.width()).unwrap_or(16)).unwrap_or(u128::MAX)
    }

    /// The field is one of these numbers. Names of interfaces are no numbers.
    pub(in crate::dump) fn among(self, numbers: &RangeSet<u128>) -> Option<Test> {
        if numbers.is_empty() {
            return Some(Test::Never);
        }
        Some(match self {
            Field::Address(family, side) => Test::Address(side, Arc::new(addresses(family, numbers))),
            Field::Protocol => Test::Protocol(narrowed(numbers)),
            Field::Port(side) => Test::Port(side, narrowed(numbers)),
            Field::IcmpType(family) => Test::Icmp(family, narrowed(numbers), RangeSet::all()),
            Field::IcmpCode(family) => Test::Icmp(family, RangeSet::all(), narrowed(numbers)),
            Field::OriginalDestination(family) => Test::OriginalDestination(Arc::new(addresses(family, numbers))),
            Field::OriginalPort => Test::OriginalPort(narrowed(numbers)),
            Field::Interface(_) => return None,
        })
    }
}

/// Numbers of a smaller type; what does not fit is no value of the field.
fn narrowed<T: Scalar + TryFrom<u128>>(numbers: &RangeSet<u128>) -> RangeSet<T> {
    let ends = |&(first, last): &(u128, u128)| Some((T::try_from(first).ok()?, T::try_from(last).unwrap_or(T::MAX)));
    RangeSet::from_ranges(numbers.ranges().iter().filter_map(ends))
}

pub(in crate::dump) fn addresses(family: Family, numbers: &RangeSet<u128>) -> AddressSet {
    match family {
        Family::V4 => AddressSet { v4: narrowed(numbers), v6: RangeSet::default() },
        Family::V6 => AddressSet { v4: RangeSet::default(), v6: numbers.clone() },
    }
}

/// Whether a protocol has source and destination port where TCP has them.
pub(in crate::dump) fn has_ports(protocol: u8) -> bool {
    Protocol::WITH_PORTS.contains(&protocol)
}

/// The key is one of these. Ports of a protocol that has none are bytes of something else, and are not understood.
pub(in crate::dump) fn keyed(selectors: Vec<Selector>, elements: Vec<Vec<Value>>) -> Option<Test> {
    let protocol = selectors.iter().position(|selector| *selector == Selector::Protocol);
    if let Some(at) = protocol.filter(|_| selectors.iter().any(|selector| matches!(selector, Selector::Port(_)))) {
        let is_sound = |value: &Value| match value {
            Value::Numbers(first, last) => (*first..=*last).all(|one| u8::try_from(one).is_ok_and(has_ports)),
            Value::Interface(_) => false,
        };
        if !elements.iter().all(|element| element.get(at).is_some_and(is_sound)) {
            return None;
        }
    }
    Some(Test::Keys(selectors, Arc::new(Keys { elements })))
}

/// The numbers that are `value` under a mask whose ones all stand before its zeroes.
pub(in crate::dump) fn under_prefix(value: &[u8], mask: &[u8]) -> Option<(u128, u128)> {
    let bits = u32::try_from(mask.len()).ok()?.checked_mul(8).filter(|bits| (1..=128).contains(bits))?;
    let (value, mask) = (wire::big_endian(value)?, wire::big_endian(mask)?);
    let all = u128::MAX >> (128 - bits);
    let rest = !mask & all;
    (rest & rest.wrapping_add(1) == 0 && value & rest == 0).then_some((value, value | rest))
}

/// An interface's name as the kernel compares it: without a final NUL it is the start of names.
pub(in crate::dump) fn interface(bytes: &[u8]) -> Option<InterfacePattern> {
    (bytes.len() <= 16).then(|| InterfacePattern { name: wire::text(bytes), prefix: !bytes.contains(&0) })
}

/// Adds a condition; what is said of one field in two steps, as the two ends of a range, becomes one test.
pub(in crate::dump) fn push(conditions: &mut Vec<Condition>, next: Condition) {
    if let Some(last) = conditions.last_mut()
        && !last.negated
        && !next.negated
        && let Some(both) = intersection(&last.test, &next.test)
    {
        last.test = both;
        return;
    }
    conditions.push(next);
}

fn intersection(a: &Test, b: &Test) -> Option<Test> {
    Some(match (a, b) {
        (Test::Address(side, a), Test::Address(other, b)) if side == other => {
            let both = a.intersection(b);
            if both.is_empty() { Test::Never } else { Test::Address(*side, Arc::new(both)) }
        }
        (Test::OriginalDestination(a), Test::OriginalDestination(b)) => {
            let both = a.intersection(b);
            if both.is_empty() { Test::Never } else { Test::OriginalDestination(Arc::new(both)) }
        }
        (Test::Port(side, a), Test::Port(other, b)) if side == other => Test::Port(*side, a.intersection(b)),
        (Test::Protocol(a), Test::Protocol(b)) => Test::Protocol(a.intersection(b)),
        (Test::OriginalPort(a), Test::OriginalPort(b)) => Test::OriginalPort(a.intersection(b)),
        (Test::Icmp(family, a, c), Test::Icmp(other, b, d)) if family == other => {
            Test::Icmp(*family, a.intersection(b), c.intersection(d))
        }
        _ => return None,
    })
}
