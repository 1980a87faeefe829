//! FWC212 (warning): what comes in is accepted, and the answers are dropped.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC212",
    severity: Severity::Warning,
    title: "requests are accepted and their answers dropped",
    explanation: "\
With `input: accept` every connection may come in. With `output: drop`, and nothing tracked that could tell an answer from a new packet, the
answers leave only where a service is listed. All others are accepted and never answered.

```yaml
policy: {input: accept, output: drop}     # FWC212
services:
  web: {listen: \"203.0.113.5:80\", stateless: true}
```

List the services and write `input: drop`, or write `output: accept`.
",
};

/// `input: accept` at `input`, `output: drop` at `output`.
pub fn report(input: Place, output: Place) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        "`input: accept` lets connections in that `output: drop` never answers: nothing is tracked",
        "write `input: drop` and list the services, or `output: accept`",
    )
    .at(input, "accepts them")
    .at(output, "drops the answers of what is not listed")
}
