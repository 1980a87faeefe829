//! Generated specs: valid by construction, small, and full of odd corners.
//!
//! Stateless and tracked entries draw their ports from different ranges, so that no two of them clash.

// Each test binary compiles this module for itself and uses a part of it.
#![allow(dead_code)]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const V4: [&str; 4] = ["203.0.113.5", "203.0.113.6", "203.0.113.0/29", "203.0.113.64-203.0.113.67"];
const V6: [&str; 3] = ["[2001:db8::5]", "[2001:db8::/64]", "[2001:db8::10-2001:db8::1f]"];
const REMOTE: [&str; 5] = ["198.51.100.9", "198.51.100.0/25", "$peers", "[2001:db8:1::9]", "*"];
const FROM: [&str; 5] = ["198.51.100.0/24", "$peers", "\"2001:db8:1::/48\"", "198.51.100.7", "$office"];

/// A port list out of a range of 1,000 ports, as it is written.
fn ports(base: u16) -> impl Strategy<Value = String> {
    let one = (0u16..999).prop_map(move |offset| (base + offset).to_string());
    let range =
        (0u16..900, 1u16..90).prop_map(move |(start, length)| format!("{}-{}", base + start, base + start + length));
    vec(prop_oneof![3 => one, 1 => range], 1..3).prop_map(|items| items.join(","))
}

fn protocols() -> impl Strategy<Value = String> {
    let all = subsequence(vec!["tcp", "udp", "sctp", "dccp", "udplite"], 1..=3);
    prop_oneof![2 => Just(String::new()), 2 => all.prop_map(|list| format!(", protocol: [{}]", list.join(", ")))]
}

/// Both families on both sides, so that every `from` fits.
fn listen(base: u16) -> impl Strategy<Value = String> {
    let pair = (select(&V4[..]), select(&V6[..]), ports(base))
        .prop_map(|(v4, v6, ports)| format!("[\"{v4}:{ports}\", \"{v6}:{ports}\"]"));
    prop_oneof![3 => pair, 1 => ports(base).prop_map(|ports| format!("\"*:{ports}\"")),
                1 => ports(base).prop_map(|ports| format!("\"$mine:{ports}\""))]
}

fn from() -> impl Strategy<Value = String> {
    let some = subsequence(FROM.to_vec(), 1..=2).prop_map(|list| {
        // A lone item of one family would leave the other family's endpoint without anybody.
        format!(", from: [{}, $everyone-else]", list.join(", "))
    });
    prop_oneof![2 => Just(String::new()), 1 => some]
}

fn interface() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => Just(", interface: eth0".to_string()),
                1 => Just(", interface: [eth0, eth1]".to_string())]
}

fn services(prefix: &'static str, stateless: bool) -> impl Strategy<Value = String> {
    let base = if stateless { 1_000 } else { 2_000 };
    let service =
        (listen(base), protocols(), from(), interface()).prop_map(|(l, p, f, i)| format!("listen: {l}{p}{f}{i}"));
    let plain = select(vec!["esp", "gre", "vrrp", "99", "igmp", "[ipip, ah]"])
        .prop_map(|protocol| format!("listen: \"*\", protocol: {protocol}"));
    let body = if stateless { service.boxed() } else { prop_oneof![4 => service, 1 => plain].boxed() };
    vec(body, 0..4).prop_map(move |bodies| {
        let lines = bodies.iter().enumerate();
        lines.map(|(n, body)| format!("  {prefix}{n}: {{{body}, stateless: {stateless}}}\n")).collect()
    })
}

fn remotes(section: &'static str, base: u16, extra: &'static str) -> impl Strategy<Value = String> {
    let entry = move |stateless: bool, base: u16| {
        (select(&REMOTE[..]), ports(base), protocols(), any::<bool>()).prop_map(move |(to, ports, protocols, more)| {
            let extra = if more { extra } else { "" };
            format!("{{to: \"{to}:{ports}\"{protocols}{extra}, stateless: {stateless}}}")
        })
    };
    (vec(entry(true, base), 0..3), vec(entry(false, base + 1_000), 0..2)).prop_map(move |(stateless, tracked)| {
        let all: Vec<String> = stateless.into_iter().chain(tracked).collect();
        let lines: String = all.iter().enumerate().map(|(n, body)| format!("  {section}{n}: {body}\n")).collect();
        if lines.is_empty() { String::new() } else { format!("{section}:\n{lines}") }
    })
}

