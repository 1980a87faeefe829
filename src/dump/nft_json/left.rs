//! What nft's JSON asks of a packet, as what the kernel would load.

use serde_json::Value as Json;

use super::rule::RuleReader;
use crate::dump::netlink::register::{Loaded, What};
use crate::dump::{Condition, Test};
use crate::net::{Family, RangeSet};

/// Protocols of the transport header by the words of nft.
fn transport(word: &str) -> Option<u8> {
    Some(match word {
        "tcp" => 6,
        "udp" => 17,
        "udplite" => 136,
        "sctp" => 132,
        "dccp" => 33,
        "icmp" => 1,
        "icmpv6" => 58,
        _ => return None,
    })
}

fn text<'j>(json: &'j Json, key: &str) -> &'j str {
    json.get(key).and_then(Json::as_str).unwrap_or("")
}

/// Something that is not followed, in its own words.
pub(super) fn other(json: &Json, length: usize) -> Loaded {
    let text = json.to_string();
    let volatile = ["mark", "numgen", "random", "time", "hour", "day", "cpu", "bytes", "packets", "quota", "map"];
    let volatile = volatile.iter().any(|word| text.contains(&format!("\"{word}\"")));
    Loaded::new(What::Other { text, volatile }, length)
}

impl RuleReader<'_> {
    /// The packet is of this family, unless that is known by now.
    pub(super) fn need_family(&mut self, family: Family) {
        if self.known.family != Some(family) {
            self.rule.add(Condition::is(Test::Family(family)));
            self.known.family = Some(family);
        }
    }

    pub(super) fn need_protocol(&mut self, protocol: u8) {
        if self.known.protocol != Some(protocol) {
            self.rule.add(Condition::is(Test::Protocol(RangeSet::single(protocol))));
            self.known.protocol = Some(protocol);
        }
    }

    /// The parts of a key. Families first, then protocols: what nft asks before it loads.
    pub(super) fn key(&mut self, json: &Json) -> Vec<Loaded> {
        let parts = match json.get("concat").and_then(Json::as_array) {
            Some(parts) => parts.clone(),
            None => vec![json.clone()],
        };
        // A mask may stand around what is loaded.
        let inner = |part: &Json| part.get("&").and_then(|both| both.get(0)).cloned().unwrap_or_else(|| part.clone());
        let loads: Vec<Json> = parts.iter().map(inner).collect();
        for part in &loads {
            match text(part.get("payload").unwrap_or(&Json::Null), "protocol") {
                "ip" | "icmp" => self.need_family(Family::V4),
                "ip6" | "icmpv6" => self.need_family(Family::V6),
                _ => {}
            }
            if text(part.get("exthdr").unwrap_or(&Json::Null), "name") == "frag" {
                self.need_family(Family::V6);
            }
        }
        for part in &loads {
            transport(text(part.get("payload").unwrap_or(&Json::Null), "protocol"))
                .into_iter()
                .for_each(|protocol| self.need_protocol(protocol));
        }
        parts.iter().map(|part| self.part(part)).collect()
    }

    fn part(&self, json: &Json) -> Loaded {
        let found = json.as_object().and_then(|object| object.iter().next());
        let read = found.and_then(|(kind, inside)| match kind.as_str() {
            "payload" => payload(inside),
            "meta" => meta(text(inside, "key")),
            "ct" => self.conntrack(inside),
            "fib" => fib(inside),
            "exthdr" => extension(inside),
            "&" => self.masked(inside),
            _ => None,
        });
        read.unwrap_or_else(|| other(json, 4))
    }

    fn masked(&self, json: &Json) -> Option<Loaded> {
        let [inside, mask] = json.as_array()?.as_slice() else { return None };
        let inside = if inside.get("&").is_some() { return None } else { self.part(inside) };
        if matches!(inside.what, What::Other { .. } | What::Extension { .. }) || inside.mask.is_some() {
            return None;
        }
        let mask = super::value::bytes(&inside, self.known.field(&inside), mask)?;
        Some(Loaded { mask: Some(mask), ..inside })
    }

    fn conntrack(&self, json: &Json) -> Option<Loaded> {
        let original = text(json, "dir") == "original";
        let key = text(json, "key");
        let family = match text(json, "family") {
            "ip" => Some(Family::V4),
            "ip6" => Some(Family::V6),
            _ => self.known.family,
        };
        let (key, length) = match (key, family) {
            ("state", _) => (0, 4),
            ("status", _) => (2, 4),
            ("ip daddr", _) | ("daddr", Some(Family::V4)) if original => (20, 4),
            ("ip6 daddr", _) | ("daddr", Some(Family::V6)) if original => (22, 16),
            ("proto-dst", _) if original => (12, 2),
            _ => return None,
        };
        Some(Loaded::new(What::Conntrack { key, original }, length))
    }
}

