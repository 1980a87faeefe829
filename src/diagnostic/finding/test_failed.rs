//! FWC601: a test of the spec says something else than its rules.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC601",
    severity: Severity::Error,
    title: "a test fails",
    explanation: "\
`fwc test` led the test's packet through the spec's rules, and something else became of it than the test says. Either the spec or the test is wrong.

```yaml
services:
  ssh: {listen: \"*:22\", from: 192.0.2.0/28}
tests:
  - {packet: \"tcp 198.51.100.7:40000 > 203.0.113.5:22 syn\", expect: accept}     # FWC601: not from this source
```

The message says what happens and why; where a token of the spec decided, it is shown. With `reply: true` the same is asserted of the answer, and the
message says when it is about the answer. `fwc trace SPEC PACKET` shows the whole way.

`state` is `new` unless the test says otherwise. Only new packets are translated by `nat`: write a packet of a known connection, and what it
becomes on its way, as the filter chains see it, with the addresses behind a dnat and before a masquerade.
",
};

/// What happens against the token at `asserted` (`expects accept`), which `by` decided.
pub fn report(
    message: impl Into<String>,
    help: impl Into<String>,
    asserted: (Place, String),
    by: Option<(Place, &'static str)>,
) -> Diagnostic {
    let diagnostic = Diagnostic::new(&FINDING, message, help).at(asserted.0, asserted.1);
    match by {
        Some((place, text)) => diagnostic.at(place, text),
        None => diagnostic,
    }
}
