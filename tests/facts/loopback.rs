//! A host talks to its own services over lo, where both legs pass output and then prerouting.

use crate::forms::{Form, at};
use crate::support::{Connection, Link, Mirror, tcp_connect, tcp_seen_as, udp_seen_as};

const SPECS: [&str; 2] = [
    r#"
services:
  web: {listen: "*:80", stateless: true}
  dns: {listen: ["203.0.113.5:53", "[2001:db8::5]:53"], protocol: udp, stateless: true}
  ssh: {listen: "*:22"}
"#,
    r#"
policy: {input: drop, output: drop}
services:
  web: {listen: ["203.0.113.5:80", "[2001:db8::5]:80"], stateless: true}
"#,
];

/// The pair that covers both legs of remote clients.
const NAIVE_PAIR: &str = "
table inet naive {
    chain prerouting {
        type filter hook prerouting priority raw; policy accept;
        tcp dport 80 notrack
    }
    chain output {
        type filter hook output priority raw; policy accept;
        tcp sport 80 notrack
    }
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        tcp dport 80 accept
    }
}
";

fn the_host_reaches_its_own_services_and_leaves_no_entry(form: Form) {
    let link = Link::new("own");
    let _web = ["0.0.0.0:80", "203.0.113.5:22"].map(|listen| Mirror::tcp(&link.server, listen));
    let _web_v6 = ["[2001:db8::5]:80", "[::1]:80"].map(|listen| Mirror::tcp(&link.server, listen));
    let _dns = Mirror::udp(&link.server, "0.0.0.0:53");
    for spec in SPECS {
        form.load(&link.server, spec);
        for (host, port) in [(Link::SERVER, 80), ("127.0.0.1", 80), (Link::SERVER_V6, 80), ("::1", 80)] {
            assert!(tcp_seen_as(&link.server, &at(host, port)).is_ok(), "{host} with {spec}");
        }
        assert!(tcp_seen_as(&link.server, "203.0.113.5:22").is_ok());
        assert!(udp_seen_as(&link.server, "203.0.113.5:53").is_some());
        assert_eq!(link.server.conntrack_count(), 0, "{spec}");
    }
}

in_each_form!(the_host_reaches_its_own_services_and_leaves_no_entry);

#[test]
fn the_naive_pair_breaks_what_the_host_asks_itself() {
    let link = Link::new("naive-own");
    let _web = Mirror::tcp(&link.server, "203.0.113.5:80");
    link.server.write_nft(NAIVE_PAIR);
    assert!(tcp_seen_as(&link.client, "203.0.113.5:80").is_ok());
    assert_eq!(link.server.conntrack_count(), 0);
    assert_eq!(tcp_connect(&link.server, "203.0.113.5:80"), Connection::TimedOut);
    let left = link.server.conntrack_entries(&["-p", "tcp", "--dport", "80"]);
    assert!(left.len() == 1 && left[0].contains("SYN_SENT"), "{left:?}");
}
