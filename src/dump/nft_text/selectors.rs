//! What conditions ask for by name, and the values that they compare it with.

use super::cursor::Cursor;
use super::names::{icmp, icmpv6, number};
use super::sets::{Field, value};
use crate::dump::{Selector, Side, Value, Way};
use crate::net::{Family, Protocol};

/// Something that can be compared with values or looked up in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// What can stand in a key too.
    Key(Selector),
    /// A port of this protocol: `tcp dport`.
    PortOf(u8, Side),
    /// `ip protocol`
    ProtocolOfV4,
    /// `ct original proto-dst`
    OriginalPort,
    /// `icmp type`, `icmpv6 type`
    IcmpType(Family),
}

impl Asked {
    /// What of it stands in a key.
    pub(super) fn selector(self) -> Option<Selector> {
        match self {
            Asked::Key(selector) => Some(selector),
            Asked::PortOf(_, side) => Some(Selector::Port(side)),
            Asked::ProtocolOfV4 => Some(Selector::Protocol),
            Asked::OriginalPort | Asked::IcmpType(_) => None,
        }
    }
}

/// The field of a set's key that a selector is looked up in.
pub(super) fn field(selector: Selector) -> Field {
    match selector {
        Selector::Address(family, _) | Selector::OriginalDestination(family) => Field::Address(family),
        Selector::Protocol => Field::Protocol,
        Selector::Port(_) => Field::Port,
        Selector::Interface(_) => Field::Interface,
    }
}

/// The name of what is asked for, if it is next.
pub(super) fn asked(cursor: &mut Cursor) -> Option<Asked> {
    let key = |selector| Some(Asked::Key(selector));
    match cursor.word()? {
        "iifname" => key(Selector::Interface(Way::In)),
        "oifname" => key(Selector::Interface(Way::Out)),
        "ip" if cursor.take(&["protocol"]) => Some(Asked::ProtocolOfV4),
        "ip" => side(cursor, "saddr", "daddr").and_then(|side| key(Selector::Address(Family::V4, side))),
        "ip6" => side(cursor, "saddr", "daddr").and_then(|side| key(Selector::Address(Family::V6, side))),
        "meta" => cursor.take(&["l4proto"]).then_some(Asked::Key(Selector::Protocol)),
        "th" => side(cursor, "sport", "dport").and_then(|side| key(Selector::Port(side))),
        "icmp" => cursor.take(&["type"]).then_some(Asked::IcmpType(Family::V4)),
        "icmpv6" => cursor.take(&["type"]).then_some(Asked::IcmpType(Family::V6)),
        "ct" if cursor.take(&["original", "proto-dst"]) => Some(Asked::OriginalPort),
        "ct" if cursor.take(&["original", "ip", "daddr"]) => key(Selector::OriginalDestination(Family::V4)),
        "ct" if cursor.take(&["original", "ip6", "daddr"]) => key(Selector::OriginalDestination(Family::V6)),
        word => {
            let protocol = word.parse::<Protocol>().ok().filter(|protocol| protocol.has_ports())?;
            side(cursor, "sport", "dport").map(|side| Asked::PortOf(protocol.number(), side))
        }
    }
}

fn side(cursor: &mut Cursor, source: &str, destination: &str) -> Option<Side> {
    if cursor.take(&[source]) { Some(Side::Source) } else { cursor.take(&[destination]).then_some(Side::Destination) }
}

/// One value, or several in `{ }`.
pub(super) fn values(cursor: &mut Cursor, asked: Asked) -> Option<Vec<Value>> {
    if !cursor.take(&["{"]) {
        return one(cursor, asked).map(|value| vec![value]);
    }
    let mut all = Vec::new();
    loop {
        cursor.lines();
        all.push(one(cursor, asked)?);
        cursor.lines();
        if cursor.take(&["}"]) {
            return Some(all);
        }
        if !cursor.take(&[","]) {
            return None;
        }
    }
}

fn one(cursor: &mut Cursor, asked: Asked) -> Option<Value> {
    let single = |number: u16| Value::Numbers(number.into(), number.into());
    match asked {
        Asked::IcmpType(Family::V4) => cursor.word().and_then(icmp).map(|number| single(number.into())),
        Asked::IcmpType(Family::V6) => cursor.word().and_then(icmpv6).map(|number| single(number.into())),
        Asked::OriginalPort => value(cursor, Field::Port),
        _ => value(cursor, field(asked.selector()?)),
    }
}

/// `syn`, `(syn | ack)` or `syn,ack`.
pub(super) fn tcp_flags(cursor: &mut Cursor) -> Option<u8> {
    let braced = cursor.take(&["("]);
    let mut flags = 0;
    loop {
        let word = cursor.word()?;
        flags |= super::names::tcp_flag(word).or_else(|| number(word))?;
        if !(cursor.take(&["|"]) || cursor.take(&[","])) {
            break;
        }
    }
    (!braced || cursor.take(&[")"])).then_some(flags)
}
