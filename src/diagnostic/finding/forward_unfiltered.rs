//! FWC209 (warning): `from` of a forward entry without a forward policy.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC209",
    severity: Severity::Warning,
    title: "`from` without a forward policy",
    explanation: "\
Without `policy.forward`, fwc does not touch the forward hook: whatever the host routes is routed as before. A `forward` entry then only
decides about tracking, and its `from` keeps nobody out.

```yaml
policy: {forward: drop}     # now `from` counts
forward:
  backend: {to: \"10.0.0.8:443\", from: 10.1.0.0/16, stateless: true}
```
",
};

/// `from` at `place` has no effect.
pub fn report(entry: &str, place: Place) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("`from` of `{entry}` keeps nobody out: without `policy.forward` the forward hook is not touched"),
        "write `policy: {forward: drop}`, or take `from` out",
    )
    .at(place, "has no effect")
}
