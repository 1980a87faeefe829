//! Conditions: what nft's words ask of a packet.

use std::sync::Arc;

use super::cursor::Cursor;
use super::names::number;
use super::rules::Known;
use super::selectors::{Asked, asked, field, tcp_flags, values};
use super::sets::KnownContents;
use crate::dump::{Condition, InterfacePattern, Keys, Parts, Selector, Side, States, Test, Value, Way};
use crate::net::{AddrRange, AddressSet, Family, Protocol, RangeSet};

/// The conditions that the next words say. `None`: none that is known here, and the cursor stands anywhere.
pub(super) fn condition(cursor: &mut Cursor, known: &Known) -> Option<Vec<Condition>> {
    let from = cursor.at();
    let special = special(cursor);
    if special.is_some() {
        return special;
    }
    cursor.go(from);
    compared(cursor, known)
}

/// What has a form of its own.
fn special(cursor: &mut Cursor) -> Option<Vec<Condition>> {
    let one = |test| Some(vec![Condition::is(test)]);
    let fragment = |family| vec![Condition::is(Test::Family(family)), Condition::is(Test::Fragment(Parts::LATER))];
    match cursor.word()? {
        "iif" => loopback(cursor, Way::In),
        "oif" => loopback(cursor, Way::Out),
        "meta" if cursor.take(&["nfproto"]) => match cursor.word()? {
            "ipv4" => one(Test::Family(Family::V4)),
            "ipv6" => one(Test::Family(Family::V6)),
            _ => None,
        },
        "tcp" if cursor.take(&["flags"]) => flags(cursor),
        "fib" => local(cursor),
        "ct" if cursor.take(&["state"]) => one(Test::State(states(cursor)?)),
        "ct" if cursor.take(&["status", "dnat"]) => one(Test::Translated(Side::Destination)),
        "ct" if cursor.take(&["status", "snat"]) => one(Test::Translated(Side::Source)),
        "ip" if cursor.take(&["frag-off", "&"]) => {
            let offset = number::<u16>(cursor.word()?) == Some(0x1fff);
            (offset && not_zero(cursor)).then(|| fragment(Family::V4))
        }
        "frag" if cursor.take(&["frag-off"]) => not_zero(cursor).then(|| fragment(Family::V6)),
        _ => None,
    }
}

fn not_zero(cursor: &mut Cursor) -> bool {
    cursor.take(&["!="]) && cursor.word().and_then(number::<u16>) == Some(0)
}

/// By index, which for lo is 1 in every namespace. Another name's index is not known here.
fn loopback(cursor: &mut Cursor, way: Way) -> Option<Vec<Condition>> {
    let name = cursor.string().or_else(|| cursor.word())?;
    (name == "lo").then(|| vec![Condition::is(Test::Interface(way, vec![InterfacePattern::exact("lo")]))])
}

/// `tcp flags & (syn | ack) == syn`, or as newer versions of nft list it: `tcp flags syn / syn,ack`.
fn flags(cursor: &mut Cursor) -> Option<Vec<Condition>> {
    let (negated, mask, value);
    if cursor.take(&["&"]) {
        mask = tcp_flags(cursor)?;
        negated = cursor.take(&["!="]);
        if !negated && !cursor.take(&["=="]) {
            return None;
        }
        value = tcp_flags(cursor)?;
    } else {
        negated = cursor.take(&["!="]);
        value = tcp_flags(cursor)?;
        if !cursor.take(&["/"]) {
            return None;
        }
        mask = tcp_flags(cursor)?;
    }
    Some(vec![protocol(Protocol::TCP.number()), Condition { negated, test: Test::TcpFlags { mask, value } }])
}

fn local(cursor: &mut Cursor) -> Option<Vec<Condition>> {
    let side = match cursor.word()? {
        "saddr" => Side::Source,
        "daddr" => Side::Destination,
        _ => return None,
    };
    let asked = cursor.take(&["type"]);
    let negated = cursor.take(&["!="]);
    (asked && cursor.take(&["local"])).then(|| vec![Condition { negated, test: Test::Local(side) }])
}

/// A packet has one state, so `{ }` and a list of bits ask the same.
fn states(cursor: &mut Cursor) -> Option<States> {
    let braced = cursor.take(&["{"]);
    let mut states = States::default();
    loop {
        match cursor.word()? {
            "new" => states.new = true,
            "established" => states.established = true,
            "related" => states.related = true,
            "invalid" => states.invalid = true,
            "untracked" => states.untracked = true,
            _ => return None,
        }
        if !cursor.take(&[","]) {
            return (!braced || cursor.take(&["}"])).then_some(states);
        }
    }
}

fn protocol(number: u8) -> Condition {
    Condition::is(Test::Protocol(RangeSet::single(number)))
}

