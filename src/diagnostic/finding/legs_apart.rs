//! FWC611: one leg of a flow is untracked and the other is not.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC611",
    severity: Severity::Error,
    title: "the legs of a flow are not untracked together",
    explanation: "\
`fwc verify` compares, for every packet, what the raw rules do with it and with the packet that answers it. Both must be untracked, or
none. Where only one is, conntrack sees half of a connection: entries stay in the table, and what asks for `ct state established`
drops the rest.

fwc makes both legs from one endpoint, so this should not happen. If it does, please report it with the spec; do not apply it.
",
};

/// A packet whose answer is tracked differently. `one` and `other` are what the rules do with the two.
pub fn report(packet: &str, one: &str, other: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("`{packet}` is {one}, and the packet that answers it is {other}"),
        "please report this with the spec: fwc should make both legs from one endpoint",
    )
}
