//! FWC204: two entries want the same endpoint tracked and untracked.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC204",
    severity: Severity::Error,
    title: "tracked and stateless at once",
    explanation: "\
Tracking belongs to the server's endpoint: address, protocol and port. Source and interface do not count, because a reply carries
neither. So two entries whose endpoints overlap must agree:

```yaml
services:
  web:   {listen: \"203.0.113.5:80\", stateless: true}
  admin: {listen: \"203.0.113.0/24:80\", from: 192.0.2.0/28}   # FWC204: tracked, and covers 203.0.113.5:80
```

If one of the two were followed, the other's packets would be half tracked: entries would stay in the table, or replies would be
dropped. Make both `stateless: true`, or neither, or move one to another port or address.
",
};

/// One side of the clash.
pub struct Side<'a> {
    /// The entry's section and name, as in `services.web`.
    pub entry: &'a str,
    /// Its endpoint's token.
    pub place: Place,
}

/// The endpoints of a stateless and a tracked entry overlap at `common`.
pub fn report(stateless: &Side<'_>, tracked: &Side<'_>, common: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("`{}` is stateless and `{}` is tracked, and both are about {common}", stateless.entry, tracked.entry),
        "give both the same `stateless`, or move one to another address or port",
    )
    .at(stateless.place, "stateless")
    .at(tracked.place, "tracked")
}
