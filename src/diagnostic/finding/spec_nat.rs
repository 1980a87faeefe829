//! FWC301: a spec with stateless entries and NAT.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC301",
    severity: Severity::Error,
    title: "stateless entries and NAT in one spec",
    explanation: "\
NAT is done by conntrack: a flow that is not tracked is not translated. Where the two meet, a redirect is refused and a masqueraded packet
leaves with its private source, and nothing says why. So a spec with a stateless entry and a `nat` rule is refused.

What helps instead is a table that is large enough. An entry costs about 320 bytes and a bucket 8:

```yaml
conntrack:
  max: 1048576          # entries: about 336 MB when full
  buckets: 1048576      # 8 MB
  timeouts: {tcp_time_wait: 30s, tcp_established: 1h}
```

`fwc compile SPEC --target sysctl` and `--target modprobe` write the files for it. If the NAT rules are for other flows than the stateless ones, write
`nat_conflict: overlap` at the top of the spec: NAT rules that provably touch no stateless flow are then let through.
",
};

/// A NAT rule beside a stateless entry.
pub struct Conflict<'a> {
    /// The rule as a person wrote it, as in ``masquerade out eth0``.
    pub rule: &'a str,
    /// Its token.
    pub place: Place,
    /// A stateless entry: the one whose flows it touches, else the first.
    pub entry: &'a str,
    /// The entry's token.
    pub entry_place: Place,
    /// Whether the rule may touch a flow of that entry.
    pub overlaps: bool,
}

/// The conflict as a diagnostic; `advice` proposes a table size.
pub fn report(conflict: &Conflict<'_>, advice: &str) -> Diagnostic {
    let touch = if conflict.overlaps { "may touch" } else { "touches no flow of" };
    let relief = if conflict.overlaps { "" } else { "write `nat_conflict: overlap` to let it through, or " };
    Diagnostic::new(
        &FINDING,
        format!(
            "NAT needs tracking, and `{}` is stateless: this rule ({}) {touch} {}",
            conflict.entry,
            conflict.rule,
            if conflict.overlaps { "its flows" } else { "a stateless entry" }
        ),
        format!("{relief}make the stateless entries tracked and enlarge the table: {advice}"),
    )
    .at(conflict.place, "NAT")
    .at(conflict.entry_place, "stateless")
}
