//! NOTRACK is a matched pair: one leg alone leaves entries behind, or breaks the flow.

use crate::forms::{ENDS, Form, at};
use crate::support::{Connection, Link, Mirror, Namespace, tcp_connect, tcp_seen_as, udp_seen_as};

const STATELESS: &str = r#"
services:
  web: {listen: ["203.0.113.5:80", "[2001:db8::5]:80"], stateless: true}
  dns: {listen: "*:53", protocol: udp, stateless: true}
  ssh: {listen: "*:22"}
"#;

/// What many hosts have besides: a reply that conntrack does not know must not leave.
const INVALID_DROP: &str = "
table inet other {
    chain output {
        type filter hook output priority 10; policy accept;
        ct state invalid drop
    }
}
";

/// The request leg alone, as it stands in many guides.
const ONE_LEG: &str = "
table inet naive {
    chain prerouting {
        type filter hook prerouting priority raw; policy accept;
        tcp dport 80 notrack
    }
    chain input {
        type filter hook input priority filter; policy drop;
        meta l4proto ipv6-icmp accept
        ct state established,related accept
        tcp dport 80 accept
    }
}
";

/// Connects so many times, in both families in turn. Gives how often it went well before it failed.
fn connect(link: &Link, times: usize) -> usize {
    let targets = ENDS.iter().cycle().map(|(_, server)| at(server, 80));
    targets.take(times).take_while(|to| tcp_seen_as(&link.client, to).is_ok()).count()
}

fn web(server: &Namespace) -> [Mirror; 2] {
    ENDS.map(|(_, address)| Mirror::tcp(server, &at(address, 80)))
}

fn fifty_connections_to_a_stateless_service_leave_no_entry(form: Form) {
    let link = Link::new("legs");
    let _web = web(&link.server);
    let _dns = ENDS.map(|(_, address)| Mirror::udp(&link.server, &at(address, 53)));
    let _ssh = Mirror::tcp(&link.server, "203.0.113.5:22");
    form.load(&link.server, STATELESS);
    link.server.write_nft(INVALID_DROP);
    assert_eq!(connect(&link, 50), 50);
    for (_, server) in ENDS {
        assert!(udp_seen_as(&link.client, &at(server, 53)).is_some(), "{server}");
    }
    assert_eq!(link.server.conntrack_count(), 0);
    // It is not that nothing is tracked here.
    assert_eq!(tcp_connect(&link.client, "203.0.113.5:22"), Connection::Connected);
    assert_eq!(link.server.conntrack_count(), 1);
}

in_each_form!(fifty_connections_to_a_stateless_service_leave_no_entry);

#[test]
fn the_request_leg_alone_leaves_an_entry_a_connection() {
    let link = Link::new("one-leg");
    let _web = web(&link.server);
    link.server.write_nft(ONE_LEG);
    assert_eq!(connect(&link, 50), 50);
    assert_eq!(link.server.conntrack_count(), 50);
}

#[test]
fn the_request_leg_alone_does_not_survive_a_drop_of_invalid_replies() {
    let link = Link::new("one-leg-drop");
    let _web = web(&link.server);
    link.server.write_nft(ONE_LEG);
    link.server.write_nft(INVALID_DROP);
    assert_eq!(connect(&link, 1), 0);
}
