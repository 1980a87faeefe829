//! Statements of nft's JSON that do something.

use std::net::IpAddr;

use serde_json::Value as Json;

use super::rule::RuleReader;
use super::words::words;
use crate::dump::netlink::action::{self, Action};
use crate::dump::{Condition, Effect, Test, Translation, TranslationKind, Varies, Verdict};
use crate::net::{AddrRange, Family};

impl RuleReader<'_> {
    /// Takes in a statement that is no match and no verdict.
    pub(super) fn act(&mut self, kind: &str, inside: &Json, json: &Json) {
        match kind {
            "counter" | "last" | "log" => self.rule.effect(Effect::Harmless(kind.to_string())),
            "comment" => {}
            "notrack" => self.rule.effect(Effect::Notrack),
            "limit" | "quota" | "ct count" | "connlimit" => self.ask(json),
            "mangle" => self.mangle(inside, json),
            "snat" | "dnat" | "masquerade" | "redirect" => self.translate(kind, inside),
            "set" | "map" | "meter" => {
                // A full set and a limit in it end the rule.
                self.ask(json);
                self.rule.effect(Effect::Other(words(json)));
            }
            "ct helper" | "ct timeout" | "ct expectation" | "secmark" | "flow" | "dup" => {
                self.rule.effect(Effect::Other(words(json)));
            }
            "xt" => self.extension(inside, json),
            "queue" | "synproxy" | "tproxy" | "fwd" => self.rule.end(Verdict::Unknown(kind.to_string())),
            _ => self.rule.end(Verdict::Unknown(json.to_string())),
        }
    }

    fn ask(&mut self, json: &Json) {
        self.rule.add(Condition::is(Test::Opaque { text: words(json).into(), volatile: true }));
    }

    fn mangle(&mut self, inside: &Json, json: &Json) {
        if let Some(map) = inside.get("value").and_then(|value| value.get("map")) {
            self.in_map(map);
        }
        let key = inside.get("key").unwrap_or(&Json::Null);
        // Only a packet that has the field can be changed.
        if key.get("payload").is_some() {
            let _ = self.key(key);
        }
        let word = |kind: &str| key.get(kind).and_then(|inside| inside.get("key")).and_then(Json::as_str);
        let text = words(json);
        self.rule.effect(match (word("meta"), word("ct")) {
            (Some("mark"), _) | (_, Some("mark")) => Effect::Mark(text),
            (Some("priority" | "nftrace"), _) => Effect::Harmless(text),
            _ if key.get("tcp option").is_some() => Effect::Harmless(text),
            _ => Effect::Other(text),
        });
    }

    fn translate(&mut self, kind: &str, inside: &Json) {
        let maps = ["addr", "port"].iter().filter_map(|part| inside.get(part)?.get("map"));
        maps.for_each(|map| self.in_map(map));
        // To packets of the other family the kernel does nothing here, and goes on to the next rule.
        match inside.get("family").and_then(Json::as_str) {
            Some("ip") => self.need_family(Family::V4),
            Some("ip6") => self.need_family(Family::V6),
            _ => {}
        }
        let kind = match kind {
            "snat" => TranslationKind::Snat,
            "dnat" => TranslationKind::Dnat,
            "masquerade" => TranslationKind::Masquerade,
            _ => TranslationKind::Redirect,
        };
        let address = inside.get("addr").map(addresses);
        let ports = inside.get("port").map(ports);
        let netmap = inside.get("type_flags").is_some();
        // It gives one, but which depends on the packet.
        let varies = Varies { address: netmap || address == Some(None), port: ports == Some(None) };
        let address = address.flatten().filter(|_| !varies.address);
        self.rule.end(Verdict::Translate(Translation { kind, address, ports: ports.flatten(), varies }));
    }

    /// nft does not say what matches and targets of iptables ask, and older ones not even which they are.
    fn extension(&mut self, inside: &Json, json: &Json) {
        let word = |key: &str| inside.get(key).and_then(Json::as_str).unwrap_or("");
        match (word("type"), word("name")) {
            ("match", "comment") => {}
            ("match", name) => {
                let mut text = json.to_string();
                if matches!(name, "state" | "conntrack") {
                    text += " (conntrack)";
                }
                // Two of one name may ask different things.
                self.rule.add(Condition::is(Test::Opaque { text: text.into(), volatile: true }));
            }
            ("target", name) => match action::target(name) {
                Action::Effect(effect) => self.rule.effect(effect),
                Action::Ends(verdict) => self.rule.end(verdict),
                _ => self.rule.end(Verdict::Unknown(json.to_string())),
            },
            _ => {
                let text = format!("{json} (conntrack?)");
                self.rule.add(Condition::is(Test::Opaque { text: text.into(), volatile: true }));
                self.rule.unclear(json.to_string());
            }
        }
    }
}

fn addresses(json: &Json) -> Option<(IpAddr, IpAddr)> {
    if let Some(range) = json.get("range") {
        let [first, last] = range.as_array()?.as_slice() else { return None };
        return Some((first.as_str()?.parse().ok()?, last.as_str()?.parse().ok()?));
    }
    if let Some(prefix) = json.get("prefix") {
        let text = format!("{}/{}", prefix.get("addr")?.as_str()?, prefix.get("len")?.as_u64()?);
        let range: AddrRange = text.parse().ok()?;
        return Some((range.first(), range.last()));
    }
    json.as_str()?.parse().ok().map(|address| (address, address))
}

fn ports(json: &Json) -> Option<(u16, u16)> {
    let port = |json: &Json| json.as_u64().and_then(|port| u16::try_from(port).ok());
    if let Some(range) = json.get("range") {
        let [first, last] = range.as_array()?.as_slice() else { return None };
        return Some((port(first)?, port(last)?));
    }
    port(json).map(|port| (port, port))
}
