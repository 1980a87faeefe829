//! FWC518: at boot, there is no confirmed spec.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC518",
    severity: Severity::Error,
    title: "no spec was ever confirmed",
    explanation: "\
`fwc apply --confirmed SPEC` is what runs at boot. On a host on which fwc was never used it loads SPEC. On this one something was applied, and then rolled back
or not confirmed in time, and nothing was ever confirmed: to load it now could lock everybody out, without anybody there to roll back. Nothing is loaded.

Apply a spec and confirm it; from then on it is loaded at boot.
",
};

/// There is none.
pub fn report(spec: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("no spec was ever confirmed on this host, so {spec} is not loaded at boot"),
        format!("apply it (`fwc apply --confirm-within 60s {spec}`) and confirm"),
    )
}
