//! FWC205: a service among the local ports of a client with other tracking.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC205",
    severity: Severity::Error,
    title: "a service among the local ports of a client with other tracking",
    explanation: "\
The replies to a stateless client are known by their shape alone: from the server's endpoint, to one of `local_ports` on this host. They are
not tracked. A tracked service on one of these ports would lose the requests that come from such a server.

```yaml
services:
  vpn: {listen: \"*:51820\", protocol: udp}                            # tracked
clients:
  resolver: {to: \"9.9.9.9:53\", protocol: udp, stateless: true}       # local_ports 32768-60999: FWC205
```

Make the service stateless too, move it out of the range, or narrow `local_ports` (and `net.ipv4.ip_local_port_range` with it).

The other way round, a tracked client that has only ports on which a stateless service listens (NTP uses 123 on both sides) would not be
tracked, and its replies would be held against the service's `from`. Make the client stateless too, or give it other ports. Of a
wider range the host never picks a port that a server holds.

A protocol without ports has nothing to tell the two apart: give both entries the same `stateless`.
",
};

/// The tracked service's endpoint lies in the stateless client's local ports.
pub fn report(service: &str, endpoint: Place, client: &str, local_ports: Place, common: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("`{service}` is tracked, and its {common} is among the local ports of the stateless `{client}`"),
        "make the service stateless, move it to another port, or narrow the client's `local_ports`",
    )
    .at(endpoint, "tracked")
    .at(local_ports, "replies to these ports are not tracked")
}

/// The stateless service's endpoint lies in the `local_ports` that a tracked client is given.
pub fn stateless_service(service: &str, endpoint: Place, client: &str, local_ports: Place, common: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("`{service}` is stateless, and its {common} is all that the tracked `{client}` has for `local_ports`"),
        "make the client stateless too, or give it other `local_ports`",
    )
    .at(endpoint, "what comes to these ports is not tracked")
    .at(local_ports, "the client's replies come to these")
}

/// A service and a client of the same protocol without ports disagree about tracking.
pub fn without_ports(service: &str, endpoint: Place, client: &str, server: Place, protocol: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("`{service}` and `{client}` disagree about tracking, and {protocol} has no ports to tell them apart"),
        "give both the same `stateless`",
    )
    .at(endpoint, "this service")
    .at(server, "this client's server")
}
