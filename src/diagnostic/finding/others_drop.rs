//! FWC402: a chain of somebody else drops what a stateless entry accepts.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC402",
    severity: Severity::Error,
    title: "another table drops what the spec accepts",
    explanation: "\
An accept in one table never takes back the drop of another: a packet must pass every base chain of its hooks, whoever made them. Before it loads
anything, `fwc apply` reads the chains of all other tables (nf_tables in the families ip, ip6 and inet, iptables-nft among them, and legacy iptables) and leads the packets
of the stateless entries through each.

A packet that is not tracked is neither new nor established. A ruleset of guides drops it:

```
table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    tcp dport 80 ct state new accept       # asks for more than the port
  }
}
```

The message names the chain, the rule or policy, the entry and the shortest packet that is lost, and what to type so that the chain lets it pass.
Where fwc is to be the only firewall, remove the other one instead.

`fwc apply --force FWC402` loads in spite of it.
",
};

/// The packets would pass if they were tracked.
pub fn untracked(chain: &str, whose: &str, by: &str, packet: &str, cure: &str, place: Place) -> Diagnostic {
    let message = format!("{chain} drops packets of {whose} because they are not tracked: {by}; `{packet}` is lost");
    Diagnostic::new(&FINDING, message, help(cure)).at(place, "not tracked, so neither new nor established")
}

/// Nothing of an entry's leg passes, tracked or not.
pub fn all(chain: &str, whose: &str, by: &str, packet: &str, cure: &str, place: Place) -> Diagnostic {
    let message = format!("{chain} drops every packet of {whose} in one direction: {by}; `{packet}` is lost");
    Diagnostic::new(&FINDING, message, help(cure)).at(place, "accepted here, dropped there")
}

fn help(cure: &str) -> String {
    format!(
        "let them pass there (`{cure}`), or remove the chain if fwc is to take its place, or apply with `--force FWC402`"
    )
}
