//! FWC516: a saved plan that no longer fits, or is not what was saved.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC516",
    severity: Severity::Error,
    title: "the saved plan is stale or damaged",
    explanation: "\
`fwc plan SPEC --out FILE` keeps the spec's texts with the generation of the ruleset that they were compared with. `fwc apply FILE` loads exactly what was
planned, onto exactly that ruleset, or nothing. When the spec or one of its set files has changed since, when anybody has changed any nf_tables rule of
the host (also of another table), or when the host restarted, what the plan says is no longer what would happen.

A saved plan also carries a checksum of itself. A file that was cut off, or changed by hand, is not what somebody looked at: none of it is loaded.

Plan again, look at it, and apply the new plan.
",
};

/// Why it no longer fits.
pub fn report(plan: &str, why: &str) -> Diagnostic {
    Diagnostic::new(&FINDING, format!("the plan in {plan} is stale: {why}; nothing was loaded"), HELP)
}

/// What is wrong with the file, as in `is damaged`.
pub fn damaged(plan: &str, what: &str) -> Diagnostic {
    Diagnostic::new(&FINDING, format!("the saved plan in {plan} {what}; nothing was loaded"), HELP)
}

const HELP: &str = "make a new one with `fwc plan SPEC --out FILE`, look at it, and apply it";
