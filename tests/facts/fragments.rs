//! Later fragments have no ports. Input sees IPv4 packets whole; IPv6 in input and both families in forward
//! come whole only where conntrack reassembles them.

use crate::forms::{ENDS, FAR_ENDS, Form, at};
use crate::support::{Link, Mirror, Packet, Router, passes_through, udp_echoes};

/// More than two packets of 1,500 bytes.
const LARGE: usize = 4000;

const FORWARD: &str = r#"
policy: {input: drop, output: drop, forward: drop}
conntrack: disabled
forward:
  dns:
    to: ["10.0.0.8:53", "[2001:db8:2::8]:53"]
    from: [10.1.0.0/16, "2001:db8:1::/64"]
    protocol: udp
    stateless: true
"#;

/// The same with something tracked beside it, so that conntrack reassembles.
const FORWARD_TRACKED: &str = r#"
policy: {input: drop, output: drop, forward: drop}
services:
  ssh: {listen: "*:22"}
forward:
  dns:
    to: ["10.0.0.8:53", "[2001:db8:2::8]:53"]
    from: [10.1.0.0/16, "2001:db8:1::/64"]
    protocol: udp
    stateless: true
"#;

const SERVICE: &str = r#"
policy: {input: drop, output: drop}
services:
  dns: {listen: "*:53", protocol: udp, stateless: true}
"#;

const SERVICE_TRACKED: &str = r#"
services:
  dns: {listen: ["203.0.113.5:53", "[2001:db8::5]:53"], protocol: udp, stateless: true}
  ssh: {listen: "*:22"}
"#;

const CLIENT: &str = r#"
policy: {input: drop, output: drop}
clients:
  dns: {to: "*:53", protocol: udp, stateless: true}
"#;

fn a_large_datagram_crosses_a_stateless_forward(form: Form) {
    let hosts = Router::new("large-forward");
    let _dns = FAR_ENDS.map(|(_, backend)| Mirror::echo(&hosts.backend, &at(backend, 53)));
    for spec in [FORWARD, FORWARD_TRACKED] {
        form.load(&hosts.router, spec);
        for (_, backend) in FAR_ENDS {
            assert!(udp_echoes(&hosts.client, &at(backend, 53), LARGE), "{backend} with {spec}");
        }
        assert_eq!(hosts.router.conntrack_count(), 0, "{spec}");
    }
}

fn fragments_of_strangers_are_not_forwarded(form: Form) {
    let hosts = Router::new("fragments");
    form.load(&hosts.router, FORWARD);
    for ((client, backend), stranger) in FAR_ENDS.into_iter().zip(["10.2.0.7", "2001:db8:3::7"]) {
        let crosses = |from: &str, port: u16| {
            let packet = Packet::udp_of_length(&at(from, 40_000), &at(backend, port), 400);
            passes_through(&packet.fragments(200), &hosts.client, &hosts.router, &hosts.backend)
        };
        assert!(crosses(client, 53), "{client}");
        assert!(!crosses(client, 54), "another port of {backend}");
        assert!(!crosses(stranger, 53), "{stranger}");
    }
}

fn a_large_datagram_reaches_a_stateless_service(form: Form) {
    let link = Link::new("large");
    let _dns = ENDS.map(|(_, server)| Mirror::echo(&link.server, &at(server, 53)));
    for spec in [SERVICE, SERVICE_TRACKED] {
        form.load(&link.server, spec);
        for (_, server) in ENDS {
            assert!(udp_echoes(&link.client, &at(server, 53), LARGE), "{server} with {spec}");
        }
        assert_eq!(link.server.conntrack_count(), 0, "{spec}");
    }
}

fn a_large_answer_reaches_a_stateless_client(form: Form) {
    let link = Link::new("large-answer");
    let _dns = ENDS.map(|(client, _)| Mirror::echo(&link.client, &at(client, 53)));
    form.load(&link.server, CLIENT);
    for (client, _) in ENDS {
        assert!(udp_echoes(&link.server, &at(client, 53), LARGE), "{client}");
    }
    assert_eq!(link.server.conntrack_count(), 0);
}

fn fragments_to_closed_ports_do_not_come_in(form: Form) {
    let link = Link::new("closed-fragments");
    form.load(&link.server, SERVICE);
    for (client, server) in ENDS {
        let comes_in = |port: u16| {
            let packet = Packet::udp_of_length(&at(client, 40_000), &at(server, port), 400);
            passes_through(&packet.fragments(200), &link.client, &link.server, &link.server)
        };
        assert!(comes_in(53), "{server}");
        assert!(!comes_in(54), "{server}");
    }
}

in_each_form!(
    a_large_datagram_crosses_a_stateless_forward,
    fragments_of_strangers_are_not_forwarded,
    a_large_datagram_reaches_a_stateless_service,
    a_large_answer_reaches_a_stateless_client,
    fragments_to_closed_ports_do_not_come_in,
);
