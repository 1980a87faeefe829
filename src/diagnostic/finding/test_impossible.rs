//! FWC602: a test of the spec is about a packet that cannot be.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC602",
    severity: Severity::Error,
    title: "a test is about nothing",
    explanation: "\
No packet can be what the test says, so it would pass or fail for no reason. `reply: true` needs a packet that is answered: an ICMP error, an echo reply
or a TCP reset is not. A packet that is routed through this host never comes in over `lo`.

```yaml
tests:
  - {packet: \"icmp 198.51.100.7 > 203.0.113.5 time-exceeded\", expect: accept, reply: true}     # FWC602
```

Leave `reply` out, or write the packet that is answered.
",
};

/// `reply: true` of a packet that nothing answers.
pub fn unanswered(packet: &str, place: Place) -> Diagnostic {
    let help = "leave `reply` out, or write the packet that is answered";
    Diagnostic::new(&FINDING, format!("nothing answers `{packet}`, so there is no reply to assert"), help).at(place, "")
}

/// A routed packet on `lo`.
pub fn forwarded_loopback(place: Place) -> Diagnostic {
    let help = "write `direction: in` for what the host sends to itself, or the interface that the packet comes in by";
    Diagnostic::new(&FINDING, "a packet that is routed through this host never comes in over `lo`", help).at(place, "")
}
