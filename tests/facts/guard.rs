//! A reply leg is known by its source port, which anybody may bind: the flag guard and `local_ports` keep it a reply.

use crate::forms::{ENDS, Form, at};
use crate::support::{
    Connection, Link, Mirror, Packet, passes, tcp_connect, tcp_connect_from, tcp_seen_as, udp_seen_as,
};

const CLIENT: &str = r#"
services:
  ssh: {listen: "*:22", from: 192.0.2.0/28}
clients:
  api: {to: ["203.0.113.7:443", "[2001:db8::7]:443"], stateless: true, local_ports: 32768-60999}
  resolver: {to: "*:53", protocol: udp, stateless: true}
"#;

const CLIENT_ALONE: &str = r#"
policy: {input: drop, output: drop}
conntrack: disabled
clients:
  api: {to: ["203.0.113.7:443", "[2001:db8::7]:443"], stateless: true, local_ports: 32768-60999}
  resolver: {to: "*:53", protocol: udp, stateless: true}
"#;

const SERVICE: &str = r#"
policy: {input: drop, output: drop}
services:
  web: {listen: ["203.0.113.5:80", "[2001:db8::5]:80"], stateless: true}
  ssh: {listen: "*:22"}
"#;

fn a_peer_on_a_stateless_clients_server_port_opens_no_connection(form: Form) {
    let link = Link::new("peer");
    // They would answer: one outside local_ports, one inside.
    let _listeners = ["203.0.113.5:22", "203.0.113.5:40000"].map(|listen| Mirror::tcp(&link.server, listen));
    for spec in [CLIENT, CLIENT_ALONE] {
        form.load(&link.server, spec);
        for (peer, host) in ENDS {
            let comes_in = |port: u16, flags: &str| {
                passes(&Packet::tcp(&at(peer, 443), &at(host, port), flags), &link.client, &link.server)
            };
            for port in [22, 40_000] {
                assert!(!comes_in(port, "syn"), "{host} port {port} with {spec}");
                assert!(!comes_in(port, "syn,ece,cwr"), "{host} port {port}, with ECN, with {spec}");
                assert!(!comes_in(port, "syn,psh"), "{host} port {port}, with data, with {spec}");
            }
            assert!(comes_in(40_000, "syn,ack"), "{host} with {spec}");
            assert!(comes_in(40_000, "syn,ack,ece"), "{host}, with ECN, with {spec}");
            assert!(comes_in(40_000, "rst"), "{host} with {spec}");
            assert!(comes_in(40_000, "ack,fin"), "{host} with {spec}");
            let datagram =
                |from: u16, to: u16| passes(&Packet::udp(&at(peer, from), &at(host, to)), &link.client, &link.server);
            assert!(datagram(53, 40_000), "{host} with {spec}");
            assert!(!datagram(53, 1000), "{host} with {spec}");
            assert!(!datagram(53, 61_000), "{host} with {spec}");
            assert!(!datagram(54, 40_000), "{host} with {spec}");
        }
    }
    let attempt = |port: u16| tcp_connect_from(&link.client, "203.0.113.7:443", &at(Link::SERVER, port));
    assert_eq!(attempt(40_000), Connection::TimedOut);
}

/// Conntrack looks into a flow by itself where nothing untracks it, so a port outside `local_ports` is a separate case.
fn flags_alone_make_no_reply_to_a_port_outside_local_ports(form: Form) {
    let link = Link::new("outside");
    form.load(&link.server, CLIENT_ALONE);
    for (peer, host) in ENDS {
        for flags in ["syn,ack", "ack", "rst"] {
            let packet = Packet::tcp(&at(peer, 443), &at(host, 22), flags);
            assert!(!passes(&packet, &link.client, &link.server), "{host} {flags}");
        }
    }
}

fn a_stateless_client_is_answered_and_leaves_no_entry(form: Form) {
    let link = Link::new("client");
    let _api = ENDS.map(|(peer, _)| Mirror::tcp(&link.client, &at(peer, 443)));
    let _resolver = ENDS.map(|(peer, _)| Mirror::udp(&link.client, &at(peer, 53)));
    for spec in [CLIENT, CLIENT_ALONE] {
        form.load(&link.server, spec);
        for (peer, _) in ENDS {
            assert!(tcp_seen_as(&link.server, &at(peer, 443)).is_ok(), "{peer} with {spec}");
            assert!(udp_seen_as(&link.server, &at(peer, 53)).is_some(), "{peer} with {spec}");
        }
        assert_eq!(link.server.conntrack_count(), 0, "{spec}");
    }
}

fn a_host_opens_no_connection_from_its_services_port(form: Form) {
    let link = Link::new("from-port");
    let _elsewhere = Mirror::tcp(&link.client, "203.0.113.7:9999");
    form.load(&link.server, SERVICE);
    for (peer, host) in ENDS {
        let leaves = |from: u16, flags: &str| Packet::tcp(&at(host, from), &at(peer, 9999), flags).leaves(&link.server);
        assert!(!leaves(80, "syn"), "{host}");
        assert!(!leaves(80, "syn,ece,cwr"), "{host}");
        assert!(leaves(80, "syn,ack"), "{host}");
        assert!(leaves(80, "ack,psh"), "{host}");
        assert!(!leaves(81, "syn,ack"), "{host}");
    }
    let attempt = tcp_connect_from(&link.server, "203.0.113.5:80", "203.0.113.7:9999");
    assert_eq!(attempt, Connection::TimedOut);
    // Without a firewall there is somebody to answer.
    assert_eq!(tcp_connect(&link.client, "203.0.113.7:9999"), Connection::Connected);
}

in_each_form!(
    a_peer_on_a_stateless_clients_server_port_opens_no_connection,
    flags_alone_make_no_reply_to_a_port_outside_local_ports,
    a_stateless_client_is_answered_and_leaves_no_entry,
    a_host_opens_no_connection_from_its_services_port,
);
