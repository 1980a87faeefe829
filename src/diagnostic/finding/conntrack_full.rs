//! FWC420: the conntrack table is full.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC420",
    severity: Severity::Error,
    title: "the conntrack table is full",
    explanation: "\
Each connection has an entry in the kernel's connection tracking table, and keeps it after it has ended: two minutes for TCP. A network namespace
may have `nf_conntrack_max` entries. Then the kernel throws out entries of connections that are not yet answered (`early_drop`), and where it
finds none, it drops the packet (`drop`) and writes `nf_conntrack: table full, dropping packet` into its log, now and then. Every new connection
is hit: of the service that fills the table, and of ssh.

`fwc doctor` counts who fills it and proposes a spec that takes the largest out of the table:

```console
$ fwc doctor --spec > cure.yaml
$ fwc apply cure.yaml
```

What has to stay tracked needs a larger table or shorter timeouts; `fwc doctor` has figures for both.
",
};

/// `rate` packets a second are lost; `drops`: dropped, otherwise entries are thrown out for them.
pub fn report(count: u64, max: u64, rate: Option<f64>, drops: bool, help: &str) -> Diagnostic {
    let now = match (rate, drops) {
        (Some(rate), true) => format!(", and {rate:.0} packets a second are dropped"),
        (Some(rate), false) => format!(", and {rate:.0} entries a second are thrown out before their time"),
        (None, _) => String::new(),
    };
    Diagnostic::new(&FINDING, format!("the conntrack table is full: {count} of {max} entries{now}"), help)
}
