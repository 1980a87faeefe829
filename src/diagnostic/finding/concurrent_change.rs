//! FWC502: somebody else keeps changing the ruleset.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC502",
    severity: Severity::Error,
    title: "the ruleset changed meanwhile",
    explanation: "\
fwc looks at the host's rules, decides, and loads. The transaction carries the generation of the ruleset that was looked at, so that the kernel
refuses it when anything has changed in between. fwc then looks again and retries a few times. If the ruleset never holds still, it gives up;
nothing was changed.

Find out what keeps changing it (`nft monitor`), and apply again.
",
};

/// The ruleset changed during each of `attempts` attempts.
pub fn report(attempts: u32) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("the ruleset was changed by somebody else during each of {attempts} attempts; nothing was loaded"),
        "see with `nft monitor` what changes it, then apply again",
    )
}
