//! What fwc never writes, and what a person may have made of its text. `tests/nft_text.rs` has what it does write.

use super::*;
use crate::dump::{Condition, Effect, Test, Verdict};
use crate::source::Sources;

fn dump(text: &str) -> Dump {
    read(Sources::default().add("a.nft", text), text)
}

/// The conditions and verdict of one rule in a chain of a table with two sets.
fn rule(line: &str) -> (Vec<Condition>, Verdict) {
    let text = format!(
        "table inet fwc {{\n\tset one {{\n\t\ttype ipv4_addr\n\t\telements = {{ 10.0.0.1 }}\n\t}}\n\tset odd {{\n\t\ttype ipv4_addr\n\t\t\
         flags dynamic\n\t}}\n\tset none {{\n\t\ttype ipv4_addr\n\t}}\n\tset ports {{\n\t\ttype ipv4_addr . inet_service\n\t\t\
         elements = {{ 10.0.0.1 . 80 }}\n\t}}\n\tchain other {{\n\t}}\n\tchain input {{\n\t\t{line}\n\t}}\n}}\n"
    );
    let mut dump = dump(&text);
    assert!(dump.unread.is_empty(), "{:?}", dump.unread);
    let mut chain = dump.chains.pop().unwrap();
    assert_eq!(chain.rules.len(), 1, "{line}");
    let rule = chain.rules.pop().unwrap();
    (rule.conditions, rule.verdict)
}

