//! The examples keep their promises with real packets. The NAT example is tried where NAT is.

use std::fs;
use std::path::Path;

use crate::forms::{ENDS, FAR_ENDS, Form, at};
use crate::support::probe::udp_seen_as_from;
use crate::support::{
    Connection, Link, Mirror, Namespace, Packet, Router, Spec, expect_verdicts, expect_verdicts_through, passes,
    tcp_connect, tcp_seen_as, udp_seen_as,
};

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn web_untracked_and_ssh_tracked(form: Form) {
    let link = Link::new("web");
    let _web: Vec<Mirror> = ENDS
        .iter()
        .flat_map(|(_, server)| [22, 80, 443].map(|port| Mirror::tcp(&link.server, &at(server, port))))
        .collect();
    let _outside = Mirror::tcp(&link.client, "203.0.113.7:443");
    form.load(&link.server, &read("web.yaml"));
    for ((client, server), echo) in ENDS.into_iter().zip([8, 128]) {
        for port in [80, 443] {
            assert!(tcp_seen_as(&link.client, &at(server, port)).is_ok(), "{server} port {port}");
        }
        let cases = [
            (Packet::tcp(&at(client, 40_000), &at(server, 3306), "syn"), false),
            (Packet::udp(&at(client, 40_000), &at(server, 80)), false),
            (Packet::icmp(client, server, echo, 0), true),
        ];
        expect_verdicts(&cases, &link.client, &link.server, "web.yaml");
        assert_eq!(link.server.conntrack_entries(&["-p", "tcp"]), Vec::<String>::new());
    }
    assert!(tcp_seen_as(&link.client, "203.0.113.5:22").is_ok());
    assert!(tcp_seen_as(&link.server, "203.0.113.7:443").is_ok());
    assert_eq!(link.server.conntrack_entries(&["-p", "tcp"]).len(), 2);
}

fn dns_without_conntrack(form: Form) {
    const CUSTOMERS: [&str; 2] = ["198.51.100.7", "2001:db8:c::7"];
    let link = Link::new("dns");
    let _dns = ENDS
        .map(|(_, server)| [Mirror::udp(&link.server, &at(server, 53)), Mirror::tcp(&link.server, &at(server, 53))]);
    let _upstream = ENDS
        .map(|(client, _)| [Mirror::udp(&link.client, &at(client, 53)), Mirror::tcp(&link.client, &at(client, 443))]);
    form.load(&link.server, &read("dns.yaml"));
    for ((client, server), customer) in ENDS.into_iter().zip(CUSTOMERS) {
        let query = |source: &str| Packet::udp(&at(source, 5353), &at(server, 53));
        let connection = |source: &str| Packet::tcp(&at(source, 5353), &at(server, 53), "syn");
        let cases = [
            (query(customer), true),
            (query(client), false),
            (connection(customer), true),
            (connection(client), false),
            (Packet::tcp(&at(client, 53), &at(server, 22), "syn"), false),
            (Packet::udp(&at(client, 53), &at(server, 1023)), false),
        ];
        expect_verdicts(&cases, &link.client, &link.server, "dns.yaml");
        for (source, expected) in [(customer, true), (client, false)] {
            let answer = Packet::udp(&at(server, 53), &at(source, 5353));
            assert_eq!(answer.leaves(&link.server), expected, "to {source}");
        }
        assert!(udp_seen_as(&link.server, &at(client, 53)).is_some(), "{client}");
        assert!(tcp_seen_as(&link.server, &at(client, 443)).is_ok(), "{client}");
        assert!(!Packet::tcp(&at(server, 40_000), &at(client, 25), "syn").leaves(&link.server), "{client}");
    }
    link.client.add_address("198.51.100.7/32", "lo");
    link.client.add_address("192.0.2.3/32", "lo");
    let customer = udp_seen_as_from(&link.client, "198.51.100.7:0", "203.0.113.5:53");
    assert!(customer.is_some(), "a customer is answered");
    let ssh = |source: &str| Packet::tcp(&at(source, 40_000), "203.0.113.5:22", "syn");
    let cases = [(ssh("192.0.2.3"), true), (ssh("192.0.2.16"), false)];
    expect_verdicts(&cases, &link.client, &link.server, "admins");
    assert_eq!(link.server.conntrack_count(), 0);
}

