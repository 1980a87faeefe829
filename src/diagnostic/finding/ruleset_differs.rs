//! FWC615: a loaded ruleset, or one in a file, does not mean what the spec means.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC615",
    severity: Severity::Error,
    title: "the ruleset does not mean what the spec means",
    explanation: "\
`fwc verify SPEC --against live` reads the table `inet fwc` from the kernel, and `--against FILE` a file of iptables-save, ip6tables-save or
`nft -j list ruleset`, and compares it with the spec, for every packet: what is accepted, what is untracked, what is translated.

The message names the plainest packet that the two judge differently; the labels show the rules that decide about it on both sides.
Load the spec again with `fwc apply`, or write into the spec what the other rules do (`fwc import` helps).
",
};

/// A packet that a ruleset judges differently from the spec.
pub fn report(ruleset: &str, packet: &str, by_ruleset: &str, by_spec: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("`{packet}` is {by_ruleset} by {ruleset}, and {by_spec} by the spec"),
        "load the spec again with `fwc apply`, or write into the spec what the other rules do",
    )
}

/// Something in a ruleset that fwc does not understand, so that nothing can be proven about it.
pub fn unread(ruleset: &str, why: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("nothing can be proven about {ruleset}: {why}"),
        "take that rule out, or compare without it",
    )
}

/// A file in which there is no ruleset, or none that can be read.
pub fn no_ruleset(file: &str, why: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("nothing can be compared with {file}: {why}"),
        "give it what `iptables-save`, `ip6tables-save` or `nft -j list ruleset` prints",
    )
}

/// Nothing is loaded.
pub fn absent(ruleset: &str) -> Diagnostic {
    Diagnostic::new(&FINDING, format!("there is no {ruleset}"), "load the spec with `fwc apply`")
}
