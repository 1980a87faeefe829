//! FWC613: the rules do not accept what the spec says.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC613",
    severity: Severity::Error,
    title: "what is accepted is not what the spec says",
    explanation: "\
`fwc verify` says what a spec means twice: once as rules, and once from the contract alone. For every packet both must agree whether it is
accepted, and no rule for replies may let in a TCP packet with SYN and without ACK, which opens a connection.

The packet in the message is one for which they do not agree. This is a mistake in fwc: please report it with the spec; do not apply it.
",
};

/// A packet that the rules judge differently from what the spec says.
pub fn report(packet: &str, rules: &str, spec: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("`{packet}` is {rules} by the rules, and by the spec it should be {spec}"),
        "please report this with the spec: it is a mistake in fwc",
    )
}

/// A packet that opens a connection through a rule for replies.
pub fn opener(packet: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("`{packet}` opens a connection, and a rule for replies accepts it"),
        "please report this with the spec: it is a mistake in fwc",
    )
}
