//! Blocked sources are dropped before anything else, also where public lists name the host's own ranges.

use crate::forms::{ENDS, Form, at};
use crate::support::{Connection, Link, Mirror, Packet, expect_verdicts, passes, tcp_connect, tcp_seen_as};

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

in_each_form!(blocked_sources_get_nothing, loopback_and_neighbours_stay_when_the_list_names_them);
