//! Specs with many entries that all ask for something else.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Sources of both families that contain each other, overlap in part, or neither.
const FROM: [&str; 9] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3",
    "10.0.255.0-10.1.0.255",
    "\"2001:db8:1::/48\"",
    "\"2001:db8:1:2::/64\"",
    "\"2001:db8:1::1-2001:db8:1::ffff:ffff\"",
    "$large",
    "0.0.0.0/0",
];
/// Of both families, so that each source has an endpoint.
const LISTEN: [&[&str]; 6] = [
    &["*"],
    &["$mine"],
    &["203.0.113.5", "[2001:db8::5]"],
    &["203.0.113.0/24", "[2001:db8::5]"],
    &["203.0.113.4-203.0.113.9", "[2001:db8::/64]"],
    &["203.0.113.5", "203.0.113.6", "[2001:db8::/64]"],
];
const PORTS: [&str; 7] = ["80", "443", "80-90", "85-95", "80,443,8000-8100", "1-65535", "90"];

fn endpoints(addresses: &[&str], ports: &str) -> String {
    let all: Vec<String> = addresses.iter().map(|address| format!("\"{address}:{ports}\"")).collect();
    format!("[{}]", all.join(", "))
}

fn service() -> impl Strategy<Value = String> {
    let froms = vec(select(&FROM[..]), 0..3).prop_map(|list| {
        // Both families, so that every endpoint has somebody to talk to.
        if list.is_empty() { String::new() } else { format!(", from: [{}, $few]", list.join(", ")) }
    });
    let interfaces =
        select(&["", "", "", ", interface: eth0", ", interface: [eth0, eth1]", ", interface: [eth1, lo]"][..]);
    let protocols = select(&["", ", protocol: udp", ", protocol: [tcp, udp]"][..]);
    (select(&LISTEN[..]), select(&PORTS[..]), froms, interfaces, protocols)
        .prop_map(|(at, ports, from, on, protocol)| format!("{{listen: {}{from}{on}{protocol}", endpoints(at, ports)))
}

fn client() -> impl Strategy<Value = String> {
    let to = select(&["*:53", "198.51.100.0/24:53-60", "198.51.100.7:53", "\"[2001:db8::7]:53\"", "$large:53,123"][..]);
    let local = select(&["", ", local_ports: 40000-50000", ", local_ports: \"40000-41000,42000\""][..]);
    (to, local).prop_map(|(to, local)| {
        let to = to.trim_matches('"');
        format!("{{to: \"{to}\", protocol: udp{local}")
    })
}

/// A spec in which all is stateless, or all is tracked.
pub fn spec() -> impl Strategy<Value = String> {
    let forward = (select(&LISTEN[..]), select(&PORTS[..]), select(&["", ", from: [10.0.0.0/8, $few]"][..]));
    let forward =
        forward.prop_map(|(to, ports, from)| format!("{{to: {}, protocol: [tcp, udp]{from}", endpoints(to, ports)));
    let head = (any::<bool>(), select(&["drop", "accept"][..]), select(&["drop", "accept"][..]));
    (vec(service(), 1..24), vec(client(), 0..6), vec(forward, 0..4), head).prop_map(
        |(services, clients, forwards, (stateless, input, output))| {
            let section = |name: &str, entries: &[String]| {
                let lines = entries.iter().enumerate();
                let lines: String =
                    lines.map(|(n, body)| format!("  {name}{n}: {body}, stateless: {stateless}}}\n")).collect();
                if lines.is_empty() { String::new() } else { format!("{name}:\n{lines}") }
            };
            let hosts: String = (0..40).map(|n| format!("192.0.2.{}, \"2001:db8:9::{n:x}\", ", n * 3)).collect();
            format!(
                "policy: {{input: {input}, output: {output}, forward: drop}}\nsets:\n  mine: [203.0.113.5, 203.0.113.7, \
                 \"2001:db8::5\"]\n  few: [192.0.2.250, \"2001:db8:3::1\"]\n  large: [{hosts}198.51.100.0/25]\n{}{}{}",
                section("services", &services),
                section("clients", &clients),
                section("forward", &forwards)
            )
        },
    )
}
