//! FWC705: what is untracked is never new or established.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC705",
    severity: Severity::Warning,
    title: "untracked, but accepted by state only",
    explanation: "\
An untracked packet is neither NEW nor ESTABLISHED. A filter that accepts a service by these states alone drops every packet of it once its
flows are untracked: 0 of 50 connections succeeded.

```text
*raw    -A PREROUTING -p tcp --dport 80 -j CT --notrack
*filter -A INPUT -p tcp --dport 80 -m conntrack --ctstate NEW -j ACCEPT   # FWC705: never matches
```

Accept such packets by address and port, without a state, in both directions.
",
};

/// What `notrack` untracks is dropped, and would be accepted if it were tracked.
pub fn report(notrack: Place, accepts: Option<Place>, packet: &str) -> Diagnostic {
    let message = format!("this untracks {packet}, which is then dropped: it is accepted by its state only");
    let help = "accept these packets without asking for a state";
    let found = Diagnostic::new(&FINDING, message, help).at(notrack, "untracked here");
    match accepts {
        Some(accepts) => found.at(accepts, "would accept it if it were tracked"),
        None => found,
    }
}
