//! Namespaces joined by cables: the hosts of the tests.

use super::namespace::Namespace;

/// A server and a client on one cable, `eth0` on both sides; each is the other's default route.
pub struct Link {
    pub server: Namespace,
    pub client: Namespace,
}

impl Link {
    pub const SERVER: &str = "203.0.113.5";
    pub const CLIENT: &str = "203.0.113.7";
    pub const SERVER_V6: &str = "2001:db8::5";
    pub const CLIENT_V6: &str = "2001:db8::7";

    /// Makes both hosts; `purpose` is a word for their names.
    pub fn new(purpose: &str) -> Link {
        let server = Namespace::new(&format!("{purpose}-server"));
        let client = Namespace::new(&format!("{purpose}-client"));
        cable(&server, "eth0", &client, "eth0");
        for (host, v4, v6, gateway_v4, gateway_v6) in [
            (&server, Link::SERVER, Link::SERVER_V6, Link::CLIENT, Link::CLIENT_V6),
            (&client, Link::CLIENT, Link::CLIENT_V6, Link::SERVER, Link::SERVER_V6),
        ] {
            host.add_address(&format!("{v4}/24"), "eth0");
            host.add_address(&format!("{v6}/64"), "eth0");
            host.ip(&["route", "add", "default", "via", gateway_v4]);
            host.ip(&["-6", "route", "add", "default", "via", gateway_v6]);
        }
        Link { server, client }
    }
}

/// A client, a router and a backend behind it. The router forwards; `eth0` is its client side, `eth1` its backend side.
pub struct Router {
    pub client: Namespace,
    pub router: Namespace,
    pub backend: Namespace,
}

impl Router {
    pub const CLIENT: &str = "10.1.0.7";
    pub const BACKEND: &str = "10.0.0.8";
    /// The router's own addresses, towards the client and towards the backend.
    pub const OUTER: &str = "10.1.0.1";
    pub const INNER: &str = "10.0.0.1";
    pub const CLIENT_V6: &str = "2001:db8:1::7";
    pub const BACKEND_V6: &str = "2001:db8:2::8";
    pub const OUTER_V6: &str = "2001:db8:1::1";
    pub const INNER_V6: &str = "2001:db8:2::1";

    /// Makes the three hosts; `purpose` is a word for their names.
    pub fn new(purpose: &str) -> Router {
        let client = Namespace::new(&format!("{purpose}-client"));
        let router = Namespace::new(&format!("{purpose}-router"));
        let backend = Namespace::new(&format!("{purpose}-backend"));
        cable(&router, "eth0", &client, "eth0");
        cable(&router, "eth1", &backend, "eth0");
        router.set_sysctl("net/ipv4/ip_forward", "1");
        router.set_sysctl("net/ipv6/conf/all/forwarding", "1");
        for (interface, v4, v6) in
            [("eth0", Router::OUTER, Router::OUTER_V6), ("eth1", Router::INNER, Router::INNER_V6)]
        {
            router.add_address(&format!("{v4}/16"), interface);
            router.add_address(&format!("{v6}/64"), interface);
        }
        for (host, v4, v6, gateway_v4, gateway_v6) in [
            (&client, Router::CLIENT, Router::CLIENT_V6, Router::OUTER, Router::OUTER_V6),
            (&backend, Router::BACKEND, Router::BACKEND_V6, Router::INNER, Router::INNER_V6),
        ] {
            host.add_address(&format!("{v4}/16"), "eth0");
            host.add_address(&format!("{v6}/64"), "eth0");
            host.ip(&["route", "add", "default", "via", gateway_v4]);
            host.ip(&["-6", "route", "add", "default", "via", gateway_v6]);
        }
        Router { client, router, backend }
    }
}

/// Lays a cable (a veth pair) between two namespaces and brings both ends up.
pub fn cable(one: &Namespace, one_end: &str, other: &Namespace, other_end: &str) {
    one.ip(&["link", "add", one_end, "type", "veth", "peer", "name", other_end, "netns", other.name()]);
    one.ip(&["link", "set", one_end, "up"]);
    other.ip(&["link", "set", other_end, "up"]);
}
