//! ICMP errors about an untracked flow are `invalid`, never `related`, and IPv6 needs its neighbours.

use crate::forms::{ENDS, FAR_ENDS, Form, at};
use crate::support::{
    Link, Mirror, Nginx, Packet, Router, curl, expect_verdicts, expect_verdicts_through, tcp_seen_as,
};

const TRACKED_BESIDE: &str = r#"
services:
  web: {listen: "*:80", stateless: true}
  ssh: {listen: "*:22"}
"#;

const NOTHING_TRACKED: &str = r#"
policy: {input: drop, output: drop}
services:
  web: {listen: "*:80", stateless: true}
"#;

const FORWARD: &str = r#"
policy: {input: drop, output: drop, forward: drop}
forward:
  web: {to: ["10.0.0.8:80", "[2001:db8:2::8]:80"], stateless: true}
services:
  ssh: {listen: "*:22"}
"#;

/// Type and code of the errors, by family: unreachable, fragmentation needed or too big, time exceeded, bad parameter.
const ERRORS: [&[(u8, u8)]; 2] =
    [&[(3, 1), (3, 3), (3, 4), (11, 0), (12, 0)], &[(1, 0), (1, 4), (2, 0), (3, 0), (4, 0)]];

const DOWNLOAD: usize = 400_000;

fn a_download_finds_the_path_mtu(form: Form) {
    let hosts = Router::new("mtu");
    // The client announces segments that the link to it does not take.
    hosts.router.ip(&["link", "set", "eth0", "mtu", "1280"]);
    let nginx = Nginx::start(&hosts.backend, &["10.0.0.8:80", "[2001:db8:2::8]:80"]);
    nginx.put("large", DOWNLOAD);
    for spec in [TRACKED_BESIDE, NOTHING_TRACKED] {
        form.load(&hosts.backend, spec);
        for (_, backend) in FAR_ENDS {
            let url = format!("http://{}/large", at(backend, 80));
            let body = curl(&hosts.client, &url).map(|body| body.len());
            assert_eq!(body, Ok(DOWNLOAD), "{url} with {spec}");
            // The next spec has to find the MTU anew.
            hosts.backend.ok(["ip", if backend.contains(':') { "-6" } else { "-4" }, "route", "flush", "cache"]);
        }
        assert_eq!(hosts.backend.conntrack_count(), 0, "{spec}");
    }
}

fn a_download_through_a_stateless_forward_finds_the_path_mtu(form: Form) {
    let hosts = Router::new("mtu-forward");
    hosts.router.ip(&["link", "set", "eth0", "mtu", "1280"]);
    let nginx = Nginx::start(&hosts.backend, &["10.0.0.8:80", "[2001:db8:2::8]:80"]);
    nginx.put("large", DOWNLOAD);
    // The router itself sends the errors: output must let them out.
    form.load(&hosts.router, FORWARD);
    for (_, backend) in FAR_ENDS {
        let url = format!("http://{}/large", at(backend, 80));
        assert_eq!(curl(&hosts.client, &url).map(|body| body.len()), Ok(DOWNLOAD), "{url}");
    }
    assert_eq!(hosts.router.conntrack_count(), 0);
}

fn errors_about_untracked_flows_come_in(form: Form) {
    let link = Link::new("errors");
    for spec in [TRACKED_BESIDE, NOTHING_TRACKED] {
        form.load(&link.server, spec);
        for ((client, server), errors) in ENDS.into_iter().zip(ERRORS) {
            let about = Packet::tcp(&at(server, 80), &at(client, 40_000), "ack");
            let error = |&(kind, code): &(u8, u8)| (Packet::icmp_error(client, &about, kind, code), true);
            let cases: Vec<_> = errors.iter().map(error).collect();
            expect_verdicts(&cases, &link.client, &link.server, spec);
        }
    }
}

fn errors_about_forwarded_untracked_flows_pass(form: Form) {
    let hosts = Router::new("errors-forward");
    form.load(&hosts.router, FORWARD);
    for ((client, backend), errors) in FAR_ENDS.into_iter().zip(ERRORS) {
        let about = Packet::tcp(&at(backend, 80), &at(client, 40_000), "ack");
        let error = |&(kind, code): &(u8, u8)| (Packet::icmp_error(client, &about, kind, code), true);
        let cases: Vec<_> = errors.iter().map(error).collect();
        expect_verdicts_through(&cases, [&hosts.client, &hosts.router, &hosts.backend], "errors on their way");
    }
}

fn neighbours_are_found_with_everything_else_dropped(form: Form) {
    let link = Link::new("neighbours");
    let _web = Mirror::tcp(&link.server, "[2001:db8::5]:80");
    for spec in [TRACKED_BESIDE, NOTHING_TRACKED] {
        form.load(&link.server, spec);
        for host in [&link.server, &link.client] {
            host.ok(["ip", "-6", "neigh", "flush", "dev", "eth0"]);
        }
        assert!(tcp_seen_as(&link.client, "[2001:db8::5]:80").is_ok(), "{spec}");
    }
}

fn ping_is_answered_where_the_spec_says_so(form: Form) {
    let link = Link::new("ping");
    for ping in [false, true] {
        form.load(&link.server, &format!("{TRACKED_BESIDE}icmp: {{ping: {ping}}}\n"));
        let cases = [0, 1].map(|family| {
            let (client, server) = ENDS[family];
            (Packet::icmp(client, server, [8, 128][family], 0), ping)
        });
        expect_verdicts(&cases, &link.client, &link.server, "echo requests");
    }
}

in_each_form!(
    a_download_finds_the_path_mtu,
    a_download_through_a_stateless_forward_finds_the_path_mtu,
    errors_about_untracked_flows_come_in,
    errors_about_forwarded_untracked_flows_pass,
    neighbours_are_found_with_everything_else_dropped,
    ping_is_answered_where_the_spec_says_so,
);