fn payload(json: &Json) -> Option<Loaded> {
    if let Some(base) = json.get("base") {
        let bits = |key| json.get(key).and_then(Json::as_u64).and_then(|bits| usize::try_from(bits).ok());
        let (offset, length) = (bits("offset")?, bits("len")?);
        if offset % 8 != 0 || length % 8 != 0 || length > 128 {
            return None;
        }
        let offset = offset / 8;
        let what = match base.as_str()? {
            "nh" => What::Network { offset },
            "th" => What::Transport { offset },
            _ => return None,
        };
        return Some(Loaded::new(what, length / 8));
    }
    let network = |offset, length| Some(Loaded::new(What::Network { offset }, length));
    let behind = |offset, length| Some(Loaded::new(What::Transport { offset }, length));
    match (text(json, "protocol"), text(json, "field")) {
        ("ip", "protocol") => network(9, 1),
        ("ip", "saddr") => network(12, 4),
        ("ip", "daddr") => network(16, 4),
        ("ip", "frag-off") => network(6, 2),
        ("ip6", "saddr") => network(8, 16),
        ("ip6", "daddr") => network(24, 16),
        ("tcp" | "udp" | "udplite" | "sctp" | "dccp" | "th", "sport") => behind(0, 2),
        ("tcp" | "udp" | "udplite" | "sctp" | "dccp" | "th", "dport") => behind(2, 2),
        ("tcp", "flags") => behind(13, 1),
        ("icmp" | "icmpv6", "type") => behind(0, 1),
        ("icmp" | "icmpv6", "code") => behind(1, 1),
        _ => None,
    }
}

fn meta(key: &str) -> Option<Loaded> {
    let (key, length) = match key {
        "protocol" => (1, 2),
        "iif" => (4, 4),
        "oif" => (5, 4),
        "iifname" => (6, 16),
        "oifname" => (7, 16),
        "nfproto" => (15, 1),
        "l4proto" => (16, 1),
        _ => return None,
    };
    Some(Loaded::new(What::Meta(key), length))
}

fn fib(json: &Json) -> Option<Loaded> {
    let flags = match json.get("flags")? {
        Json::Array(all) => all.iter().map(Json::as_str).collect::<Option<Vec<_>>>()?,
        Json::String(one) => vec![one.as_str()],
        _ => return None,
    };
    let flags = match flags.as_slice() {
        ["saddr"] => 1,
        ["daddr"] => 2,
        _ => return None,
    };
    (text(json, "result") == "type").then_some(Loaded::new(What::AddressType(flags), 4))
}

fn extension(json: &Json) -> Option<Loaded> {
    if text(json, "name") != "frag" {
        return None;
    }
    match json.get("field").and_then(Json::as_str) {
        None => Some(Loaded::new(What::Extension { kind: 44, offset: 0, present: true }, 1)),
        Some("frag-off") => {
            let what = What::Extension { kind: 44, offset: 2, present: false };
            Some(Loaded { mask: Some(vec![0xff, 0xf8]), ..Loaded::new(what, 2) })
        }
        Some(_) => None,
    }
}
