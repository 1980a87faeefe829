//! `nat` sections in the kernel: what is translated, and what the rules let through.
//!
//! Each test runs with what `fwc apply` loads and with the iptables files in both kinds of programs.

mod support;

use support::{
    Connection, Mirror, Namespace, Packet, Router, Variant, apply, iptables_apply, passes_through, tcp_seen_as,
    udp_seen_as,
};

/// The forms in which rules come to the kernel.
const FORMS: [Form; 3] = [Form::Netlink, Form::Files(Variant::Nft), Form::Files(Variant::Legacy)];

#[derive(Clone, Copy, Debug)]
enum Form {
    Netlink,
    Files(Variant),
}

impl Form {
    fn load(self, namespace: &Namespace, yaml: &str) {
        match self {
            Form::Netlink => drop(apply(namespace, yaml)),
            Form::Files(variant) => drop(iptables_apply(namespace, yaml, variant)),
        }
    }

    /// The three hosts, with these rules on the router. `word` is for their names.
    fn hosts(self, word: &str, yaml: &str) -> Router {
        let name = match self {
            Form::Netlink => "net",
            Form::Files(Variant::Nft) => "nft",
            Form::Files(Variant::Legacy) => "old",
        };
        let hosts = Router::new(&format!("{word}-{name}"));
        self.load(&hosts.router, yaml);
        hosts
    }
}

/// Does `work` with each form. They wait for packets most of the time, so they wait together.
fn in_each_form(work: impl Fn(Form) + Sync) {
    std::thread::scope(|scope| {
        for form in FORMS {
            let work = &work;
            scope.spawn(move || work(form));
        }
    });
}

/// The source address that a mirror at `to` sees of a TCP connection.
fn seen(from: &Namespace, to: &str) -> Result<String, Connection> {
    tcp_seen_as(from, to).map(|source| source.ip().to_string())
}

/// The same of a datagram.
fn seen_udp(from: &Namespace, to: &str) -> Option<String> {
    udp_seen_as(from, to).map(|source| source.ip().to_string())
}

/// No TCP connection from `source` in a namespace to `to`, which is on `on`, gets by the router, nor a datagram.
#[track_caller]
fn is_closed(hosts: &Router, from: (&Namespace, &str), to: &str, on: &Namespace) {
    let address = if from.1.contains(':') { format!("[{}]:40000", from.1) } else { format!("{}:40000", from.1) };
    for packet in [Packet::tcp(&address, to, "syn"), Packet::udp(&address, to)] {
        let crosses = passes_through(std::slice::from_ref(&packet), from.0, &hosts.router, on);
        assert!(!crosses, "{packet:?} gets through");
    }
}

fn ok(text: &str) -> Result<String, Connection> {
    Ok(text.to_owned())
}

