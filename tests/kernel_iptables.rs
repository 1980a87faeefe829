//! The iptables-restore files in the real kernel, by both kinds of programs: they serve, drop, untrack and translate.

mod support;

use std::fs;

use fwc::backend::Header;
use fwc::backend::iptables::artifacts;
use support::cli::iptables_load;
use support::{
    Connection, Link, Mirror, Namespace, Packet, Router, Variant, compile, passes, passes_through, tcp_connect,
    tcp_seen_as, write_files,
};

const BOTH: [Variant; 2] = [Variant::Nft, Variant::Legacy];

/// Compiles a spec and loads its files.
#[track_caller]
fn load(namespace: &Namespace, spec: &str, variant: Variant) {
    let files = artifacts(compile(spec).ruleset(), &Header { version: "0.0.0", spec_hash: "0" });
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), &files);
    iptables_load(namespace, folder.path(), variant);
}

fn golden(name: &str) -> String {
    fs::read_to_string(format!("tests/golden/iptables/{name}/spec.yaml")).unwrap()
}

#[test]
fn a_stateless_service_serves_untracked_and_nothing_else_does() {
    for variant in BOTH {
        let link = Link::new("serve");
        let _web = ["203.0.113.5:80", "[2001:db8::5]:80"].map(|listen| Mirror::tcp(&link.server, listen));
        let _other = ["203.0.113.5:81", "[2001:db8::5]:81"].map(|listen| Mirror::tcp(&link.server, listen));
        let spec = "policy: {output: drop}\nservices: {web: {listen: \"*:80\", stateless: true}}\n";
        load(&link.server, spec, variant);
        for host in ["203.0.113.5", "[2001:db8::5]"] {
            assert_eq!(tcp_connect(&link.client, &format!("{host}:80")), Connection::Connected, "{variant:?}");
            assert_eq!(tcp_connect(&link.client, &format!("{host}:81")), Connection::TimedOut, "{variant:?}");
            // Its own service, over loopback.
            assert_eq!(tcp_connect(&link.server, &format!("{host}:80")), Connection::Connected, "{variant:?}");
        }
        assert_eq!(link.server.conntrack_count(), 0, "{variant:?}");
    }
}

#[test]
fn a_tracked_service_is_tracked_beside_a_stateless_one() {
    for variant in BOTH {
        let link = Link::new("beside");
        let _servers = ["203.0.113.5:80", "203.0.113.5:22"].map(|listen| Mirror::tcp(&link.server, listen));
        load(
            &link.server,
            "services:\n  web: {listen: \"203.0.113.5:80\", stateless: true}\n  ssh: {listen: \"*:22\"}\n",
            variant,
        );
        assert_eq!(tcp_connect(&link.client, "203.0.113.5:80"), Connection::Connected);
        assert_eq!(link.server.conntrack_count(), 0, "{variant:?}");
        assert_eq!(tcp_connect(&link.client, "203.0.113.5:22"), Connection::Connected);
        assert_eq!(link.server.conntrack_count(), 1, "{variant:?}");
    }
}

#[test]
fn a_reply_leg_opens_nothing() {
    for variant in BOTH {
        let link = Link::new("guard");
        load(&link.server, &golden("dns"), variant);
        for (from, to) in [("9.9.9.9:53", "203.0.113.5:40000"), ("[2620:fe::fe]:53", "[2001:db8::5]:40000")] {
            let packet = |flags| Packet::tcp(from, to, flags);
            for flags in ["syn,ack", "ack", "rst", "fin,ack"] {
                assert!(passes(&packet(flags), &link.client, &link.server), "{variant:?} {from} {flags}");
            }
            for flags in ["syn", "syn,fin", "syn,ece,cwr"] {
                assert!(!passes(&packet(flags), &link.client, &link.server), "{variant:?} {from} {flags}");
            }
        }
        let other_port = Packet::tcp("9.9.9.9:53", "203.0.113.5:22", "ack");
        assert!(!passes(&other_port, &link.client, &link.server), "{variant:?}");
        assert_eq!(link.server.conntrack_count(), 0, "{variant:?}");
    }
}

#[test]
fn sets_of_all_sizes_hold_who_they_hold() {
    for variant in BOTH {
        let link = Link::new("sets");
        load(&link.server, &golden("sets"), variant);
        // The files load again over themselves.
        load(&link.server, &golden("sets"), variant);
        let accepted = [
            ("192.0.2.7:40000", "203.0.113.5:8443"),
            ("192.0.68.200:40000", "203.0.113.5:9000"),
            ("192.0.99.9:40000", "203.0.113.5:9000"),
            ("[2001:db8:77::9]:40000", "[2001:db8::5]:8443"),
            ("[2001:db8:3::9]:40000", "[2001:db8::5]:22"),
        ];
        for (from, to) in accepted {
            assert!(passes(&Packet::tcp(from, to, "syn"), &link.client, &link.server), "{variant:?} {from}");
        }
        let dropped = [
            ("192.0.2.8:40000", "203.0.113.5:8443"),
            ("192.0.67.200:40000", "203.0.113.5:9000"),
            ("192.0.99.10:40000", "203.0.113.5:9000"),
            ("[2001:db8:78::9]:40000", "[2001:db8::5]:8443"),
            ("[2001:db8:4::9]:40000", "[2001:db8::5]:22"),
            // Blocked, though anybody may reach the service.
            ("198.51.100.79:40000", "203.0.113.5:80"),
        ];
        for (from, to) in dropped {
            assert!(!passes(&Packet::tcp(from, to, "syn"), &link.client, &link.server), "{variant:?} {from}");
        }
        assert!(passes(&Packet::tcp("198.51.100.78:40000", "203.0.113.5:80", "syn"), &link.client, &link.server));
    }
}