/// A spec without NAT, with stateless and tracked entries.
pub fn spec() -> impl Strategy<Value = String> {
    let policy = (
        select(vec!["drop", "accept"]),
        select(vec!["drop", "accept"]),
        select(vec!["", ", forward: drop", ", forward: accept"]),
    );
    let services = (services("open", true), services("kept", false));
    let remotes = (
        remotes("clients", 3_000, ", local_ports: 40000-50000"),
        remotes("forward", 5_000, ", from: [$office, $everyone-else]"),
    );
    (policy, services, remotes, any::<bool>(), any::<bool>()).prop_map(|((input, output, forward), (open, kept), (clients, routed), block, ping)| {
        let block = if block { "block: [192.0.2.66, 192.0.2.128/26, $peers]\n" } else { "" };
        let services = if open.is_empty() && kept.is_empty() { String::new() } else { format!("services:\n{open}{kept}") };
        format!(
            "policy: {{input: {input}, output: {output}{forward}}}\nicmp: {{ping: {ping}}}\nsets:\n  \
             mine: [203.0.113.5, 203.0.113.6, \"2001:db8::5\"]\n  peers: [192.0.2.9, 192.0.2.32/28, \"2001:db8:9::/64\"]\n  \
             office: [198.51.100.0/26, \"2001:db8:2::/48\"]\n  everyone-else: [192.0.2.200-192.0.2.203, \"2001:db8:3::1\"]\n\
             {block}{services}{clients}{routed}"
        )
    })
}

/// A spec in which NAT rules and stateless entries live side by side, because they touch nothing of each other; and stateless protocols without
/// ports, some of which IPv6 cannot have.
pub fn overlap_spec() -> impl Strategy<Value = String> {
    let nat = vec![
        "masquerade: {out: eth0, from: 10.0.0.0/8}",
        "snat: {out: eth1, from: 10.2.0.0/16, to: 203.0.113.9}",
        "dnat: {listen: \"203.0.113.6:8443\", to: \"10.0.0.8:443\"}",
        "redirect: {listen: \"203.0.113.6:8080\", to: 81}",
    ];
    let services = vec![
        "  web: {listen: \"203.0.113.5:1080\", stateless: true}\n",
        "  dns: {listen: [\"203.0.113.5:1053\", \"[2001:db8::5]:1053\"], protocol: [udp, tcp], stateless: true}\n",
        "  tunnel: {listen: \"203.0.113.5\", protocol: gre, stateless: true}\n",
    ];
    let output = select(vec!["drop", "accept"]);
    (subsequence(nat, 0..=3), subsequence(services, 1..=3), output, any::<bool>()).prop_map(
        |(nat, services, output, kept)| {
            let nat: String = nat.iter().map(|item| format!("  - {item}\n")).collect();
            let nat = if nat.is_empty() { nat } else { format!("nat_conflict: overlap\nnat:\n{nat}") };
            let kept = if kept { "  kept: {listen: \"203.0.113.5:2022\"}\n" } else { "" };
            format!(
                "policy: {{input: drop, output: {output}, forward: drop}}\nservices:\n{}{kept}{nat}",
                services.concat()
            )
        },
    )
}

/// Stateless protocols without ports, with addresses of both families and of any: some of them only IPv4 can have.
pub fn plain_spec() -> impl Strategy<Value = String> {
    let protocol = || select(vec!["ah", "igmp", "gre", "esp", "60", "vrrp"]);
    let output = select(vec!["drop", "accept"]);
    (protocol(), select(vec!["\"*\"", "203.0.113.5", "$mine"]), select(vec!["\"*\"", "198.51.100.9"]), output).prop_map(
        |(protocol, listen, to, output)| {
            format!(
                "policy: {{input: drop, output: {output}, forward: drop}}\nsets:\n  mine: [203.0.113.5, \"2001:db8::5\"]\nservices:\n  \
                 plain: {{listen: {listen}, protocol: {protocol}, stateless: true}}\n  ssh: {{listen: \"*:22\"}}\nclients:\n  \
                 other: {{to: {to}, protocol: ospf, stateless: true}}\n  more: {{to: {to}, protocol: 43, stateless: true}}\n\
                 forward:\n  routed: {{to: {to}, protocol: 44, stateless: true}}\n"
            )
        },
    )
}

