//! FWC604: a test's packet could not be sent through the kernel.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC604",
    severity: Severity::Error,
    title: "a test's packet cannot be sent for real",
    explanation: "\
`fwc test --kernel` could not show what the kernel does with a test's packet. Nothing is known to be wrong with the spec, but what was asked for was not
shown, so fwc ends with 1. The message says why: mostly conntrack never calls such a packet what the test's `state` says (a TCP packet with SYN and
ACK is never new, a GRE packet is hardly ever invalid), or no packet on this way can have the address.

```yaml
tests:
  - {packet: \"tcp 198.51.100.7:40000 > 203.0.113.5:22 syn,ack\", state: new, expect: drop}     # FWC604: conntrack calls it invalid
```

Write the packet or the `state` as it would be, or leave `--kernel` out for this spec.
",
};

/// Why.
pub fn report(packet: &str, why: &str, place: Place) -> Diagnostic {
    let message = format!("`{packet}` could not be sent through the kernel: {why}");
    Diagnostic::new(&FINDING, message, "write the packet and its `state` as they can be, or leave `--kernel` out")
        .at(place, "not sent")
}