#[test]
fn a_tree_finds_its_leaves() {
    for variant in BOTH {
        let link = Link::new("tree");
        for host in [10, 25, 39, 40] {
            link.server.add_address(&format!("203.0.113.{host}/24"), "eth0");
        }
        load(&link.server, &golden("many"), variant);
        let passes = |packet: &Packet| passes(packet, &link.client, &link.server);
        for to in ["203.0.113.10:80", "203.0.113.25:443", "203.0.113.39:80", "203.0.113.5:4000", "203.0.113.5:4087"] {
            assert!(passes(&Packet::tcp("203.0.113.7:40000", to, "syn")), "{variant:?} {to}");
        }
        for to in ["203.0.113.40:80", "203.0.113.10:81", "203.0.113.5:80", "203.0.113.5:4001", "203.0.113.5:4088"] {
            assert!(!passes(&Packet::tcp("203.0.113.7:40000", to, "syn")), "{variant:?} {to}");
        }
        for (port, open) in
            [(7000, true), (7009, true), (7010, false), (7135, false), (7149, true), (7389, true), (7390, false)]
        {
            let to = format!("203.0.113.5:{port}");
            assert_eq!(passes(&Packet::udp("203.0.113.7:40000", &to)), open, "{variant:?} {to}");
        }
    }
}

#[test]
fn fragments_are_forwarded_where_nothing_reassembles() {
    for variant in BOTH {
        let hosts = Router::new("fragments");
        load(&hosts.router, &golden("router"), variant);
        let crosses = |from: &str, to: &str| {
            let packet = Packet::udp_of_length(from, to, 400);
            passes_through(&packet.fragments(200), &hosts.client, &hosts.router, &hosts.backend)
        };
        for (from, other, backend) in
            [("10.1.0.7", "10.2.0.7", "10.0.0.8"), ("[2001:db8:1::7]", "[2001:db8:3::7]", "[2001:db8:2::8]")]
        {
            assert!(crosses(&format!("{from}:40000"), &format!("{backend}:443")), "{variant:?} {from}");
            assert!(!crosses(&format!("{from}:40000"), &format!("{backend}:444")), "{variant:?} {from}");
            assert!(!crosses(&format!("{other}:40000"), &format!("{backend}:443")), "{variant:?} {other}");
            // A later fragment alone passes from whom it may come, a first one with another port does not.
            let packet = Packet::udp_of_length(&format!("{from}:40000"), &format!("{backend}:444"), 400);
            let seen = |part: &Packet| {
                let tap = support::Tap::new(&hosts.backend);
                assert!(part.leaves(&hosts.client));
                let after = Packet::udp(&format!("{from}:40000"), &format!("{backend}:443"));
                assert!(after.leaves(&hosts.client));
                let came = tap.next(|bytes| part.ends(bytes) || after.ends(bytes));
                part.ends(&came.expect("the packet behind it arrives"))
            };
            let [first, later] = packet.fragments(200);
            assert!(!seen(&first) && seen(&later), "{variant:?} {from}");
        }
        assert_eq!(hosts.router.conntrack_count(), 0, "{variant:?}");
    }
}

#[test]
fn translations_translate() {
    let spec = r#"
policy: {forward: drop}
nat:
  - dnat: {listen: "10.1.0.1:8443", to: "10.0.0.8:443"}
  - dnat: {listen: "[2001:db8:1::1]:8443", to: "[2001:db8:2::8]:443"}
  - redirect: {listen: "10.1.0.1:8080", to: 80}
  - masquerade: {out: eth1, from: 10.1.0.0/16}
  - snat: {out: eth1, to: "2001:db8:2::77"}
"#;
    for variant in BOTH {
        let hosts = Router::new("nat");
        hosts.router.add_address("2001:db8:2::77/64", "eth1");
        load(&hosts.router, spec, variant);
        let _backend = ["10.0.0.8:443", "[2001:db8:2::8]:443"].map(|listen| Mirror::tcp(&hosts.backend, listen));
        let _router = Mirror::tcp(&hosts.router, "10.1.0.1:80");
        let seen = |to| tcp_seen_as(&hosts.client, to).map(|source| source.ip().to_string());
        assert_eq!(seen("10.1.0.1:8443").as_deref(), Ok(Router::INNER), "{variant:?}");
        assert_eq!(seen("[2001:db8:1::1]:8443").as_deref(), Ok("2001:db8:2::77"), "{variant:?}");
        assert_eq!(seen("10.1.0.1:8080").as_deref(), Ok(Router::CLIENT), "{variant:?}");
        // Only what was translated is admitted.
        assert_eq!(tcp_connect(&hosts.client, "10.1.0.1:80"), Connection::TimedOut, "{variant:?}");
        assert_eq!(tcp_connect(&hosts.client, "10.0.0.8:443"), Connection::TimedOut, "{variant:?}");
    }
}
