//! A host keeps its addresses: conntrack never knows a DHCPv6 reply, which answers a multicast request.

use crate::forms::Form;
use crate::support::{Link, Packet, expect_verdicts};

const SPECS: [&str; 2] = [
    r#"
policy: {input: drop, output: drop}
services:
  ssh: {listen: "*:22"}
"#,
    r#"
policy: {input: drop, output: drop}
services:
  web: {listen: "*:80", stateless: true}
"#,
];

fn dhcp_is_spoken_with_everything_else_dropped(form: Form) {
    let link = Link::new("dhcp");
    link.server.add_address("fe80::5/64", "eth0");
    link.client.add_address("fe80::7/64", "eth0");
    for spec in SPECS {
        form.load(&link.server, spec);
        let udp = Packet::udp;
        let cases = [
            (udp("[fe80::7]:547", "[fe80::5]:546"), true),
            (udp("[fe80::7]:547", "[fe80::5]:545"), false),
            // From beyond the link.
            (udp("[2001:db8::7]:547", "[2001:db8::5]:546"), false),
            (udp("203.0.113.7:67", "203.0.113.5:68"), true),
            (udp("203.0.113.7:67", "203.0.113.5:69"), false),
        ];
        expect_verdicts(&cases, &link.client, &link.server, spec);
        let leaves = |source: &str, destination: &str| Packet::udp(source, destination).leaves(&link.server);
        assert!(leaves("[fe80::5]:546", "[ff02::1:2]:547"), "a DHCPv6 request, {spec}");
        assert!(leaves("203.0.113.5:68", "203.0.113.7:67"), "a DHCP request, {spec}");
        assert!(!leaves("203.0.113.5:69", "203.0.113.7:67"), "another port's, {spec}");
    }
}

in_each_form!(dhcp_is_spoken_with_everything_else_dropped);
