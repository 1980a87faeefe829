//! FWC520: what is loaded is not what was applied.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC520",
    severity: Severity::Error,
    title: "what is loaded is not what was applied",
    explanation: "\
`fwc confirm` keeps what is loaded and makes the spec what a boot loads, so the two have to be the same. Since the apply somebody has changed or deleted
the table `inet fwc`: `nft flush ruleset` and the stop of nftables.service delete it, and `nft add rule inet fwc ...` changes it. Nothing is confirmed then,
and the rollback is still pending.

`fwc rollback` puts back at once what stood there before the apply; otherwise it happens when the time is over. Then apply again.
",
};

/// It is another one, or none.
pub fn report(spec: &str, is_there: bool, netns: &str) -> Diagnostic {
    let now =
        if is_there { "the table inet fwc was changed since" } else { "the table inet fwc is not loaded any more" };
    Diagnostic::new(
        &FINDING,
        format!("{spec} is not confirmed: {now}"),
        format!(
            "put the former state back with `fwc rollback{netns}`, and apply again; it comes back by itself when the time is over"
        ),
    )
}