/// A spec with NAT, and so without stateless entries.
pub fn nat_spec() -> impl Strategy<Value = String> {
    let items = vec![
        "masquerade: {out: eth0, from: 10.0.0.0/8}",
        "masquerade: {out: eth1}",
        "snat: {out: eth0, from: 10.2.0.0/16, to: 203.0.113.9}",
        "snat: {out: eth0, to: \"2001:db8::9\"}",
        "dnat: {listen: \"203.0.113.5:8443\", to: \"10.0.0.8:443\"}",
        "dnat: {listen: \"*:8000-8010\", protocol: [tcp, udp], to: \"10.0.0.8\"}",
        "dnat: {listen: \"[2001:db8::5]:8443\", to: \"[2001:db8:a::8]:443\"}",
        "redirect: {listen: \"203.0.113.5:8080\", to: 80}",
        "redirect: {listen: \"*:53\", protocol: udp, to: 5353}",
        "dnat: {listen: \"203.0.113.5\", protocol: gre, to: 10.0.0.8}",
    ];
    (subsequence(items, 1..=4), services("kept", false), select(vec!["", ", forward: drop"])).prop_map(
        |(nat, kept, forward)| {
            let nat: String = nat.iter().map(|item| format!("  - {item}\n")).collect();
            let services = if kept.is_empty() { String::new() } else { format!("services:\n{kept}") };
            format!(
                "policy: {{input: drop{forward}}}\nsets:\n  mine: [203.0.113.5, \"2001:db8::5\"]\n  peers: [192.0.2.9, \"2001:db8:9::/64\"]\n  \
                 office: [198.51.100.0/26, \"2001:db8:2::/48\"]\n  everyone-else: [192.0.2.200, \"2001:db8:3::1\"]\n{services}nat:\n{nat}"
            )
        },
    )
}

/// A spec with which nothing is tracked at all: everything is stateless, and output is dropped.
pub fn quiet_spec() -> impl Strategy<Value = String> {
    let remotes = |section: &'static str, base: u16, extra: &'static str| {
        let entry = (select(&REMOTE[..]), ports(base), protocols());
        vec(entry, 0..3).prop_map(move |entries| {
            let lines: String = entries
                .iter()
                .enumerate()
                .map(|(n, (to, ports, protocols))| {
                    format!("  {section}{n}: {{to: \"{to}:{ports}\"{protocols}{extra}, stateless: true}}\n")
                })
                .collect();
            if lines.is_empty() { String::new() } else { format!("{section}:\n{lines}") }
        })
    };
    let forward = remotes("forward", 5_000, ", from: [$office, $everyone-else]");
    let clients = remotes("clients", 3_000, ", local_ports: 40000-50000");
    (services("open", true), clients, forward, any::<bool>(), any::<bool>()).prop_map(
        |(open, clients, routed, block, ping)| {
            let block = if block { "block: [192.0.2.66, 192.0.2.128/26, $peers]\n" } else { "" };
            let services = if open.is_empty() { String::new() } else { format!("services:\n{open}") };
            format!(
                "conntrack: disabled\npolicy: {{input: drop, output: drop, forward: drop}}\nicmp: {{ping: {ping}}}\nsets:\n  \
                 mine: [203.0.113.5, 203.0.113.6, \"2001:db8::5\"]\n  peers: [192.0.2.9, 192.0.2.32/28, \"2001:db8:9::/64\"]\n  \
                 office: [198.51.100.0/26, \"2001:db8:2::/48\"]\n  everyone-else: [192.0.2.200-192.0.2.203, \"2001:db8:3::1\"]\n\
                 {block}{services}{clients}{routed}"
            )
        },
    )
}
