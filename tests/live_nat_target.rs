//! `nat_conflict: overlap` and rules of others that send flows to where a stateless entry serves: the replies would not be tracked.

mod support;

use support::{Connection, Link, Mirror, Namespace, Spec, apply, tcp_connect, try_apply};

/// One stateless service, one stateless routed service, one stateless client, one tracked service.
const SPEC: &str = "nat_conflict: overlap
policy: {forward: drop}
services:
  web: {listen: \"203.0.113.5:80\", stateless: true}
  kept: {listen: \"203.0.113.5:22\"}
clients:
  resolver: {to: \"9.9.9.9:53\", protocol: udp, stateless: true}
forward:
  backend: {to: \"10.0.0.8:443\", stateless: true, from: 192.0.2.0/24}
";

/// What `fwc apply` does where this rule stands in a chain at prerouting: the entry that the rule may touch, if it refuses.
fn touched(load: impl FnOnce(&Namespace)) -> Option<String> {
    let namespace = Namespace::new("target");
    load(&namespace);
    let ran = try_apply(&namespace, &Spec::new(SPEC), &["--format", "json"]);
    if ran.status == 0 {
        return None;
    }
    let document: serde_json::Value =
        serde_json::from_str(&ran.stderr).unwrap_or_else(|error| panic!("{error}: {ran}"));
    let [only] = document["diagnostics"].as_array().unwrap().as_slice() else { panic!("{ran}") };
    assert_eq!((ran.status, only["code"].as_str()), (1, Some("FWC302")), "{ran}");
    let (_, rest) = only["message"].as_str().unwrap().split_once("may touch the flows of `").unwrap();
    rest.split_once('`').map(|(entry, _)| entry.to_string())
}

#[test]
fn a_rule_that_leads_to_a_stateless_server_touches_it() {
    let cases = [
        ("ip daddr 198.51.100.9 tcp dport 8080 dnat to 203.0.113.5:80", Some("services.web")),
        ("ip daddr 198.51.100.9 tcp dport 8080 redirect to :80", Some("services.web")),
        ("ip daddr 198.51.100.9 tcp dport 80 redirect", Some("services.web")),
        ("ip daddr 198.51.100.9 tcp dport 8443 dnat to 10.0.0.8:443", Some("forward.backend")),
        // Which address and port a map gives is not known.
        ("ip daddr 198.51.100.9 dnat ip to tcp dport map { 8080 : 203.0.113.5 . 80 }", Some("services.web")),
        ("ip daddr 198.51.100.9 dnat to udp dport map { 8080 : 203.0.113.5 }", None),
        // Elsewhere, another protocol, another family, or another port.
        ("ip daddr 198.51.100.9 tcp dport 8080 dnat to 203.0.113.6:80", None),
        ("ip daddr 198.51.100.9 tcp dport 2222 redirect to :22", None),
        ("ip daddr 198.51.100.9 udp dport 8080 redirect to :80", None),
        ("ip6 daddr 2001:db8::9 tcp dport 8080 redirect to :80", None),
        ("ip daddr 198.51.100.9 tcp dport 443 redirect", None),
    ];
    for (rule, entry) in cases {
        let text = format!("table inet others {{ chain pre {{ type nat hook prerouting priority -100; {rule}; }}; }}");
        let found = touched(|namespace| namespace.write_nft(&text));
        assert_eq!(found.as_deref(), entry, "{rule}");
    }
}

#[test]
fn both_kinds_of_iptables_tell_it_too() {
    for tool in ["iptables-nft", "iptables-legacy"] {
        for (rule, entry) in [
            (
                "-d 198.51.100.9 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 203.0.113.5:80",
                Some("services.web"),
            ),
            ("-d 198.51.100.9 -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 80", Some("services.web")),
            ("-d 198.51.100.9 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 203.0.113.6:80", None),
            ("-d 198.51.100.9 -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 22", None),
            ("-d 198.51.100.9 -p tcp -j NETMAP --to 10.9.8.7", Some("services.web")),
        ] {
            let words = format!("{tool} -t nat -A PREROUTING {rule}");
            let found = touched(|namespace| {
                namespace.ok(words.split_whitespace());
            });
            assert_eq!(found.as_deref(), entry, "{words}");
        }
        // Behind the routing decision, the destination stays.
        let words =
            format!("{tool} -t nat -A POSTROUTING -d 198.51.100.9 -s 198.51.100.8 -p tcp -j NETMAP --to 10.9.8.7");
        let found = touched(|namespace| {
            namespace.ok(words.split_whitespace());
        });
        assert_eq!(found, None, "{words}");
    }
}

/// A destination NAT in output leads the host to itself over lo. There the host reaches its stateless service untracked all the same.
#[test]
fn what_the_host_sends_to_itself_is_still_translated() {
    let link = Link::new("own");
    let server = &link.server;
    let (_web, _other) = (Mirror::tcp(server, "203.0.113.5:80"), Mirror::tcp(server, "203.0.113.5:8888"));
    server.write_nft(
        "table ip others { chain out { type nat hook output priority -100; ip daddr 203.0.113.7 tcp dport 8080 dnat to 203.0.113.5:8888; }; }",
    );
    let translated = || tcp_connect(server, "203.0.113.7:8080");
    assert_eq!(translated(), Connection::Connected);
    apply(
        server,
        "nat_conflict: overlap\nservices:\n  web: {listen: \"203.0.113.5:80\", stateless: true}\n  ssh: {listen: \"*:22\"}\n",
    );
    assert_eq!(translated(), Connection::Connected);
    assert_eq!(tcp_connect(server, "203.0.113.5:80"), Connection::Connected);
    assert_eq!(server.conntrack_entries(&["-p", "tcp", "--orig-port-dst", "80"]), Vec::<String>::new());
}
