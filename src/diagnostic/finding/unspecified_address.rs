//! FWC207: 0.0.0.0 or :: as an address.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC207",
    severity: Severity::Error,
    title: "an address that no packet carries",
    explanation: "\
A server that binds to `0.0.0.0` or `::` listens on every address, but packets carry one of these, never `0.0.0.0` itself. A rule for it
would match nothing.

```yaml
services:
  web: {listen: \"0.0.0.0:80\"}   # FWC207: write \"*:80\"
```
",
};

/// The endpoint's address is unspecified. `rest` is what follows the address, as in `:80`.
pub fn report(place: Place, address: &str, rest: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("no packet has the address {address}"),
        format!("write `\"*{rest}\"` for every address"),
    )
    .at(place, "matches nothing")
}