fn shown(line: &str) -> String {
    rule(line).0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn conditions_read_as_what_they_ask() {
    for (line, expected) in [
        ("ip saddr != 10.0.0.1 accept", "meta nfproto ipv4 ip saddr != 10.0.0.1"),
        ("ip saddr { 10.0.0.1, 10.0.0.2 } accept", "meta nfproto ipv4 ip saddr 10.0.0.1-10.0.0.2"),
        ("ip saddr != @one accept", "meta nfproto ipv4 ip saddr != 10.0.0.1"),
        ("ip saddr != @none accept", "meta nfproto ipv4"),
        ("tcp flags syn / syn,ack accept", "meta l4proto 6 tcp flags & 0x12 == 0x2"),
        ("tcp flags != syn / syn,ack accept", "meta l4proto 6 tcp flags & 0x12 != 0x2"),
        ("tcp flags & (syn | ack) != syn accept", "meta l4proto 6 tcp flags & 0x12 != 0x2"),
        ("ip protocol tcp accept", "meta nfproto ipv4 meta l4proto 6"),
        ("meta l4proto ipencap accept", "meta l4proto 4"),
        ("meta l4proto != { tcp, udp } accept", "meta l4proto != { 6, 17 }"),
        ("iifname \"eth*\" accept", "iifname \"eth*\""),
        ("ip frag-off & 0x1fff != 0x0 accept", "meta nfproto ipv4 fragment later"),
        ("ct state { established, related } accept", "ct state established,related"),
        ("dnat ip to 10.0.0.1:80", "meta nfproto ipv4"),
    ] {
        assert_eq!(shown(line), expected, "{line}");
        assert!(rule(line).0.iter().all(|condition| condition.test.is_understood()), "{line}");
    }
}

#[test]
fn what_is_not_understood_stays_in_its_rule() {
    for line in [
        "ip ttl 5 accept",
        "iif \"eth0\" accept",
        "ip saddr . tcp dport { 10.0.0.1 . 80 } accept",
        "ip saddr @missing accept",
        "ip6 saddr @one accept",
        "ct state 0x8 accept",
        "ct state vmap { new : accept }",
        "tcp dport 080 accept",
        "tcp dport 90-80 accept",
        "tcp dport ssh accept",
        "ip saddr 10.0.0.1/8 accept",
        "ip saddr ::1 accept",
        "jump missing",
        "accept drop",
        "notrack ip saddr 10.0.0.1",
        "dnat to 10.0.0.1",
        "dnat ip6 to 10.0.0.1",
        "masquerade random",
        "limit rate 5/second accept",
    ] {
        let (conditions, verdict) = rule(line);
        assert!(matches!(verdict, Verdict::Unknown(_)), "{line}: {verdict:?}");
        let volatile = |one: &Condition| matches!(one.test, Test::Opaque { volatile: true, .. });
        assert!(conditions.iter().any(volatile), "{line}: {conditions:?}");
    }
}

#[test]
fn a_set_that_changes_and_ports_of_any_protocol_are_opaque() {
    for line in ["ip saddr @odd accept", "th dport 80 accept", "ip saddr . th dport @ports accept"] {
        let (conditions, verdict) = rule(line);
        assert_eq!(verdict, Verdict::Accept, "{line}");
        assert!(!conditions.last().unwrap().test.is_understood(), "{line}: {conditions:?}");
    }
    for line in ["ip saddr . tcp dport @ports accept", "meta l4proto { tcp, udp } th dport 80 accept"] {
        assert!(rule(line).0.iter().all(|condition| condition.test.is_understood()), "{line}");
    }
}

#[test]
fn what_is_not_understood_outside_of_rules_is_told_with_its_place() {
    let cases = [
        ("add rule inet fwc input accept\n", "add rule inet fwc input accept"),
        ("table arp fwc {\n chain a {\n }\n}\n", "table arp fwc {\n chain a {\n }\n}"),
        ("table inet fwc {\n flags dormant\n}\n", "flags dormant"),
        ("table inet fwc {\n map m {\n  type mark : verdict\n }\n}\n", "map m {\n  type mark : verdict\n }"),
        ("table inet fwc {\n set s {\n  typeof ip saddr\n }\n}\n", "typeof ip saddr"),
        ("table inet fwc {\n set s {\n  type ipv4_addr\n  elements = { ::1, 10.0.0.1 }\n }\n}\n", "::1"),
        (
            "table inet fwc {\n chain a {\n  type filter hook ingress priority 0;\n }\n}\n",
            "type filter hook ingress priority 0",
        ),
        ("table inet fwc {\n chain a {\n", ""),
        ("}\n", "}"),
        ("table inet fwc {\n}\n\"", "\""),
    ];
    for (text, expected) in cases {
        let mut sources = Sources::default();
        let file = sources.add("a.nft", text);
        let dump = read(file, text);
        let told: Vec<&str> = dump.unread.iter().map(|unread| sources.at(unread.place)).collect();
        assert!(told.contains(&expected), "{text}: {told:?}");
    }
}

#[test]
fn tables_are_added_and_deleted_in_their_order() {
    let chain = |name: &str| format!("table inet fwc {{\n chain {name} {{\n  accept\n }}\n}}\n");
    let names = |text: &str| dump(text).chains.into_iter().map(|chain| chain.name).collect::<Vec<_>>();
    assert_eq!(names(&format!("{}delete table inet fwc\n{}", chain("a"), chain("b"))), ["b"]);
    assert_eq!(names(&format!("{}{}", chain("a"), chain("b"))), ["a", "b"]);
    assert_eq!(names(&format!("{}delete table ip fwc\n", chain("a"))), ["a"]);
    assert_eq!(names(&format!("{}flush ruleset\n", chain("a"))), [""; 0]);
    let twice = dump(&format!("{}{}", chain("a"), chain("a")));
    assert_eq!(twice.chains.iter().map(|chain| chain.rules.len()).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_rule_has_its_place_and_comment() {
    let text =
        "table inet fwc {\n chain a {\n  counter packets 1 bytes 2 notrack comment \"größe\"; accept # why\n }\n}\n";
    let mut sources = Sources::default();
    let file = sources.add("a.nft", text);
    let dump = read(file, text);
    let [first, second] = &dump.chains[0].rules[..] else { panic!("{dump:?}") };
    assert_eq!(sources.at(first.place), "counter packets 1 bytes 2 notrack comment \"größe\"");
    assert_eq!(first.comment.as_deref(), Some("größe"));
    assert_eq!(first.effects, [Effect::Harmless("counter".to_string()), Effect::Notrack]);
    assert_eq!((sources.at(second.place), &second.verdict), ("accept", &Verdict::Accept));
    assert_eq!(sources.at(dump.chains[0].place), "chain a");
}

#[test]
fn a_jump_back_is_taken_out_and_told() {
    let dump = dump("table inet fwc {\n chain a {\n  jump b\n }\n chain b {\n  jump a\n }\n}\n");
    assert_eq!(dump.chains[0].rules[0].verdict, Verdict::Jump(ChainId(1)));
    assert!(matches!(dump.chains[1].rules[0].verdict, Verdict::Unknown(_)));
    assert_eq!(dump.unread.len(), 1);
}
