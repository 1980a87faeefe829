//! FWC208: `conntrack: disabled`, and something needs it.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC208",
    severity: Severity::Error,
    title: "conntrack is disabled, and something needs it",
    explanation: "\
`conntrack: disabled` is a promise: fwc emits nothing that makes the kernel track. Then nothing may need tracking: every entry is
`stateless: true`, there is no `nat`, and `policy.output` is `drop` (with `accept`, the replies to the host's own connections can only be
known by tracking them).

```yaml
policy: {output: drop}
conntrack: disabled
services:
  web: {listen: \"203.0.113.5:80\", stateless: true}
```

Make the entry stateless, list what the host uses under `clients`, or take `conntrack: disabled` out.
",
};

/// Something at `culprit` needs tracking.
pub fn report(disabled: Place, what: &str, culprit: Place, help: &str) -> Diagnostic {
    Diagnostic::new(&FINDING, format!("{what} needs conntrack, which is disabled"), help)
        .at(culprit, "needs tracking")
        .at(disabled, "disabled here")
}

/// The default of `policy.output` needs tracking.
pub fn default_output(disabled: Place) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        "`policy.output` is accept by default: replies to the host's own connections need conntrack, which is disabled",
        "write `policy: {output: drop}` and list what the host uses under `clients`",
    )
    .at(disabled, "disabled here")
}
