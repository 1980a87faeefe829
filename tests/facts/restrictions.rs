//! `from` and `interface` restrict who is accepted; they never decide what is tracked.

use crate::forms::{ENDS, FAR_ENDS, Form, at};
use crate::support::{Link, Mirror, Packet, Router, Tap, expect_verdicts, passes};

const FROM: &str = r#"
policy: {input: drop, output: drop}
sets:
  friends: [198.51.100.0/25, "2001:db8:f::/48"]
services:
  web: {listen: "*:80", stateless: true, from: [$friends, 192.0.2.7]}
  ssh: {listen: "*:22", from: $friends}
  metrics: {listen: "*:9100-9199", from: 192.0.2.0/24}
"#;

const INTERFACE: &str = r#"
policy: {input: drop, output: drop}
services:
  web: {listen: "*:80", stateless: true, interface: eth0}
  ssh: {listen: "*:22", interface: eth0}
clients:
  api: {to: "*:443", stateless: true}
"#;

fn only_the_listed_sources_are_accepted(form: Form) {
    let link = Link::new("from");
    // It answers, so that what is tracked leaves an entry. A reset would take it away.
    let _ssh = Mirror::tcp(&link.server, "203.0.113.5:22");
    form.load(&link.server, FROM);
    let server = |source: &str| if source.contains(':') { Link::SERVER_V6 } else { Link::SERVER };
    let cases = [
        ("198.51.100.127", 80, true),
        ("198.51.100.128", 80, false),
        ("192.0.2.7", 80, true),
        ("192.0.2.8", 80, false),
        ("2001:db8:f::7", 80, true),
        ("2001:db8:e::7", 80, false),
        ("198.51.100.7", 22, true),
        ("192.0.2.7", 22, false),
        ("2001:db8:f::7", 22, true),
        ("2001:db8:e::7", 22, false),
        ("192.0.2.8", 9150, true),
        ("198.51.100.7", 9150, false),
        ("2001:db8:f::7", 9150, false),
    ];
    let syn = |source: &str, port: u16| Packet::tcp(&at(source, 40_000), &at(server(source), port), "syn");
    let cases = cases.map(|(source, port, expected)| (syn(source, port), expected));
    expect_verdicts(&cases, &link.client, &link.server, "sources");
    // Replies go to the same sources only.
    for (peer, expected) in [("198.51.100.7", true), ("198.51.100.200", false), ("2001:db8:f::7", true)] {
        let reply = Packet::tcp(&at(server(peer), 80), &at(peer, 40_000), "syn,ack");
        assert_eq!(reply.leaves(&link.server), expected, "{peer}");
    }
    let untracked = |port: &str| link.server.conntrack_entries(&["-p", "tcp", "--dport", port]).is_empty();
    assert!(untracked("80") && !untracked("22"));
}

fn only_the_named_interface_is_accepted(form: Form) {
    let hosts = Router::new("interface");
    form.load(&hosts.router, INTERFACE);
    let ways = [
        (&hosts.client, true, [Router::CLIENT, Router::CLIENT_V6]),
        (&hosts.backend, false, [Router::BACKEND, Router::BACKEND_V6]),
    ];
    for (from, expected, sources) in ways {
        let mut cases = Vec::new();
        for (source, own) in sources.into_iter().zip([Router::OUTER, Router::OUTER_V6]) {
            cases.extend([80, 22].map(|port| (Packet::tcp(&at(source, 40_000), &at(own, port), "syn"), expected)));
        }
        expect_verdicts(&cases, from, &hosts.router, from.name());
    }
    assert_eq!(hosts.router.conntrack_entries(&["-p", "tcp", "--dport", "80"]), Vec::<String>::new());
}

/// The way back may be another one: the request comes in by eth0, the route to its source leaves by eth1.
fn replies_take_any_interface(form: Form) {
    let hosts = Router::new("asymmetric");
    form.load(&hosts.router, INTERFACE);
    for ((_, source), own) in FAR_ENDS.into_iter().zip([Router::OUTER, Router::OUTER_V6]) {
        let tap = Tap::new(&hosts.backend);
        // Nobody listens on port 80 of the router: it answers with a reset, which is a reply like any other.
        let request = Packet::tcp(&at(source, 40_123), &at(own, 80), "syn");
        assert!(passes(&request, &hosts.client, &hosts.router), "{source}");
        let ports = [80_u16.to_be_bytes(), 40_123_u16.to_be_bytes()].concat();
        let header = if source.contains(':') { 40 } else { 20 };
        let reply = tap.next(|bytes| bytes.get(header..header + 4) == Some(&ports));
        assert!(reply.is_some(), "no reply to {source} by the other interface");
        // A stateless client's reply that takes the way by eth0, though the request left by eth1.
        let answer = Packet::tcp(&at(source, 443), &at(own, 40_000), "syn,ack");
        assert!(passes(&answer, &hosts.client, &hosts.router), "{source}");
    }
    assert_eq!(hosts.router.conntrack_count(), 0);
}

/// A stranger's packet to a stateless service is untracked as well: dropped, and without an entry.
fn a_source_that_is_not_accepted_is_untracked_all_the_same(form: Form) {
    let link = Link::new("stranger");
    form.load(&link.server, &FROM.replace("input: drop", "input: accept"));
    for (client, server) in ENDS {
        let packet = Packet::tcp(&at(client, 40_000), &at(server, 80), "ack");
        assert!(passes(&packet, &link.client, &link.server), "{client}");
    }
    assert_eq!(link.server.conntrack_count(), 0);
}

in_each_form!(
    only_the_listed_sources_are_accepted,
    only_the_named_interface_is_accepted,
    replies_take_any_interface,
    a_source_that_is_not_accepted_is_untracked_all_the_same,
);
