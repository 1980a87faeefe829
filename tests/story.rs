//! The story that fwc exists for: a full connection tracking table, and the cure.

mod support;

use support::{ConntrackMax, Link, Namespace, Nginx, Wrk, apply};

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

    assert_eq!(web_entries(&link.server), Vec::<String>::new(), "entries with fwc, which said: {said}");
    assert_eq!(after["drop"], before["drop"], "packets dropped for a full table with fwc");
    assert_eq!(stateless.lost(), 0, "requests lost with fwc: {stateless:?}");
    println!("completed requests in {SECONDS} s: stateful {}, fwc {}", stateful.requests, stateless.requests);
    assert!(
        stateless.requests >= 15 * stateful.requests,
        "fwc completed {} requests, the stateful filter {}",
        stateless.requests,
        stateful.requests
    );
}