fn router_in_front_of_a_backend(form: Form) {
    const BACKEND_V6: &str = "2001:db8:a::8";
    const CLIENT_V6: &str = "2001:db8:b::7";
    const SYSLOG: &str = "10.0.0.9";
    let hosts = Router::new("router");
    let direct = |host: &Namespace, address: &str| host.add_address(address, "eth0");
    direct(&hosts.backend, "2001:db8:a::8/64");
    direct(&hosts.backend, "10.0.0.9/16");
    direct(&hosts.client, "2001:db8:b::7/64");
    hosts.router.add_address("2001:db8:a::1/64", "eth1");
    hosts.router.add_address("2001:db8:b::1/64", "eth0");
    let _https = [Router::BACKEND, BACKEND_V6].map(|host| Mirror::tcp(&hosts.backend, &at(host, 443)));
    let _syslog = Mirror::udp(&hosts.backend, &at(SYSLOG, 514));
    let _ssh = Mirror::tcp(&hosts.router, &at(Router::OUTER, 22));
    form.load(&hosts.router, &read("router.yaml"));
    for host in [Router::BACKEND, BACKEND_V6] {
        assert!(tcp_seen_as(&hosts.client, &at(host, 443)).is_ok(), "{host}");
    }
    assert_eq!(hosts.router.conntrack_count(), 0);
    assert!(udp_seen_as(&hosts.client, &at(SYSLOG, 514)).is_some());
    assert_eq!(tcp_connect(&hosts.client, &at(Router::OUTER, 22)), Connection::Connected);
    assert_eq!(hosts.router.conntrack_count(), 2);
    let (from, to) = FAR_ENDS[0];
    let cases = [
        (Packet::tcp("10.2.2.3:40000", &at(to, 443), "syn"), false),
        (Packet::tcp(&at(from, 40_000), &at(to, 444), "syn"), false),
        (Packet::tcp(&at(CLIENT_V6, 40_000), &at(BACKEND_V6, 444), "syn"), false),
        (Packet::udp("10.2.2.3:40000", &at(SYSLOG, 514)), false),
    ];
    expect_verdicts_through(&cases, [&hosts.client, &hosts.router, &hosts.backend], "router.yaml");
    for (source, own) in [(Router::CLIENT, Router::OUTER), (CLIENT_V6, "2001:db8:b::1")] {
        let ospf = Packet::of_protocol(source, own, 89);
        assert!(passes(&ospf, &hosts.client, &hosts.router), "{source}");
    }
}

fn mixed_stateless_and_tracked(form: Form) {
    const ADMIN: &str = "192.0.2.3";
    let link = Link::new("mixed");
    link.client.add_address("9.9.9.9/32", "lo");
    link.client.add_address("2620:fe::fe/128", "lo");
    let _web = ENDS.map(|(_, server)| Mirror::tcp(&link.server, &at(server, 443)));
    let _quic = ENDS.map(|(_, server)| Mirror::udp(&link.server, &at(server, 443)));
    let _ntp = Mirror::udp(&link.server, "203.0.113.5:123");
    let _tracked = [22, 9150].map(|port| Mirror::tcp(&link.server, &at(Link::SERVER, port)));
    let resolvers = ["9.9.9.9", "2620:fe::fe"];
    let _resolvers =
        resolvers.map(|host| [Mirror::udp(&link.client, &at(host, 53)), Mirror::tcp(&link.client, &at(host, 53))]);
    form.load(&link.server, &read("mixed.yaml"));
    for (_, server) in ENDS {
        assert!(tcp_seen_as(&link.client, &at(server, 443)).is_ok(), "{server}");
        assert!(udp_seen_as(&link.client, &at(server, 443)).is_some(), "{server}");
    }
    assert!(udp_seen_as(&link.client, "203.0.113.5:123").is_some());
    for host in resolvers {
        assert!(udp_seen_as(&link.server, &at(host, 53)).is_some(), "{host}");
        assert!(tcp_seen_as(&link.server, &at(host, 53)).is_ok(), "{host}");
    }
    assert_eq!(link.server.conntrack_count(), 0);
    let opens = |source: &str, port: u16| Packet::tcp(&at(source, 40_000), &at(Link::SERVER, port), "syn");
    let cases = [
        (opens(ADMIN, 22), true),
        (opens(Link::CLIENT, 22), false),
        (opens("198.51.100.10", 9150), true),
        (opens("198.51.100.12", 9150), false),
        (Packet::tcp("9.9.9.9:53", "203.0.113.5:40000", "syn"), false),
    ];
    expect_verdicts(&cases, &link.client, &link.server, "mixed.yaml");
    assert_eq!(link.server.conntrack_count(), 2, "ssh and metrics");
}

fn blocklist_before_a_web_server(form: Form) {
    let link = Link::new("blocklist");
    let _web = ENDS.map(|(_, server)| Mirror::tcp(&link.server, &at(server, 80)));
    let spec = Spec::new(&read("blocklist.yaml")).file("blocklist.txt", &read("blocklist.txt"));
    form.load_spec(&link.server, &spec);
    let blocked = ["192.0.2.66", "192.0.2.191", "198.51.100.64", "198.51.100.79", "198.51.100.255", "2001:db8:bad::1"];
    let free = ["192.0.2.65", "192.0.2.192", "198.51.100.63", "198.51.100.80", "2001:db8:bae::1"];
    let mut cases = Vec::new();
    for (source, expected) in blocked.map(|source| (source, false)).into_iter().chain(free.map(|source| (source, true)))
    {
        let server = if source.contains(':') { Link::SERVER_V6 } else { Link::SERVER };
        cases.extend([80, 22].map(|port| (Packet::tcp(&at(source, 40_000), &at(server, port), "syn"), expected)));
    }
    expect_verdicts(&cases, &link.client, &link.server, "blocklist.yaml");
    for (_, server) in ENDS {
        assert!(tcp_seen_as(&link.client, &at(server, 80)).is_ok(), "{server}");
    }
    assert_eq!(link.server.conntrack_entries(&["-p", "tcp", "--dport", "80"]), Vec::<String>::new());
}

in_each_form!(
    web_untracked_and_ssh_tracked,
    dns_without_conntrack,
    router_in_front_of_a_backend,
    mixed_stateless_and_tracked,
    blocklist_before_a_web_server,
);
