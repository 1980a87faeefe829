//! FWC517: at boot, another spec than the given one is loaded.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC517",
    severity: Severity::Warning,
    title: "the confirmed spec is loaded instead",
    explanation: "\
`fwc apply --confirmed SPEC` is what runs at boot. It loads SPEC when that is the spec that was confirmed last. When SPEC was changed since, or cannot be
read, it loads the copy of the confirmed one that the state directory keeps: nobody has seen yet that the host can be reached with the new one.

Apply the changed spec (`fwc apply --confirm-within 60s SPEC`, then `fwc confirm`); from then on it is loaded at boot.
",
};

/// The given spec is not the confirmed one.
pub fn report(spec: &str, confirmed: &str) -> Diagnostic {
    let short: String = confirmed.chars().take(12).collect();
    Diagnostic::new(
        &FINDING,
        format!("{spec} is not the spec that was confirmed; the confirmed one (sha256 {short}) is loaded instead"),
        format!("to have it loaded at boot, apply it (`fwc apply --confirm-within 60s {spec}`) and confirm"),
    )
}
