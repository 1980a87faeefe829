//! Blocked sources are dropped before anything else, also where public lists name the host's own ranges.

use crate::forms::{ENDS, Form, at};
use crate::support::{Connection, Link, Mirror, Packet, Spec, expect_verdicts, passes, tcp_connect, tcp_seen_as};

const SPEC: &str = r#"
sets:
  bad: [198.51.100.0/24, "2001:db8:bad::/48"]
block: [$bad, 127.0.0.0/8, "::1", "fe80::/10", 203.0.113.5]
services:
  web: {listen: "*:80", stateless: true}
  dns: {listen: "*:53", protocol: udp, stateless: true}
  ssh: {listen: "*:22"}
icmp: {ping: true}
"#;

fn blocked_sources_get_nothing(form: Form) {
    let link = Link::new("block");
    form.load(&link.server, SPEC);
    for ((client, server), (blocked, echo)) in ENDS.into_iter().zip([("198.51.100.7", 8), ("2001:db8:bad::7", 128)]) {
        let about = |source: &str| Packet::tcp(&at(server, 80), &at(source, 40_000), "ack");
        let packets = |source: &str| {
            let from = at(source, 40_000);
            [
                Packet::tcp(&from, &at(server, 80), "syn"),
                Packet::tcp(&from, &at(server, 80), "ack"),
                Packet::tcp(&from, &at(server, 22), "syn"),
                Packet::udp(&from, &at(server, 53)),
                Packet::icmp(source, server, echo, 0),
                Packet::icmp_error(source, &about(source), if echo == 8 { 3 } else { 1 }, 1),
            ]
        };
        let cases = [packets(client).map(|packet| (packet, true)), packets(blocked).map(|packet| (packet, false))];
        expect_verdicts(&cases.concat(), &link.client, &link.server, "a friend and a blocked source");
    }
    // Dropped before conntrack sees them: the ssh connection and the ping of the client are all there is.
    let blocked = link
        .server
        .conntrack_entries(&[])
        .into_iter()
        .filter(|entry| entry.contains("src=198.51.100.") || entry.contains("src=2001:db8:bad:"));
    assert_eq!(blocked.collect::<Vec<_>>(), Vec::<String>::new());
}

fn loopback_and_neighbours_stay_when_the_list_names_them(form: Form) {
    let link = Link::new("block-own");
    let _web = ["0.0.0.0:80", "[2001:db8::5]:80", "[::1]:80"].map(|listen| Mirror::tcp(&link.server, listen));
    form.load(&link.server, SPEC);
    for own in ["127.0.0.1:80", "203.0.113.5:80", "[::1]:80", "[2001:db8::5]:80"] {
        assert!(tcp_seen_as(&link.server, own).is_ok(), "{own}");
    }
    for host in [&link.server, &link.client] {
        host.ok(["ip", "-6", "neigh", "flush", "dev", "eth0"]);
    }
    assert_eq!(tcp_connect(&link.client, "[2001:db8::5]:80"), Connection::Connected);
    // The list holds for everything else from there.
    assert!(!passes(&Packet::tcp("[fe80::7]:40000", "[2001:db8::5]:80", "syn"), &link.client, &link.server));
}

/// Every second address: nothing to merge, and more than is written out as rules. In the iptables form this is an ipset.
fn a_long_list_from_a_file_blocks(form: Form) {
    let link = Link::new("block-file");
    let list: String = (0..100).map(|n| format!("192.0.2.{}\n2001:db8:bad::{:x}\n", 2 * n, 2 * n)).collect();
    let spec = "sets: {bad: {file: list.txt}}\nblock: $bad\nservices: {web: {listen: \"*:80\", stateless: true}}\n";
    form.load_spec(&link.server, &Spec::new(spec).file("list.txt", &list));
    let mut cases = Vec::new();
    for (n, expected) in [(0, false), (1, true), (100, false), (101, true), (198, false), (200, true)] {
        for (source, server) in
            [(format!("192.0.2.{n}"), Link::SERVER), (format!("2001:db8:bad::{n:x}"), Link::SERVER_V6)]
        {
            cases.push((Packet::tcp(&at(&source, 40_000), &at(server, 80), "syn"), expected));
        }
    }
    expect_verdicts(&cases, &link.client, &link.server, "a long list");
}

in_each_form!(
    a_long_list_from_a_file_blocks,
    blocked_sources_get_nothing,
    loopback_and_neighbours_stay_when_the_list_names_them
);
