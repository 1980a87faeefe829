//! The tests' own ground: namespaces go away, probes tell accept from drop, the machine-wide limit comes back.

mod support;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use support::cli::{self, iptables_load};
use support::turn::conntrack_max;
use support::{
    Connection, ConntrackMax, Link, Mirror, Namespace, Nginx, Packet, Router, Spec, Variant, Wrk, curl, passes,
    passes_through, tcp_connect, tcp_connect_from, tcp_seen_as, tools, udp_seen_as,
};

fn exists(namespace: &str) -> bool {
    Path::new("/run/netns").join(namespace).exists()
}

/// Whether a process has not ended. One that has ended is in no namespace, also while nobody has waited for it.
fn lives(pid: &str) -> bool {
    fs::read_link(format!("/proc/{pid}/ns/net")).is_ok()
}

/// A drop policy with a few accepts, none of which looks at a connection's state.
const FILTER: &str = "
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        icmp type destination-unreachable accept
        icmpv6 type packet-too-big accept
        tcp dport 80 tcp flags & (syn | ack) == syn accept
        udp dport 53 accept
        meta l4proto { esp, vrrp } accept
        meta l4proto sctp th dport 9 accept
    }
}
";

#[test]
fn a_namespace_goes_away_with_what_runs_in_it() {
    let namespace = Namespace::new("gone");
    let name = namespace.name().to_owned();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let sleeper = namespace.spawn(["sh", "-c", "sleep 1000 & echo $! > \"$0\"; wait", file.to_str().unwrap()]);
    let child = loop {
        match fs::read_to_string(&file) {
            Ok(pid) if pid.ends_with('\n') => break pid.trim().to_owned(),
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(exists(&name));
    // The shell dies at once, its child is an orphan.
    drop(sleeper);
    assert!(lives(&child));
    drop(namespace);
    assert!(!exists(&name));
    assert!(!lives(&child), "process {child} outlived its namespace");
}

#[test]
fn a_panic_removes_the_namespace_too() {
    let mut name = String::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let namespace = Namespace::new("panic");
        namespace.name().clone_into(&mut name);
        assert!(!exists(namespace.name()), "this panic is part of the test");
    }));
    assert!(panicked.is_err());
    assert!(!exists(&name));
}

#[test]
fn the_limit_comes_back_after_a_panic() {
    let before = {
        // The limit is read while nobody has it lowered.
        let _turn = Namespace::new("limit");
        conntrack_max()
    };
    let panicked = catch_unwind(|| {
        let _limit = ConntrackMax::lower(1000);
        let namespace = Namespace::new("limit");
        let inside = namespace.ok(["cat", "/proc/sys/net/netfilter/nf_conntrack_max"]);
        assert_eq!(inside.trim(), "1000");
        panic!("this panic is part of the test");
    });
    let message = panicked.unwrap_err();
    assert_eq!(message.downcast_ref::<&str>(), Some(&"this panic is part of the test"));
    let _turn = Namespace::new("limit");
    assert_eq!(conntrack_max(), before);
}

#[test]
fn the_limit_is_not_lowered_under_a_namespace_of_the_same_test() {
    let _namespace = Namespace::new("late");
    assert!(catch_unwind(|| ConntrackMax::lower(1000)).is_err());
}

#[test]
fn commands_run_inside_and_leave_their_output() {
    let namespace = Namespace::new("run");
    let ran = namespace.run_with(["sh", "-c", "cat; ip -br link; echo oops >&2; exit 3"], "first\n");
    assert_eq!((ran.status, ran.stderr.as_str()), (3, "oops\n"));
    let interfaces: Vec<&str> = ran.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(interfaces, ["first", "lo"]);
    assert_eq!(namespace.run(["sh", "-c", "kill -9 $$"]).status, -9);
}

#[test]
fn a_connection_is_connected_refused_or_dropped() {
    let link = Link::new("tcp");
    let _v4 = Mirror::tcp(&link.server, "203.0.113.5:80");
    let _v6 = Mirror::tcp(&link.server, "[2001:db8::5]:80");
    assert_eq!(tcp_connect(&link.client, "203.0.113.5:80"), Connection::Connected);
    assert_eq!(tcp_connect(&link.client, "[2001:db8::5]:80"), Connection::Connected);
    assert_eq!(tcp_connect(&link.client, "203.0.113.5:81"), Connection::Refused);

    link.server.write_nft("table inet t { chain c { type filter hook input priority 0; tcp sport != 4000 drop; }; }");
    assert_eq!(tcp_connect(&link.client, "203.0.113.5:80"), Connection::TimedOut);
    assert_eq!(tcp_connect_from(&link.client, "203.0.113.7:4000", "203.0.113.5:80"), Connection::Connected);

    link.server.write_nft("flush ruleset");
    link.server.write_nft(
        "table inet t { chain c { type filter hook input priority 0; reject with icmpx admin-prohibited; }; }",
    );
    assert_eq!(tcp_connect(&link.client, "203.0.113.5:80"), Connection::Unreachable);
}

