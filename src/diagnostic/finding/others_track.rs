//! FWC407 (warning): a rule of somebody else needs conntrack to follow the flows of a stateless entry.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC407",
    severity: Severity::Warning,
    title: "another table needs tracking of stateless flows",
    explanation: "\
Conntrack does not follow the flows of stateless entries. Rules of other tables that work on what conntrack knows do nothing to them any more:

| rule | what becomes of it |
|---|---|
| helpers (`ct helper set`, `CT --helper`) | related connections (FTP data, SIP media) are not expected, so nothing lets them in |
| `ct count`, `connlimit` | connections are not counted, and the limit is never reached |
| `ct mark`, `CONNMARK` | there is no connection to mark: policy routing or shaping by it takes another way |
| `synproxy` | the handshake is not handed over to the server |
| `flow add @flowtable` | nothing is offloaded |

Such rules never refuse an apply. If you need what they do, keep the entry tracked.
",
};

/// `does` says what the rule does, `becomes` what becomes of the untracked flows.
pub fn report(chain: &str, rule: &str, does: &str, whose: &str, becomes: &str, place: Place) -> Diagnostic {
    let message = format!("a rule in {chain} {does}, and may mean those of {whose}: `{rule}`; {becomes}");
    Diagnostic::new(&FINDING, message, "keep the entry tracked if you need what the rule does").at(place, "not tracked")
}