/// `SELECTOR . SELECTOR @SET`, `SELECTOR { VALUES }`, `SELECTOR VALUE`, each also with `!=`.
fn compared(cursor: &mut Cursor, known: &Known) -> Option<Vec<Condition>> {
    let from = cursor.at();
    let mut all = vec![asked(cursor)?];
    while cursor.take(&["."]) {
        all.push(asked(cursor)?);
    }
    let negated = cursor.take(&["!="]);
    if !negated {
        cursor.take(&["=="]);
    }
    let test = match cursor.peek().strip_prefix('@') {
        Some(name) => {
            cursor.skip();
            looked_up(&all, name, known)?.unwrap_or_else(|| unknown(cursor.words(from)))
        }
        None => match all[..] {
            [one] => literal(one, &values(cursor, one)?)?,
            _ => return None,
        },
    };
    let mut conditions: Vec<Condition> = all.iter().flat_map(|asked| implied(*asked)).collect();
    // No address is in an empty set, and every address of the family is not; for the model an empty set has no family.
    let every = matches!(&test, Test::Address(_, set) if negated && set.is_empty());
    if !every {
        conditions.push(Condition { negated, test });
    }
    Some(conditions)
}

/// What is not understood, and may change.
pub(super) fn unknown(text: String) -> Test {
    Test::Opaque { text: text.into(), volatile: true }
}

/// What must hold besides, for there to be anything to compare: nft puts it before the comparison.
fn implied(asked: Asked) -> Vec<Condition> {
    let family = |family| Condition::is(Test::Family(family));
    match asked {
        Asked::PortOf(number, _) => vec![protocol(number)],
        Asked::ProtocolOfV4 => vec![family(Family::V4)],
        Asked::IcmpType(Family::V4) => vec![family(Family::V4), protocol(1)],
        Asked::IcmpType(Family::V6) => vec![family(Family::V6), protocol(58)],
        Asked::Key(Selector::Address(only, _)) => vec![family(only)],
        Asked::Key(_) | Asked::OriginalPort => Vec::new(),
    }
}

/// `None` where there is no such set or it has other fields; `Some(None)` where nobody knows what is in it.
fn looked_up(all: &[Asked], name: &str, known: &Known) -> Option<Option<Test>> {
    let set = known.sets.get(name)?;
    let selectors: Vec<Selector> = all.iter().map(|asked| asked.selector()).collect::<Option<_>>()?;
    if !selectors.iter().map(|selector| field(*selector)).eq(set.fields.iter().copied()) {
        return None;
    }
    if set.unknown {
        return Some(None);
    }
    Some(Some(match &set.contents {
        KnownContents::Addresses(addresses) => match selectors[..] {
            [Selector::Address(_, side)] => Test::Address(side, Arc::clone(addresses)),
            [Selector::OriginalDestination(_)] => Test::OriginalDestination(Arc::clone(addresses)),
            _ => return None,
        },
        KnownContents::Keys(keys) => of_keys(all, selectors, keys)?,
    }))
}

fn of_keys(all: &[Asked], selectors: Vec<Selector>, keys: &Arc<Keys>) -> Option<Test> {
    let [one] = all else { return Some(Test::Keys(selectors, Arc::clone(keys))) };
    let values: Vec<Value> = keys.elements.iter().filter_map(|key| key.first()).cloned().collect();
    if values.is_empty() { Some(Test::Never) } else { literal(*one, &values) }
}

/// A comparison with values that stand there.
fn literal(asked: Asked, values: &[Value]) -> Option<Test> {
    Some(match asked {
        Asked::Key(Selector::Address(family, side)) => Test::Address(side, addresses(family, values)?),
        Asked::Key(Selector::OriginalDestination(family)) => Test::OriginalDestination(addresses(family, values)?),
        Asked::Key(Selector::Protocol) | Asked::ProtocolOfV4 => Test::Protocol(numbers(values)?),
        Asked::Key(Selector::Port(side)) | Asked::PortOf(_, side) => Test::Port(side, numbers(values)?),
        Asked::Key(Selector::Interface(way)) => {
            let pattern = |value: &Value| match value {
                Value::Interface(pattern) => Some(pattern.clone()),
                Value::Numbers(..) => None,
            };
            Test::Interface(way, values.iter().map(pattern).collect::<Option<_>>()?)
        }
        Asked::OriginalPort => Test::OriginalPort(numbers(values)?),
        Asked::IcmpType(family) => Test::Icmp(family, numbers(values)?, RangeSet::all()),
    })
}

fn numbers<T: crate::net::Scalar + TryFrom<u128>>(values: &[Value]) -> Option<RangeSet<T>> {
    let range = |value: &Value| match value {
        Value::Numbers(first, last) => Some((T::try_from(*first).ok()?, T::try_from(*last).ok()?)),
        Value::Interface(_) => None,
    };
    values.iter().map(range).collect::<Option<Vec<_>>>().map(RangeSet::from_ranges)
}

fn addresses(family: Family, values: &[Value]) -> Option<Arc<AddressSet>> {
    let range = |value: &Value| match (family, value) {
        (Family::V4, Value::Numbers(first, last)) => {
            Some(AddrRange::V4(u32::try_from(*first).ok()?, u32::try_from(*last).ok()?))
        }
        (Family::V6, Value::Numbers(first, last)) => Some(AddrRange::V6(*first, *last)),
        (_, Value::Interface(_)) => None,
    };
    values.iter().map(range).collect::<Option<AddressSet>>().map(Arc::new)
}