#[test]
fn a_mirror_shows_what_nat_made_of_the_source() {
    let hosts = Router::new("nat");
    let _tcp = Mirror::tcp(&hosts.backend, "10.0.0.8:443");
    let _udp = Mirror::udp(&hosts.backend, "10.0.0.8:53");
    let _udp6 = Mirror::udp(&hosts.backend, "[2001:db8:2::8]:53");
    let seen = || tcp_seen_as(&hosts.client, "10.0.0.8:443").map(|source| source.ip().to_string());
    assert_eq!(seen().as_deref(), Ok(Router::CLIENT));
    let seen_udp = |to| udp_seen_as(&hosts.client, to).map(|source| source.ip().to_string());
    assert_eq!(seen_udp("10.0.0.8:53").as_deref(), Some(Router::CLIENT));
    assert_eq!(seen_udp("[2001:db8:2::8]:53").as_deref(), Some(Router::CLIENT_V6));
    assert_eq!(hosts.router.conntrack_count(), 0);

    hosts.router.write_nft("table inet t { chain c { type nat hook postrouting priority srcnat; masquerade; }; }");
    assert_eq!(seen().as_deref(), Ok(Router::INNER));
    assert_eq!(seen_udp("10.0.0.8:53").as_deref(), Some(Router::INNER));
    assert_eq!(seen_udp("[2001:db8:2::8]:53").as_deref(), Some(Router::INNER_V6));
    assert_eq!(hosts.router.conntrack_entries(&["-p", "tcp", "--dport", "443"]).len(), 1);
    assert_eq!(hosts.router.conntrack_entries(&["-p", "udp", "--dport", "53"]).len(), 2);
}

#[test]
fn a_silent_udp_port_gives_no_answer() {
    let link = Link::new("udp");
    assert_eq!(udp_seen_as(&link.client, "203.0.113.5:53"), None);
}

#[test]
fn crafted_packets_pass_or_are_dropped() {
    let link = Link::new("craft");
    link.server.write_nft(FILTER);
    let families = [("203.0.113.7", "203.0.113.5"), ("2001:db8::7", "2001:db8::5")];
    for (client, server) in families {
        let at = |host: &str, port: u16| std::net::SocketAddr::new(host.parse().unwrap(), port).to_string();
        let (from, web, dns) = (at(client, 40_000), at(server, 80), at(server, 53));
        let check = |packet: &Packet, expected: bool| {
            assert_eq!(passes(packet, &link.client, &link.server), expected, "{packet:?}");
        };
        check(&Packet::tcp(&from, &web, "syn"), true);
        check(&Packet::tcp(&from, &web, "syn,ack"), false);
        check(&Packet::tcp(&from, &web, "ack,psh"), false);
        check(&Packet::tcp(&from, &web, ""), false);
        let query = Packet::udp(&from, &dns);
        check(&query, true);
        check(&Packet::udp(&from, &web), false);
        check(&Packet::of_protocol(client, server, 112), true);
        check(&Packet::of_protocol(client, server, 47), false);
        check(&Packet::of_protocol_with_ports(&from, &at(server, 9), 132), true);
        check(&Packet::of_protocol_with_ports(&from, &at(server, 10), 132), false);
        let echo = if client.contains(':') { 128 } else { 8 };
        check(&Packet::icmp(client, server, echo, 0), false);
        let (kind, code) = if client.contains(':') { (2, 0) } else { (3, 4) };
        let answer = Packet::udp(&dns, &from);
        check(&Packet::icmp_error(client, &answer, kind, code), true);
    }
    // A source that is not the client's own.
    assert!(passes(&Packet::tcp("198.51.100.7:40000", "203.0.113.5:80", "syn"), &link.client, &link.server));
}

