//! FWC612: the rules do not track what the spec says.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC612",
    severity: Severity::Error,
    title: "what is untracked is not what the spec says",
    explanation: "\
`fwc verify` says what a spec means twice: once as rules, and once from the contract alone. For every packet both must agree whether it is
tracked and how it is translated, no packet may be tracked and untracked at once, and no NAT rule may match a packet that is not tracked.

The packet in the message is one for which they do not agree. This is a mistake in fwc: please report it with the spec; do not apply it.
",
};

/// A packet that the rules track differently from what the spec says.
pub fn report(packet: &str, rules: &str, spec: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("`{packet}` is {rules} by the rules, and by the spec it should be {spec}"),
        "please report this with the spec: it is a mistake in fwc",
    )
}

/// An untracked packet that a NAT rule would match.
pub fn nat(packet: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("`{packet}` is untracked, and a NAT rule of the spec would translate it"),
        "make the flow tracked, or narrow the NAT rule: translation needs tracking",
    )
}
