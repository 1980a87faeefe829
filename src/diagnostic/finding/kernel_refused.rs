//! FWC501: the kernel refused the transaction.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC501",
    severity: Severity::Error,
    title: "the kernel refused the ruleset",
    explanation: "\
The whole ruleset goes to the kernel as one transaction. The kernel refused a part of it, so nothing was changed: what was loaded before is still
loaded. The message names the rule, set or chain and the kernel's reason. A missing kernel module (ENOENT, EOPNOTSUPP) is the usual cause.
",
};

/// The kernel refused `what` for `reason`.
pub fn report(what: &str, reason: &str, place: Option<Place>) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        &FINDING,
        format!("the kernel refused {what}: {reason}; nothing was changed"),
        "check that the kernel has the nf_tables features that the rule needs (`fwc explain FWC403`)",
    );
    match place {
        Some(place) => diagnostic.at(place, "made for this"),
        None => diagnostic,
    }
}
