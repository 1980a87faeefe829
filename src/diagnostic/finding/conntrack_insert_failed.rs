//! FWC424 (warning): entries cannot be put into the conntrack table.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC424",
    severity: Severity::Warning,
    title: "entries fail to get into the conntrack table",
    explanation: "\
The kernel counts `insert_failed` where a packet needs an entry and another packet was quicker to put in the same one. The packet is dropped. It happens
without the table being full, mostly to DNS: a resolver sends the questions for A and AAAA at once from one socket, one is lost, and the
program waits five seconds. More room does not help.

A flow that is not tracked needs no entry: make the resolver's flows stateless.

```yaml
clients:
  resolver: {to: \"9.9.9.9:53\", protocol: udp, stateless: true}
```
",
};

/// So many a second.
pub fn report(rate: f64) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("{rate:.1} entries a second fail to get into the conntrack table, and their packets are dropped"),
        "mostly two packets of one flow race each other (DNS): make that flow stateless, a larger table does not help",
    )
}
