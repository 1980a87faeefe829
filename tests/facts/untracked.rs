//! One `ct` expression anywhere makes the kernel track everything in the namespace; without one it never starts.

use crate::forms::{ENDS, Form, at};
use crate::support::{Link, Mirror, Packet, expect_verdicts, tcp_seen_as, udp_seen_as};

const NOTHING_TRACKED: &str = r#"
policy: {input: drop, output: drop}
conntrack: disabled
services:
  web: {listen: "*:80", stateless: true}
clients:
  resolver: {to: "*:53", protocol: udp, stateless: true}
icmp: {ping: true}
"#;

const ONE_TRACKED: &str = r#"
policy: {input: drop, output: drop}
services:
  web: {listen: "*:80", stateless: true}
  ssh: {listen: "*:22"}
clients:
  resolver: {to: "*:53", protocol: udp, stateless: true}
icmp: {ping: true}
"#;

/// What a host sees in a day: its service, its requests, pings, and strangers at closed ports.
fn all_traffic(link: &Link) {
    let _web = ENDS.map(|(_, server)| Mirror::tcp(&link.server, &at(server, 80)));
    let _resolver = ENDS.map(|(client, _)| Mirror::udp(&link.client, &at(client, 53)));
    for ((client, server), echo) in ENDS.into_iter().zip([8, 128]) {
        assert!(tcp_seen_as(&link.client, &at(server, 80)).is_ok());
        assert!(udp_seen_as(&link.server, &at(client, 53)).is_some());
        let from = at(client, 40_000);
        let cases = [
            (Packet::icmp(client, server, echo, 0), true),
            (Packet::tcp(&from, &at(server, 81), "syn"), false),
            (Packet::udp(&from, &at(server, 81)), false),
        ];
        expect_verdicts(&cases, &link.client, &link.server, "pings and closed ports");
        assert!(!Packet::tcp(&at(server, 40_000), &at(client, 81), "syn").leaves(&link.server));
    }
}

fn without_a_tracked_entry_the_kernel_tracks_nothing(form: Form) {
    let link = Link::new("never");
    form.load(&link.server, NOTHING_TRACKED);
    all_traffic(&link);
    assert_eq!(link.server.conntrack_count(), 0);
}

fn one_tracked_entry_makes_the_kernel_track_what_is_not_untracked(form: Form) {
    let link = Link::new("one");
    form.load(&link.server, ONE_TRACKED);
    all_traffic(&link);
    // The two pings; the services are stateless and the rest was dropped.
    assert_eq!(link.server.conntrack_count(), 2, "{:?}", link.server.conntrack_entries(&[]));
}

in_each_form!(
    without_a_tracked_entry_the_kernel_tracks_nothing,
    one_tracked_entry_makes_the_kernel_track_what_is_not_untracked,
);

/// Untracked packets are neither new nor established: a filter that knows only these two drops them.
#[test]
fn notrack_under_a_stateful_filter_alone_drops_everything() {
    let link = Link::new("neither");
    let _web = Mirror::tcp(&link.server, "203.0.113.5:80");
    link.server.write_nft(
        "table inet naive {
            chain prerouting { type filter hook prerouting priority raw; tcp dport 80 notrack; }
            chain output { type filter hook output priority raw; tcp sport 80 notrack; }
            chain input {
                type filter hook input priority filter; policy drop;
                ct state established,related accept
                tcp dport 80 ct state new accept
            }
        }",
    );
    assert!(tcp_seen_as(&link.client, "203.0.113.5:80").is_err());
}
