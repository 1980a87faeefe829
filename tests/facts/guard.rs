//! A reply leg is known by its source port, which anybody may bind: the flag guard and `local_ports` keep it a reply.

use crate::forms::{ENDS, Form, at};
use crate::support::{Link, Mirror, Packet, expect_verdicts, tcp_seen_as, udp_seen_as};

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
    for spec in [CLIENT, CLIENT_ALONE] {
        form.load(&link.server, spec);
        for (peer, host) in ENDS {
            let tcp = |port: u16, flags: &str| Packet::tcp(&at(peer, 443), &at(host, port), flags);
            let cases = [
                // The last two: with ECN, and with data.
                ["syn", "syn,ece,cwr", "syn,psh"].map(|flags| (tcp(22, flags), false)).to_vec(),
                ["syn", "syn,ece,cwr", "syn,psh"].map(|flags| (tcp(40_000, flags), false)).to_vec(),
                ["syn,ack", "syn,ack,ece", "ack,fin", "rst"].map(|flags| (tcp(40_000, flags), true)).to_vec(),
            ];
            expect_verdicts(&cases.concat(), &link.client, &link.server, spec);
        }
    }
}

/// Without conntrack there is only the port to tell.
fn nothing_from_the_server_port_reaches_ports_outside_local_ports(form: Form) {
    let link = Link::new("outside");
    for spec in [CLIENT, CLIENT_ALONE] {
        form.load(&link.server, spec);
        for (peer, host) in ENDS {
            let tcp = |flags: &str| (Packet::tcp(&at(peer, 443), &at(host, 22), flags), false);
            let udp = |from: u16, to: u16| Packet::udp(&at(peer, from), &at(host, to));
            let cases = [
                ["syn", "syn,ack", "ack", "rst"].map(tcp).to_vec(),
                vec![
                    (udp(53, 40_000), true),
                    (udp(53, 1000), false),
                    (udp(53, 61_000), false),
                    (udp(54, 40_000), false),
                ],
            ];
            expect_verdicts(&cases.concat(), &link.client, &link.server, spec);
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
    form.load(&link.server, SERVICE);
    for (peer, host) in ENDS {
        let leaves = |from: u16, flags: &str| Packet::tcp(&at(host, from), &at(peer, 9999), flags).leaves(&link.server);
        assert!(!leaves(80, "syn"), "{host}");
        assert!(!leaves(80, "syn,ece,cwr"), "{host}");
        assert!(leaves(80, "syn,ack"), "{host}");
        assert!(leaves(80, "ack,psh"), "{host}");
        assert!(!leaves(81, "syn,ack"), "{host}");
    }
}

in_each_form!(
    a_peer_on_a_stateless_clients_server_port_opens_no_connection,
    nothing_from_the_server_port_reaches_ports_outside_local_ports,
    a_stateless_client_is_answered_and_leaves_no_entry,
    a_host_opens_no_connection_from_its_services_port,
);
