//! Protocols without ports are services like others; so are those whose ports stand where TCP has them.

use crate::forms::{ENDS, Form, at};
use crate::support::{Link, Packet, expect_verdicts, passes};

const GRE: u8 = 47;
const ESP: u8 = 50;
const AH: u8 = 51;
const SCTP: u8 = 132;
/// A number that IANA leaves to experiments.
const EXPERIMENT: u8 = 253;

const SPEC: &str = r#"
policy: {input: drop, output: drop}
services:
  tunnel: {listen: ["203.0.113.5", "[2001:db8::5]"], protocol: gre, stateless: true}
  experiment: {listen: "*", protocol: 253, stateless: true}
  ipsec: {listen: "*", protocol: esp}
  signalling: {listen: "*:2905", protocol: sctp, stateless: true}
"#;

fn protocols_without_ports_are_accepted_and_untracked(form: Form) {
    let link = Link::new("portless");
    form.load(&link.server, SPEC);
    for (client, server) in ENDS {
        let sctp = |port: u16| Packet::of_protocol_with_ports(&at(client, 40_000), &at(server, port), SCTP);
        let cases = [
            (Packet::of_protocol(client, server, GRE), true),
            (Packet::of_protocol(client, server, EXPERIMENT), true),
            (Packet::of_protocol(client, server, AH), false),
            (sctp(2905), true),
            (sctp(2906), false),
        ];
        expect_verdicts(&cases, &link.client, &link.server, "protocols");
        for protocol in [GRE, EXPERIMENT] {
            assert!(Packet::of_protocol(server, client, protocol).leaves(&link.server), "{protocol} from {server}");
        }
        assert!(!Packet::of_protocol(server, client, AH).leaves(&link.server), "{server}");
    }
    assert_eq!(link.server.conntrack_count(), 0);
    for (client, server) in ENDS {
        assert!(passes(&Packet::of_protocol(client, server, ESP), &link.client, &link.server), "{server}");
        assert!(Packet::of_protocol(server, client, ESP).leaves(&link.server), "a reply of {server}");
    }
    assert_eq!(link.server.conntrack_count(), 2, "{:?}", link.server.conntrack_entries(&[]));
}

in_each_form!(protocols_without_ports_are_accepted_and_untracked);
