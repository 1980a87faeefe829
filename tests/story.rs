//! The story that fwc exists for: a full connection tracking table, and the cure.

mod support;

use support::{
    Connection, ConntrackMax, Link, Namespace, Nginx, Variant, Wrk, apply, curl, iptables_apply, tcp_connect,
};

/// A stateful filter as an administrator writes it.
const STATEFUL: &str = "
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        ct state invalid drop
        iif lo accept
        meta l4proto { icmp, ipv6-icmp } accept
        tcp dport { 22, 80 } ct state new accept
    }
    chain output {
        type filter hook output priority filter; policy accept;
    }
}
";

/// The same services in a spec.
const STATELESS: &str = r#"
policy: {input: drop}
services:
  web:
    listen: 203.0.113.5:80
    stateless: true
  ssh: {listen: "*:22"}
"#;

const ENTRIES: u32 = 1024;
const SECONDS: u32 = 5;

fn web_entries(server: &Namespace) -> Vec<String> {
    server.conntrack_entries(&["-p", "tcp", "--dport", "80"])
}

#[test]
fn a_full_table_starves_a_stateful_filter_and_not_fwc() {
    let _limit = ConntrackMax::lower(ENTRIES);
    let link = Link::new("story");
    let _nginx = Nginx::start(&link.server, &["203.0.113.5:80"]);

    link.server.write_nft(STATEFUL);
    let stateful = Wrk::run(&link.client, "http://203.0.113.5/", SECONDS);
    let stat = link.server.conntrack_stat();
    assert!(stat["drop"] > 0, "the table never filled up, so there was nothing to cure: {stat:?}");
    assert!(!web_entries(&link.server).is_empty(), "the stateful filter tracks the web service");

    link.server.write_nft("delete table inet filter");
    let said = apply(&link.server, STATELESS);
    let before = link.server.conntrack_stat();
    let stateless = Wrk::run(&link.client, "http://203.0.113.5/", SECONDS);
    let after = link.server.conntrack_stat();

    let left = web_entries(&link.server);
    assert_eq!(left.len(), 0, "entries with fwc, such as {:?}; fwc apply said: {said}", left.first());
    assert_eq!(after["drop"], before["drop"], "packets dropped for a full table with fwc");
    assert_eq!(stateless.lost(), 0, "requests lost with fwc: {stateless:?}");
    println!("completed requests in {SECONDS} s: stateful {}, fwc {}", stateful.requests, stateless.requests);
    // How many times more depends on the machine and what else it does. The stateful filter stands still once the table is full; fwc goes on.
    assert!(stateless.requests > 2 * u64::from(ENTRIES), "fwc stood still as well: {stateless:?}");
}

/// What the files for iptables-restore make of the same spec, without a load.
#[test]
fn the_iptables_files_serve_without_entries() {
    for variant in [Variant::Nft, Variant::Legacy] {
        let link = Link::new("files");
        let _nginx = Nginx::start(&link.server, &["203.0.113.5:80", "203.0.113.5:81"]);
        iptables_apply(&link.server, STATELESS, variant);
        assert_eq!(curl(&link.client, "http://203.0.113.5/").as_deref(), Ok("served\n"), "{variant:?}");
        assert_eq!(tcp_connect(&link.client, "203.0.113.5:81"), Connection::TimedOut, "{variant:?}");
        // ssh is tracked, and nobody listens.
        assert_eq!(tcp_connect(&link.client, "203.0.113.5:22"), Connection::Refused, "{variant:?}");
        assert_eq!(web_entries(&link.server).len(), 0, "{variant:?}");
    }
}
