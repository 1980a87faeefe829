//! FWC203: addresses or protocols of a family that can never match.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::net::Family;
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC203",
    severity: Severity::Error,
    title: "a family that cannot match",
    explanation: "\
A packet is IPv4 or IPv6, never both. An endpoint of one family together with sources of the other only makes a rule that no packet can
match: the service would be unreachable, and nothing would say so.

```yaml
services:
  web: {listen: \"203.0.113.5:80\", from: \"2001:db8::/32\"}   # FWC203
```

Give both families on both sides, or split the entry in two. Sets may mix the families; what fits is used. AH and
IGMP and the other IPv6 extension headers cannot be matched as a protocol in IPv6, so they go with IPv4 addresses only.
",
};

/// What stands at `place` is of `family`, and its counterpart at `other` has no address of it.
pub fn report(what: &str, family: Family, place: Place, counterpart: &str, other: Place) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("{what} is {family}, but {counterpart} has no {family} address, so nothing can match"),
        format!("add {family} addresses to {counterpart}, or take this one out"),
    )
    .at(place, format!("{family} only"))
    .at(other, format!("no {family} address here"))
}

/// `protocol` cannot be matched in `family`.
pub fn protocol(protocol: &str, family: Family, endpoint: Place, token: Option<Place>) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        &FINDING,
        format!("the protocol {protocol} cannot be matched in {family}"),
        format!("use {protocol} with addresses of the other family"),
    )
    .at(endpoint, format!("{family}"));
    match token {
        Some(place) => diagnostic.at(place, "this protocol"),
        None => diagnostic,
    }
}
