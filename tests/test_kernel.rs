//! `fwc test --kernel`: the packets of a spec's tests through the real kernel, in a namespace of the command's own.

mod support;

use support::cli::as_nobody;
use support::{Link, Spec, examples, fwc};

const SPEC: &str = r#"
policy: {input: drop, output: drop, forward: drop}
services:
  web: {listen: "*:80", stateless: true}
  ssh: {listen: "*:22", from: 192.0.2.0/28, interface: eth0}
clients:
  dns: {to: "9.9.9.9:53", protocol: udp, stateless: true}
forward:
  backend: {to: "10.0.0.8:443", from: 10.1.0.0/16}
tests:
  - {packet: "tcp 198.51.100.7:40000 > 203.0.113.5:80", expect: accept, tracking: untracked, reply: true}
  - {packet: "tcp [2001:db8:1::7]:40000 > [2001:db8::5]:80", expect: accept, tracking: untracked, reply: true}
  - {packet: "tcp 192.0.2.3:40000 > 203.0.113.5:22", interface: eth0, expect: accept, tracking: tracked, reply: true}
  - {packet: "tcp 192.0.2.3:40000 > 203.0.113.5:22", interface: eth1, expect: drop, tracking: tracked}
  - {packet: "tcp 192.0.2.16:40000 > 203.0.113.5:22", interface: eth0, expect: drop}
  - {packet: "tcp 192.0.2.3:40000 > 203.0.113.5:22 ack", interface: eth1, state: established, expect: accept}
  - {packet: "tcp 192.0.2.3:40000 > 203.0.113.5:22 ack", interface: eth0, state: invalid, expect: drop}
  - {packet: "udp 203.0.113.5:40000 > 9.9.9.9:53", direction: out, expect: accept, tracking: untracked, reply: true}
  - {packet: "udp 203.0.113.5:40000 > 9.9.9.10:53", direction: out, expect: drop}
  - {packet: "tcp 10.1.0.7:40000 > 10.0.0.8:443", direction: forward, expect: accept, tracking: tracked, reply: true}
  - {packet: "tcp 10.2.0.7:40000 > 10.0.0.8:443", direction: forward, expect: drop}
  - {packet: "icmp 198.51.100.7 > 203.0.113.5 destination-unreachable", state: related, expect: accept}
  - {packet: "gre 198.51.100.7 > 203.0.113.5", state: established, expect: accept}
  - {packet: "udp 198.51.100.7:1 > 203.0.113.5:2", state: related, expect: accept}
  - {packet: "tcp 127.0.0.1:40000 > 127.0.0.1:9", interface: lo, expect: accept, tracking: untracked}
"#;

#[test]
fn every_kind_of_packet_is_sent() {
    let spec = Spec::new(SPEC);
    let ran = fwc(&["test", "--kernel", &spec.path()]);
    assert_eq!(ran.status, 0, "{ran}");
    assert!(ran.stdout.contains("the kernel shows the same for 20 of 20 packets"), "{ran}");
}

#[test]
fn nobody_can_do_it() {
    let ran = as_nobody(&[], &["test", "--kernel", "-"], SPEC);
    assert_eq!(ran.status, 0, "{ran}");
    assert!(ran.stdout.contains("the kernel shows the same for 20 of 20 packets"), "{ran}");
}

#[test]
fn nothing_is_tracked_where_nothing_needs_it() {
    let text = "policy: {output: drop}\nconntrack: disabled\nservices: {web: {listen: \"*:80\", stateless: true}}\ntests:\n  \
                - {packet: \"tcp 198.51.100.7:40000 > 203.0.113.5:80\", expect: accept, tracking: untracked, reply: true}\n";
    let ran = fwc(&["test", "--kernel", &Spec::new(text).path()]);
    assert_eq!(ran.status, 0, "{ran}");
    assert!(ran.stdout.contains("for 2 of 2 packets"), "{ran}");
}

#[test]
fn the_examples_hold_in_the_kernel() {
    for example in examples() {
        let ran = fwc(&["test", "--kernel", example.to_str().unwrap()]);
        assert_eq!(ran.status, 0, "{}: {ran}", example.display());
    }
}

#[test]
fn what_cannot_be_sent_is_told() {
    let text = "services: {ssh: {listen: \"*:22\"}}\ntests:\n  \
                - {packet: \"tcp 198.51.100.7:40000 > 203.0.113.5:22 syn,ack\", expect: accept}\n  \
                - {packet: \"udp 224.0.0.5:1 > 203.0.113.5:22\", expect: drop}\n  \
                - {packet: \"tcp 198.51.100.7:40000 > 203.0.113.5:22\", expect: accept}\n";
    let ran = fwc(&["test", "--kernel", &Spec::new(text).path()]);
    assert_eq!(ran.status, 1, "{ran}");
    assert_eq!(ran.stderr.matches("FWC604").count(), 2, "{ran}");
    assert!(ran.stderr.contains("conntrack calls such a packet invalid"), "{ran}");
    assert!(ran.stderr.contains("cannot have the address 224.0.0.5"), "{ran}");
    assert!(ran.stdout.contains("for 1 of 3 packets"), "{ran}");
}

/// Broadcast and multicast are received, but `fib daddr type local` does not hold for them: a service on `*` has them tracked.
#[test]
fn what_goes_to_everybody_is_tracked() {
    let text = "services: {any: {listen: \"*:8000\", stateless: true, protocol: udp}}\ntests:\n  \
                - {packet: \"udp 10.9.0.2:40000 > 255.255.255.255:8000\", expect: accept, tracking: tracked}\n  \
                - {packet: \"udp [fe80::2]:40000 > [ff02::fb]:8000\", expect: accept, tracking: tracked}\n  \
                - {packet: \"udp 10.9.0.2:40000 > 10.9.0.1:8000\", expect: accept, tracking: untracked}\n";
    let ran = fwc(&["test", &Spec::new(text).path()]);
    assert_eq!(ran.status, 0, "{ran}");
    let link = Link::new("everybody");
    link.server.write_nft("table inet t { chain c { type filter hook prerouting priority -300; fib daddr type local notrack; }; chain i { type filter hook input priority 0; udp dport 8000 ct state untracked counter; udp dport 8000 ct state new counter; }; }");
    let to = |address: &str| {
        link.client.enter(|| {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_broadcast(true).unwrap();
            socket.send_to(b"x", (address, 8000)).unwrap();
        })
    };
    to("203.0.113.255");
    to("203.0.113.5");
    let listed = link.server.ok(["nft", "list", "ruleset"]);
    assert!(listed.contains("untracked counter packets 1 ") && listed.contains("new counter packets 1 "), "{listed}");
}
