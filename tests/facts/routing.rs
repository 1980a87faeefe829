//! A host that routes sees the flows of others in prerouting, with the same ports as its own.

use crate::forms::{FAR_ENDS, Form, at};
use crate::support::{Mirror, Namespace, Packet, Router, expect_verdicts_through, tcp_seen_as, udp_seen_as};

const SERVICES: &str = r#"
services:
  web: {listen: "*:80", stateless: true}
  dns: {listen: "*:53", protocol: udp, stateless: true}
  private: {listen: "10.0.0.0/16:80", stateless: true}
  ssh: {listen: "*:22"}
"#;

const CLIENTS: &str = r#"
services:
  ssh: {listen: "*:22"}
clients:
  web: {to: "*:80", stateless: true}
  dns: {to: "*:53", protocol: udp, stateless: true}
"#;

const FORWARD: &str = r#"
policy: {input: drop, output: accept, forward: drop}
forward:
  web:
    to: ["10.0.0.8:80", "[2001:db8:2::8]:80"]
    from: [10.1.0.0/16, "2001:db8:1::/64"]
    stateless: true
  dns: {to: "*:53", protocol: udp, stateless: true}
  syslog: {to: "*:514", protocol: udp}
services:
  ssh: {listen: "*:22"}
"#;

/// The backend answers on TCP 80 and UDP 53 and 514, in both families.
fn serve(on: &Namespace, addresses: [&str; 2]) -> Vec<Mirror> {
    let each = addresses.into_iter();
    each.flat_map(|host| {
        [Mirror::tcp(on, &at(host, 80)), Mirror::udp(on, &at(host, 53)), Mirror::udp(on, &at(host, 514))]
    })
    .collect()
}

fn backend(hosts: &Router) -> Vec<Mirror> {
    serve(&hosts.backend, [Router::BACKEND, Router::BACKEND_V6])
}

#[track_caller]
fn works(from: &Namespace, to: [&str; 2]) {
    for host in to {
        assert!(tcp_seen_as(from, &at(host, 80)).is_ok(), "{} to {host}, tcp", from.name());
        assert!(udp_seen_as(from, &at(host, 53)).is_some(), "{} to {host}, udp", from.name());
    }
}

/// One TCP and one UDP flow in each family, each of them seen in both directions.
#[track_caller]
fn tracked_whole(router: &Namespace) {
    let entries = router.conntrack_entries(&[]);
    assert_eq!(entries.len(), 4, "{entries:#?}");
    for entry in entries {
        assert!(!entry.contains("[UNREPLIED]"), "{entry}");
        assert!(!entry.starts_with("tcp") || entry.contains("[ASSURED]"), "{entry}");
    }
}

fn a_wildcard_service_on_a_router_leaves_forwarded_flows_tracked(form: Form) {
    let hosts = Router::new("wildcard");
    let _backend = backend(&hosts);
    let _own = serve(&hosts.router, [Router::OUTER, Router::OUTER_V6]);
    form.load(&hosts.router, SERVICES);
    works(&hosts.client, [Router::OUTER, Router::OUTER_V6]);
    assert_eq!(hosts.router.conntrack_count(), 0, "the router's own service");
    works(&hosts.client, [Router::BACKEND, Router::BACKEND_V6]);
    tracked_whole(&hosts.router);
}

fn a_stateless_client_on_a_router_leaves_forwarded_replies_tracked(form: Form) {
    let hosts = Router::new("replies");
    let _backend = backend(&hosts);
    form.load(&hosts.router, CLIENTS);
    works(&hosts.router, [Router::BACKEND, Router::BACKEND_V6]);
    assert_eq!(hosts.router.conntrack_count(), 0, "the router's own requests");
    works(&hosts.client, [Router::BACKEND, Router::BACKEND_V6]);
    tracked_whole(&hosts.router);
}

fn a_stateless_forward_untracks_both_legs_and_not_the_routers_own_flows(form: Form) {
    let hosts = Router::new("forward");
    let _backend = backend(&hosts);
    form.load(&hosts.router, FORWARD);
    works(&hosts.client, [Router::BACKEND, Router::BACKEND_V6]);
    assert_eq!(hosts.router.conntrack_count(), 0, "forwarded");
    works(&hosts.router, [Router::BACKEND, Router::BACKEND_V6]);
    tracked_whole(&hosts.router);
}

fn a_tracked_forward_works_beside_stateless_ones(form: Form) {
    let hosts = Router::new("mixed-forward");
    let _backend = backend(&hosts);
    form.load(&hosts.router, FORWARD);
    for (_, backend) in FAR_ENDS {
        assert!(udp_seen_as(&hosts.client, &at(backend, 514)).is_some(), "{backend}");
    }
    let entries = hosts.router.conntrack_entries(&["-p", "udp", "--dport", "514"]);
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert!(entries.iter().all(|entry| !entry.contains("[UNREPLIED]")), "{entries:?}");
}

fn what_is_not_listed_is_not_forwarded(form: Form) {
    let hosts = Router::new("closed-forward");
    form.load(&hosts.router, FORWARD);
    for ((client, backend), stranger) in FAR_ENDS.into_iter().zip(["10.2.0.7", "2001:db8:3::7"]) {
        let request = |from: &str, port: u16| Packet::tcp(&at(from, 40_000), &at(backend, port), "syn");
        let requests = [(request(client, 80), true), (request(client, 81), false), (request(stranger, 80), false)];
        expect_verdicts_through(&requests, [&hosts.client, &hosts.router, &hosts.backend], "requests");
        let reply = |from: u16, flags: &str| Packet::tcp(&at(backend, from), &at(client, 40_000), flags);
        let replies = [
            (reply(80, "syn,ack"), true),
            (reply(80, "ack,fin"), true),
            // Nobody opens a connection from the service's port.
            (reply(80, "syn"), false),
            (reply(81, "syn,ack"), false),
        ];
        expect_verdicts_through(&replies, [&hosts.backend, &hosts.router, &hosts.client], "replies");
    }
    assert_eq!(hosts.router.conntrack_count(), 0);
}

in_each_form!(
    a_wildcard_service_on_a_router_leaves_forwarded_flows_tracked,
    a_stateless_client_on_a_router_leaves_forwarded_replies_tracked,
    a_stateless_forward_untracks_both_legs_and_not_the_routers_own_flows,
    a_tracked_forward_works_beside_stateless_ones,
    what_is_not_listed_is_not_forwarded,
);
