//! FWC211: a NAT rule that cannot be carried out.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC211",
    severity: Severity::Error,
    title: "a translation that cannot be",
    explanation: "\
A `dnat` goes to one address and at most one port, and `snat` to one address. A port can only be given where the protocol has ports. An address
is translated into one of the same family.

```yaml
nat:
  - dnat: {listen: \"203.0.113.5:8443\", to: \"10.0.0.8:443\"}
  - snat: {out: eth0, from: 10.2.0.0/16, to: 203.0.113.9}
```
",
};

/// A translation that cannot be carried out.
pub fn report(place: Place, message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
    Diagnostic::new(&FINDING, message, help).at(place, "cannot be carried out")
}
