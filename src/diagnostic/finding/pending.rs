//! FWC510: an apply waits to be confirmed.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC510",
    severity: Severity::Error,
    title: "an apply waits to be confirmed",
    explanation: "\
`fwc apply --confirm-within 60s` loads a spec and rolls it back unless somebody says `fwc confirm` in time. Until then nothing else is loaded: there is
one former state to go back to, and a second apply in between would leave it unclear which one that is.

Say `fwc confirm` to keep what is loaded, or `fwc rollback` to go back now; then apply again. Both work from any session on the host.
`fwc plan` and `fwc apply --dry-run` tell of it as well. One that was not confirmed in time is rolled back by the next apply, which then goes on.
",
};

/// The pending apply: its spec, until when, how many seconds are left.
pub fn report(spec: &str, until: &str, left: u64, netns: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("the apply of {spec} waits to be confirmed until {until} ({left}s left); nothing was loaded"),
        format!("keep it with `fwc confirm{netns}` or undo it with `fwc rollback{netns}`, then apply again"),
    )
}