#[test]
fn fragments_are_one_packet_for_the_receiver_and_two_for_a_router() {
    let hosts = Router::new("frag");
    for (from, to) in [("10.1.0.7:40000", "10.0.0.8:53"), ("[2001:db8:1::7]:40000", "[2001:db8:2::8]:53")] {
        let packet = Packet::udp_of_length(from, to, 400);
        let crosses = || passes_through(&packet.fragments(200), &hosts.client, &hosts.router, &hosts.backend);
        assert!(crosses(), "{packet:?} without a filter");
        // The port stands in the first fragment alone.
        hosts.router.write_nft(
            "table inet t { chain c { type filter hook forward priority 0; policy drop; udp dport 53 accept; }; }",
        );
        assert!(!crosses(), "{packet:?} with a port match where nothing reassembles");
        hosts.router.write_nft("flush ruleset");
    }
}

#[test]
fn an_output_filter_holds_packets_back() {
    let link = Link::new("output");
    let answer = Packet::tcp("203.0.113.5:80", "203.0.113.7:40000", "syn,ack");
    assert!(answer.leaves(&link.server));
    link.server.write_nft("table inet t { chain c { type filter hook output priority 0; tcp sport 80 drop; }; }");
    assert!(!answer.leaves(&link.server));
}

#[test]
fn nginx_serves_and_wrk_counts() {
    let link = Link::new("web");
    let nginx = Nginx::start(&link.server, &["203.0.113.5:80", "[2001:db8::5]:80"]);
    nginx.put("big", 400_000);
    assert_eq!(curl(&link.client, "http://203.0.113.5/").as_deref(), Ok("served\n"));
    assert_eq!(curl(&link.client, "http://[2001:db8::5]/big").map(|body| body.len()), Ok(400_000));
    assert!(curl(&link.client, "http://203.0.113.5/none").is_err());
    let counts = Wrk::run(&link.client, "http://203.0.113.5/", 1);
    assert!(counts.requests > 0 && counts.lost() == 0, "{counts:?}");
    let failed = Wrk::run(&link.client, "http://203.0.113.5/none", 1);
    assert!(failed.failed > 0 && failed.failed == failed.lost(), "{failed:?}");
}

#[test]
fn iptables_files_are_loaded_by_both_kinds_of_programs() {
    for variant in [Variant::Nft, Variant::Legacy] {
        let link = Link::new("iptables");
        let files = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(files.path().join(name), text).unwrap();
        write("rules.ipset", "create clients hash:net family inet\nadd clients 203.0.113.7\n");
        let rule = "-A INPUT -m set --match-set clients src -p udp --dport 53 -j ACCEPT\n";
        write("rules.v4", &format!("*filter\n:INPUT DROP [0:0]\n{rule}COMMIT\n"));
        write("rules.v6", "*filter\n:INPUT DROP [0:0]\n-A INPUT -p icmpv6 -j ACCEPT\nCOMMIT\n");
        iptables_load(&link.server, files.path(), variant);
        let accepted = |packet: &Packet| passes(packet, &link.client, &link.server);
        assert!(accepted(&Packet::udp("203.0.113.7:40000", "203.0.113.5:53")), "{variant:?}");
        assert!(!accepted(&Packet::udp("203.0.113.8:40000", "203.0.113.5:53")), "{variant:?}");
        assert!(accepted(&Packet::icmp("2001:db8::7", "2001:db8::5", 128, 0)), "{variant:?}");
        assert!(!accepted(&Packet::udp("[2001:db8::7]:40000", "[2001:db8::5]:53")), "{variant:?}");
    }
}

/// Also what a test starts only by way of a shell or another program.
#[test]
fn an_fwc_without_a_state_directory_leaves_nothing_on_the_machine() {
    let namespace = Namespace::new("state");
    let spec = Spec::new("services: {web: {listen: \"*:80\"}}\n");
    let machine = || fs::metadata("/var/lib/fwc").and_then(|found| found.modified()).ok();
    let before = machine();
    let path = spec.path();
    let script = ["sh", "-c", "\"$0\" apply \"$1\"; exit $?", env!("CARGO_BIN_EXE_fwc"), &path];
    let direct = namespace.enter(|| tools::run(&mut cli::command(&["apply", &path]), ""));
    for ran in [direct, namespace.run(script)] {
        assert!(ran.status == 3 && ran.stderr.contains("FWC513") && ran.stderr.contains(tools::NO_STATE), "{ran}");
    }
    assert_eq!((namespace.ruleset().as_str(), machine()), ("", before));
}
