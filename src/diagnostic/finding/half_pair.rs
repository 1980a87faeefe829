//! FWC701: one leg of a flow is untracked and the other is not.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC701",
    severity: Severity::Warning,
    title: "half a NOTRACK pair",
    explanation: "\
A flow has two legs: what comes in passes PREROUTING, what goes out passes OUTPUT. Where only one of them is untracked, conntrack sees half a
conversation. With the rule in PREROUTING alone, 50 connections left 50 entries behind; with a drop of invalid packets in OUTPUT none of 50
succeeded.

```text
-A PREROUTING -p tcp --dport 80 -j CT --notrack    # FWC701: what answers is tracked
-A OUTPUT -p tcp --sport 80 -j CT --notrack        # the other half
```
",
};

/// The packets that `rule` untracks are answered by tracked ones. `hook` is where the other half belongs, `missing` the rule itself.
pub fn report(rule: Place, packet: &str, hook: &str, missing: Option<&str>) -> Diagnostic {
    let help = match missing {
        Some(missing) => format!("add to {hook}: {missing}"),
        None => format!("untrack the same flows in {hook}, with source and destination exchanged"),
    };
    Diagnostic::new(&FINDING, format!("this untracks {packet}, but what answers it is tracked in {hook}"), help)
        .at(rule, "one half of the pair")
}
