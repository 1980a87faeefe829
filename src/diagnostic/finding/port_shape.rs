//! FWC206: a port where the protocol has none, or none where it has.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC206",
    severity: Severity::Error,
    title: "port and protocol do not fit",
    explanation: "\
tcp (the default), udp, sctp, dccp and udplite have ports, so their endpoints are `ADDR:PORTS`. esp, ah, gre, ipip, vrrp, ospf, igmp and
protocols given by number have none: their endpoints are an address alone.

```yaml
services:
  web:    {listen: \"203.0.113.5\"}                       # FWC206: tcp wants a port
  tunnel: {listen: \"203.0.113.5:47\", protocol: gre}     # FWC206: gre has no ports
```

An entry whose protocols are of both kinds has to be written as two.
",
};

/// The endpoint has no port, and the protocol wants one. `token` is where the protocol is written.
pub fn missing(endpoint: Place, text: &str, protocol: &str, token: Option<Place>) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        &FINDING,
        format!("{protocol} needs a port, and `{text}` has none"),
        format!("write `{text}:80` with the service's port, or give a `protocol` without ports"),
    )
    .at(endpoint, "no port");
    match token {
        Some(place) => diagnostic.at(place, "has ports"),
        None => diagnostic,
    }
}

/// The endpoint has a port, and the protocol has none.
pub fn superfluous(endpoint: Place, protocol: &str, token: Option<Place>) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        &FINDING,
        format!("{protocol} has no ports"),
        "write the address alone, or split the entry in two",
    )
    .at(endpoint, "has a port");
    match token {
        Some(place) => diagnostic.at(place, "has no ports"),
        None => diagnostic,
    }
}

/// `local_ports` on a client all of whose protocols are without ports.
pub fn local_ports(place: Place, protocol: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("{protocol} has no ports, so `local_ports` says nothing"),
        "take `local_ports` out",
    )
    .at(place, "no such ports")
}
