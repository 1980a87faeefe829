//! Expressions that do something, or ask something without registers.

use std::net::IpAddr;

use super::register::{Registers, What, hex};
use crate::dump::{Condition, Effect, Test, Translation, TranslationKind, Varies, Verdict};
use crate::kernel::wire::{Fields, text, u16_at};
use crate::net::Family;

/// What an expression is to its rule.
pub(in crate::dump) enum Action {
    Effect(Effect),
    Asks(Test),
    AsksAll(Vec<Condition>),
    AsksAnd(Test, Effect),
    Ends(Verdict),
    Loads { volatile: bool },
}

fn harmless(words: &str) -> Action {
    Action::Effect(Effect::Harmless(words.to_string()))
}

fn other(words: String) -> Action {
    Action::Effect(Effect::Other(words))
}

fn volatile(words: String) -> Test {
    Test::Opaque { text: words.into(), volatile: true }
}

/// Reads an expression of a rule for this family. Registers hold what NAT translates to.
pub(in crate::dump) fn of(
    name: &str,
    fields: &Fields<'_>,
    bytes: &[u8],
    registers: &Registers,
    family: Option<Family>,
) -> Action {
    match name {
        "counter" | "last" | "log" => harmless(name),
        "notrack" => Action::Effect(Effect::Notrack),
        "reject" => Action::Ends(Verdict::Reject),
        "queue" | "fwd" | "synproxy" | "tproxy" => Action::Ends(Verdict::Unknown(name.to_string())),
        "limit" | "quota" | "connlimit" => Action::Asks(volatile(format!("{name} {}", hex(bytes)))),
        "meta" => match fields.number(2) {
            Some(3) => Action::Effect(Effect::Mark("meta mark set".to_string())),
            Some(2 | 12) => harmless("meta set"),
            key => other(format!("meta key {} set", key.unwrap_or(0))),
        },
        "ct" if fields.number(2) == Some(3) => Action::Effect(Effect::Mark("ct mark set".to_string())),
        "ct" => other(format!("ct key {} set", fields.number(2).unwrap_or(0))),
        "exthdr" => harmless("tcp option set"),
        "payload" => other("payload set".to_string()),
        "dup" | "flow_offload" | "secmark" => other(name.to_string()),
        "objref" => object(fields),
        "dynset" => {
            let set = fields.text(1).unwrap_or_default();
            // A full set and a limit in it end the rule.
            Action::AsksAnd(volatile(format!("update @{set}")), Effect::Other(format!("update @{set}")))
        }
        "nat" | "masq" | "redir" => Action::Ends(Verdict::Translate(translation(name, fields, registers))),
        "match" => {
            let (name, revision, info) = extension(fields);
            extension_match(&name, revision, info, family)
        }
        "target" => {
            let (name, revision, info) = extension(fields);
            extension_target(&name, revision, info, family)
        }
        "numgen" => Action::Loads { volatile: true },
        "hash" | "rt" | "socket" | "osf" | "xfrm" | "tunnel" => Action::Loads { volatile: false },
        _ => Action::Ends(Verdict::Unknown(name.to_string())),
    }
}

fn object(fields: &Fields<'_>) -> Action {
    let name = fields.text(2).unwrap_or_default();
    match fields.number(1) {
        Some(1) => harmless("counter"),
        Some(2) => Action::Asks(volatile(format!("quota name {name}"))),
        Some(4) => Action::Asks(volatile(format!("limit name {name}"))),
        Some(10) => Action::Ends(Verdict::Unknown(format!("synproxy name {name}"))),
        Some(3) => other(format!("ct helper set {name}")),
        // By a map: which object, and whether there is one, depends on the packet.
        None => Action::AsksAnd(
            volatile(format!("object of @{}", fields.text(4).unwrap_or_default())),
            Effect::Other("object".to_string()),
        ),
        Some(kind) => other(format!("object {kind} {name}")),
    }
}

/// First and last of something that lies in registers; the last may be left out.
fn ends(registers: &Registers, first: Option<u64>, last: Option<u64>) -> Option<(&[u8], &[u8])> {
    let constant = |register| match &registers.get(Some(register))?.what {
        What::Constant(bytes) => Some(bytes.as_slice()),
        _ => None,
    };
    Some((constant(first?)?, constant(last.or(first)?)?))
}

/// `NF_NAT_RANGE_NETMAP`: each address has one of its own.
const NETMAP: u64 = 0x40;

/// An address in network order.
pub(super) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => bytes.first_chunk::<4>().map(|bytes| IpAddr::from(*bytes)),
        16 => bytes.first_chunk::<16>().map(|bytes| IpAddr::from(*bytes)),
        _ => None,
    }
}