/// Lets the client reach the backend's web server and name server.
const OPEN: &str = "
policy: {forward: drop}
forward:
  web: {to: [\"10.0.0.8:443\", \"[2001:db8:2::8]:443\"]}
  dns: {to: [\"10.0.0.8:53\", \"[2001:db8:2::8]:53\"], protocol: udp}
";

/// Servers on the backend, which tell what they see.
fn backend(hosts: &Router) -> [Mirror; 6] {
    let on = &hosts.backend;
    [
        Mirror::tcp(on, "10.0.0.8:443"),
        Mirror::tcp(on, "[2001:db8:2::8]:443"),
        Mirror::udp(on, "10.0.0.8:53"),
        Mirror::udp(on, "[2001:db8:2::8]:53"),
        Mirror::tcp(on, "10.0.0.8:444"),
        Mirror::tcp(on, "[2001:db8:2::8]:444"),
    ]
}

const V4: &str = "10.0.0.8:443";
const V6: &str = "[2001:db8:2::8]:443";
const DNS_V4: &str = "10.0.0.8:53";
const DNS_V6: &str = "[2001:db8:2::8]:53";

#[test]
fn masquerade_takes_the_address_of_the_interface() {
    in_each_form(|form| {
        let nat = "nat:\n  - masquerade: {out: eth1, from: [10.1.0.0/24, \"2001:db8:1::/64\"]}\n";
        let hosts = form.hosts("masq", &format!("{OPEN}{nat}"));
        let _backend = backend(&hosts);
        assert_eq!(seen(&hosts.client, V4), ok(Router::INNER), "{form:?}");
        assert_eq!(seen(&hosts.client, V6), ok(Router::INNER_V6), "{form:?}");
        assert_eq!(seen_udp(&hosts.client, DNS_V4).as_deref(), Some(Router::INNER), "{form:?}");
        assert_eq!(seen_udp(&hosts.client, DNS_V6).as_deref(), Some(Router::INNER_V6), "{form:?}");
        // `from` is 10.1.0.0/24: a client outside of it keeps its address.
        hosts.client.ip(&["addr", "del", "10.1.0.7/16", "dev", "eth0"]);
        hosts.client.add_address("10.1.1.7/16", "eth0");
        hosts.client.ip(&["route", "add", "default", "via", Router::OUTER]);
        assert_eq!(seen(&hosts.client, V4), ok("10.1.1.7"), "{form:?}");
    });
}

#[test]
fn masquerade_minds_the_interface() {
    in_each_form(|form| {
        let hosts = form.hosts("iface", &format!("{OPEN}nat:\n  - masquerade: {{out: eth0}}\n"));
        let _backend = backend(&hosts);
        assert_eq!(seen(&hosts.client, V4), ok(Router::CLIENT), "{form:?}");
        assert_eq!(seen(&hosts.client, V6), ok(Router::CLIENT_V6), "{form:?}");
    });
}

#[test]
fn snat_takes_the_address_that_is_written() {
    in_each_form(|form| {
        let nat = "nat:\n  - snat: {out: eth1, from: 10.1.0.0/16, to: 10.0.0.99}\n  \
                   - snat: {out: eth1, to: \"2001:db8:2::99\"}\n";
        let hosts = form.hosts("snat", &format!("{OPEN}{nat}"));
        hosts.router.add_address("10.0.0.99/16", "eth1");
        hosts.router.add_address("2001:db8:2::99/64", "eth1");
        let _backend = backend(&hosts);
        assert_eq!(seen(&hosts.client, V4), ok("10.0.0.99"), "{form:?}");
        assert_eq!(seen(&hosts.client, V6), ok("2001:db8:2::99"), "{form:?}");
        assert_eq!(seen_udp(&hosts.client, DNS_V4).as_deref(), Some("10.0.0.99"), "{form:?}");
        assert_eq!(seen_udp(&hosts.client, DNS_V6).as_deref(), Some("2001:db8:2::99"), "{form:?}");
    });
}

#[test]
fn a_new_source_admits_nothing() {
    in_each_form(|form| {
        let nat = "policy: {forward: drop}\nnat:\n  - masquerade: {out: eth1}\n  - snat: {out: eth1, to: 10.0.0.1}\n";
        let hosts = form.hosts("admit", nat);
        let _backend = backend(&hosts);
        let client = (&hosts.client, Router::CLIENT);
        is_closed(&hosts, client, V4, &hosts.backend);
        is_closed(&hosts, (&hosts.client, Router::CLIENT_V6), V6, &hosts.backend);
        is_closed(&hosts, client, "10.1.0.1:443", &hosts.router);
        // Nor from the backend, which the new source is for.
        is_closed(&hosts, (&hosts.backend, Router::BACKEND), "10.1.0.7:443", &hosts.client);
        is_closed(&hosts, (&hosts.backend, Router::BACKEND), "10.0.0.1:443", &hosts.router);
    });
}

#[test]
fn dnat_admits_what_it_translates_and_nothing_else() {
    in_each_form(|form| {
        let nat = "policy: {forward: drop}\nnat:\n  \
                   - dnat: {listen: [\"10.1.0.1:8443\"], to: \"10.0.0.8:443\"}\n  \
                   - dnat: {listen: [\"[2001:db8:1::1]:8443\"], to: \"[2001:db8:2::8]:443\"}\n  \
                   - dnat: {listen: \"10.1.0.1:5353\", protocol: udp, to: \"10.0.0.8:53\"}\n  \
                   - dnat: {listen: \"10.1.0.1:444\", to: 10.0.0.8}\n";
        let hosts = form.hosts("dnat", nat);
        let _backend = backend(&hosts);
        let from = &hosts.client;
        assert_eq!(seen(from, "10.1.0.1:8443"), ok(Router::CLIENT), "{form:?}");
        assert_eq!(seen(from, "[2001:db8:1::1]:8443"), ok(Router::CLIENT_V6), "{form:?}");
        assert_eq!(seen_udp(from, "10.1.0.1:5353").as_deref(), Some(Router::CLIENT), "{form:?}");
        // Without a port in `to` the port stays as it is.
        assert_eq!(seen(from, "10.1.0.1:444"), ok(Router::CLIENT), "{form:?}");
        // The same servers, asked directly; ports without a rule.
        let client = (from, Router::CLIENT);
        for closed in [V4, DNS_V4, "10.0.0.8:444"] {
            is_closed(&hosts, client, closed, &hosts.backend);
        }
        is_closed(&hosts, client, "10.1.0.1:443", &hosts.router);
        is_closed(&hosts, (from, Router::CLIENT_V6), V6, &hosts.backend);
        is_closed(&hosts, (from, Router::CLIENT_V6), "[2001:db8:1::1]:444", &hosts.router);
        // The other protocol of a translated port.
        let udp = Packet::udp("10.1.0.7:40000", "10.1.0.1:8443");
        assert!(!passes_through(&[udp], from, &hosts.router, &hosts.router), "{form:?}");
    });
}

#[test]
fn redirect_admits_what_it_translates_and_nothing_else() {
    in_each_form(|form| {
        let nat = "nat:\n  - redirect: {listen: [\"10.1.0.1:8080\", \"[2001:db8:1::1]:8080\"], to: 80}\n  \
                   - redirect: {listen: \"*:53\", protocol: udp, to: 5353}\n";
        let hosts = form.hosts("redir", nat);
        let on = &hosts.router;
        let _v4 = Mirror::tcp(on, "10.1.0.1:80");
        let _v6 = Mirror::tcp(on, "[2001:db8:1::1]:80");
        let _udp = Mirror::udp(on, "10.1.0.1:5353");
        let _udp6 = Mirror::udp(on, "[2001:db8:1::1]:5353");
        let from = &hosts.client;
        assert_eq!(seen(from, "10.1.0.1:8080"), ok(Router::CLIENT), "{form:?}");
        assert_eq!(seen(from, "[2001:db8:1::1]:8080"), ok(Router::CLIENT_V6), "{form:?}");
        assert_eq!(seen_udp(from, "10.1.0.1:53").as_deref(), Some(Router::CLIENT), "{form:?}");
        assert_eq!(seen_udp(from, "[2001:db8:1::1]:53").as_deref(), Some(Router::CLIENT_V6), "{form:?}");
        for closed in ["10.1.0.1:80", "10.1.0.1:8081", "10.1.0.1:5353"] {
            is_closed(&hosts, (from, Router::CLIENT), closed, &hosts.router);
        }
        is_closed(&hosts, (from, Router::CLIENT_V6), "[2001:db8:1::1]:80", &hosts.router);
        // `*` is this host's addresses: a name server behind it is asked itself.
        let _backend = backend(&hosts);
        assert_eq!(seen_udp(from, DNS_V4).as_deref(), Some(Router::CLIENT), "{form:?}");
    });
}

#[test]
fn the_example_of_a_nat_host_works() {
    const INTERNET: &str = "198.51.100.7";
    let yaml = std::fs::read_to_string("examples/nat.yaml").expect("the example");
    in_each_form(|form| {
        // The client side is the internet: eth0, as in the example.
        let hosts = form.hosts("example", &yaml);
        let (internet, router, backend) = (&hosts.client, &hosts.router, &hosts.backend);
        router.add_address("203.0.113.5/32", "eth0");
        internet.add_address("198.51.100.7/32", "eth0");
        router.ip(&["route", "add", INTERNET, "via", Router::CLIENT]);
        internet.ip(&["route", "add", "203.0.113.5", "via", Router::OUTER, "src", INTERNET]);
        let _inside =
            [Mirror::tcp(backend, V4), Mirror::tcp(backend, "10.0.0.8:80"), Mirror::tcp(backend, "10.0.0.8:22")];
        // A redirected connection comes to the interface's first address.
        let _router = Mirror::tcp(router, "0.0.0.0:22");
        let _outside = [443, 80].map(|port| Mirror::tcp(internet, &format!("{INTERNET}:{port}")));

        // Out: the web, with another source; nothing else.
        for port in [80, 443] {
            assert_eq!(seen(backend, &format!("{INTERNET}:{port}")), ok(Router::OUTER), "{form:?} {port}");
        }
        is_closed(&hosts, (backend, Router::BACKEND), "198.51.100.7:25", internet);
        // In: the translated port, and ssh by both its ports.
        assert_eq!(seen(internet, "203.0.113.5:8443"), ok(INTERNET), "{form:?}");
        assert_eq!(seen(internet, "203.0.113.5:2222"), ok(INTERNET), "{form:?}");
        assert_eq!(seen(internet, "203.0.113.5:22"), ok(INTERNET), "{form:?}");
        is_closed(&hosts, (internet, INTERNET), "203.0.113.5:443", router);
        is_closed(&hosts, (internet, INTERNET), "10.0.0.8:22", backend);
        assert!(router.conntrack_count() > 0, "{form:?}");
    });
}
