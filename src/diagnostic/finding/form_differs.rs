//! FWC614: two forms of the same rules do not do the same.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC614",
    severity: Severity::Error,
    title: "an artifact does not do what the rules say",
    explanation: "\
`fwc verify` reads what fwc writes (the netlink messages of `fwc apply`, the nft text, the iptables, ip6tables and ipset files) back from
its own bytes, and compares each form with the rules, for every packet: what is accepted, what is untracked, what is translated.

The packet in the message is one that a form judges differently. This is a mistake in fwc: please report it with the spec; do not load
that form.
",
};

/// A packet that a form judges differently from the rules.
pub fn report(form: &str, packet: &str, by_form: &str, by_rules: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("`{packet}` is {by_form} by {form}, and {by_rules} by the rules"),
        "please report this with the spec: it is a mistake in fwc",
    )
}

/// Something in a form that could not be read back.
pub fn unread(form: &str, why: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("{form} cannot be read back: {why}"),
        "please report this with the spec: what fwc writes it must be able to read",
    )
}