/// A port in network order.
pub(super) fn port(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn translation(name: &str, fields: &Fields<'_>, registers: &Registers) -> Translation {
    let (kind, address, ports) = match (name, fields.number(1)) {
        ("masq", _) => (TranslationKind::Masquerade, (None, None), (fields.number(2), fields.number(3))),
        ("redir", first) => (TranslationKind::Redirect, (None, None), (first, fields.number(2))),
        (_, kind) => (
            if kind == Some(0) { TranslationKind::Snat } else { TranslationKind::Dnat },
            (fields.number(3), fields.number(4)),
            (fields.number(5), fields.number(6)),
        ),
    };
    let new_address = ends(registers, address.0, address.1).and_then(|(a, b)| ip(a).zip(ip(b)));
    let new_ports = ends(registers, ports.0, ports.1).and_then(|(a, b)| port(a).zip(port(b)));
    // It gives one, but which depends on the packet.
    let netmap = name == "nat" && fields.number(7).unwrap_or(0) & NETMAP != 0;
    let varies = Varies {
        address: netmap || (address.0.is_some() && new_address.is_none()),
        port: ports.0.is_some() && new_ports.is_none(),
    };
    Translation { kind, address: new_address.filter(|_| !varies.address), ports: new_ports, varies }
}

/// Matches of x_tables whose answer depends on more than the packet and its flow.
pub(in crate::dump) const VOLATILE: &[&str] = &[
    "limit",
    "hashlimit",
    "recent",
    "statistic",
    "connlimit",
    "connmark",
    "mark",
    "set",
    "quota",
    "time",
    "connbytes",
    "dccp",
    "nfacct",
    "rateest",
    "bpf",
    "cpu",
];

/// The kernel's name of a match or target, its revision and what it was given.
fn extension<'a>(fields: &Fields<'a>) -> (String, u64, &'a [u8]) {
    (fields.get(1).map(text).unwrap_or_default(), fields.number(2).unwrap_or(0), fields.get(3).unwrap_or(&[]))
}

/// A match of x_tables by the kernel's name, with its revision and what it was given.
pub(in crate::dump) fn extension_match(name: &str, revision: u64, info: &[u8], family: Option<Family>) -> Action {
    if name == "comment" {
        return harmless("comment");
    }
    if let Some(conditions) = super::extension::conditions(name, revision, info, family) {
        return Action::AsksAll(conditions);
    }
    let volatile = VOLATILE.contains(&name);
    let text = format!("xt match {name} {revision} {}", hex(info));
    // A conntrack match makes the kernel track; the model knows it by the word.
    let text = if name == "state" { format!("{text} (conntrack)") } else { text };
    Action::Asks(Test::Opaque { text: text.into(), volatile })
}

/// A target of x_tables by the kernel's name, with its revision and what it was given, in a rule for this family.
pub(in crate::dump) fn extension_target(name: &str, revision: u64, info: &[u8], family: Option<Family>) -> Action {
    /// `XT_CT_NOTRACK`, in the flags at the start.
    const NO_TRACK: u16 = 1;
    if let Some(translation) = super::extension::translation(name, revision, info, family) {
        return Action::Ends(Verdict::Translate(translation));
    }
    if name == "CT" && u16_at(info, 0).is_some_and(|flags| flags & NO_TRACK != 0) {
        return Action::Effect(Effect::Notrack);
    }
    // `struct xt_ct_target_info`: the helper's name is behind four numbers.
    let helper = info.get(12..28).map(text).filter(|helper| name == "CT" && !helper.is_empty());
    if let Some(helper) = helper {
        return other(format!("xt target CT, helper {helper}"));
    }
    target(name)
}

/// What a target of x_tables does, by its name.
pub(in crate::dump) fn target(name: &str) -> Action {
    let words = format!("xt target {name}");
    match name {
        "LOG" | "NFLOG" | "ULOG" | "AUDIT" | "TCPMSS" | "CHECKSUM" | "CLASSIFY" | "TRACE" | "LED" | "DSCP" | "TOS"
        | "TTL" | "HL" | "ECN" | "TCPOPTSTRIP" | "RATEEST" | "IDLETIMER" => harmless(&words),
        "MARK" | "CONNMARK" | "HMARK" => Action::Effect(Effect::Mark(words)),
        "NOTRACK" => Action::Effect(Effect::Notrack),
        "CT" | "SET" | "TEE" | "SECMARK" | "CONNSECMARK" => other(words),
        "REJECT" => Action::Ends(Verdict::Reject),
        _ => Action::Ends(match translation_kind(name) {
            Some(kind) => Verdict::Translate(Translation { kind, address: None, ports: None, varies: Varies::ALL }),
            None => Verdict::Unknown(words),
        }),
    }
}

/// The kind of NAT that a target of x_tables is.
pub(super) fn translation_kind(name: &str) -> Option<TranslationKind> {
    Some(match name {
        "MASQUERADE" => TranslationKind::Masquerade,
        "SNAT" => TranslationKind::Snat,
        "DNAT" => TranslationKind::Dnat,
        "REDIRECT" => TranslationKind::Redirect,
        "NETMAP" => TranslationKind::Netmap,
        _ => return None,
    })
}

/// First words of what [`of`] and the reader of verdicts do not follow although they know that it translates nothing.
const NO_NAT: &[&str] = &[
    "queue", "fwd", "synproxy", "tproxy", "vmap", "jump", "goto", "verdict", "NFQUEUE", "QUEUE", "TPROXY", "SYNPROXY",
];

/// Whether a verdict that is not followed may be NAT of a kind that nobody here knows.
pub(in crate::dump) fn may_translate(unknown: &str) -> bool {
    let words = unknown.strip_prefix("xt target ").unwrap_or(unknown);
    !NO_NAT.contains(&words.split(' ').next().unwrap_or(words))
}
