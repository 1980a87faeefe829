//! Generated specs with many services: nested prefixes, overlapping ranges, lists of ports, sources of all sizes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn ports(base: u16) -> impl Strategy<Value = String> {
    let one = (0u16..400).prop_map(move |offset| (base + offset).to_string());
    let range =
        (0u16..400, 1u16..60).prop_map(move |(start, length)| format!("{}-{}", base + start, base + start + length));
    prop_oneof![4 => one.clone(), 1 => range, 1 => vec(one, 2..20).prop_map(|ports| ports.join(","))]
}

fn addresses() -> impl Strategy<Value = String> {
    let host = (0u8..4, 0u8..=255).prop_map(|(a, b)| format!("10.9.{a}.{b}"));
    let prefix = (0u8..4, 0u8..4, 24u8..=28)
        .prop_map(|(a, b, length)| format!("10.9.{a}.{}/{length}", if length < 26 { 0 } else { b * 64 }));
    let range = (0u8..4, 0u8..200, 1u8..50).prop_map(|(a, b, length)| format!("10.9.{a}.{b}-10.9.{a}.{}", b + length));
    let v6 = (0u8..=255).prop_map(|a| format!("[2001:db8::{a:x}]"));
    let v6_prefix = (0u8..16, 120u8..=124).prop_map(|(a, length)| format!("[2001:db8::{a:x}00/{length}]"));
    prop_oneof![6 => host, 1 => prefix, 1 => range, 3 => v6, 1 => v6_prefix, 1 => Just("*".to_string())]
}

fn entry(base: u16) -> impl Strategy<Value = String> {
    let from =
        prop_oneof![6 => Just(""), 1 => Just(", from: $few"), 1 => Just(", from: $some"), 1 => Just(", from: $lots")];
    let interface = prop_oneof![8 => Just(""), 1 => Just(", interface: [eth0, eth1]")];
    let protocol = select(vec!["tcp", "tcp", "udp", "[tcp, udp]", "sctp"]);
    (vec((addresses(), ports(base)), 1..3), protocol, from, interface).prop_map(
        |(listen, protocol, from, interface)| {
            let listen: Vec<String> = listen.iter().map(|(address, ports)| format!("\"{address}:{ports}\"")).collect();
            format!("listen: [{}], protocol: {protocol}{from}{interface}", listen.join(", "))
        },
    )
}

fn set(size: usize) -> String {
    let v4 = (0..size).map(|n| if n % 5 == 0 { format!("192.0.{n}.0/24") } else { format!("192.0.{n}.7") });
    let v6 = (0..size).map(|n| format!("\"2001:db8:5:{n:x}::/64\""));
    v4.chain(v6).collect::<Vec<_>>().join(", ")
}

/// A spec with up to 120 services.
pub fn spec() -> impl Strategy<Value = String> {
    let clients = vec((0u8..=255, 0u16..9), 0..40);
    (vec(entry(1_000), 0..80), vec(entry(2_000), 0..40), clients, any::<bool>()).prop_map(|(open, kept, clients, drop)| {
        let mut text = format!(
            "policy: {{output: {}}}\nsets:\n  few: [{}]\n  some: [{}]\n  lots: [{}]\nservices:\n  ssh: {{listen: \"*:22\"}}\n",
            if drop { "drop" } else { "accept" },
            set(2),
            set(9),
            set(40)
        );
        for (number, body) in open.iter().enumerate() {
            text += &format!("  open{number}: {{{body}, stateless: true}}\n");
        }
        for (number, body) in kept.iter().enumerate() {
            text += &format!("  kept{number}: {{{body}}}\n");
        }
        if !clients.is_empty() {
            text += "clients:\n";
        }
        for (number, (host, port)) in clients.iter().enumerate() {
            text += &format!("  to{number}: {{to: \"10.8.0.{host}:{}\", protocol: udp, stateless: true}}\n", 53 + port);
        }
        text
    })
}
