//! FWC511: nothing waits to be confirmed.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC511",
    severity: Severity::Error,
    title: "nothing waits to be confirmed",
    explanation: "\
`fwc confirm` keeps what `fwc apply --confirm-within` loaded. There is nothing to confirm when no such apply is pending: it was confirmed already, it was
rolled back because its time was over, or the last apply did not ask to be confirmed.

`fwc status` says what is loaded. The file `log` in the state directory says what was rolled back, when and why.
",
};

/// There is nothing; `why` adds what became of it, if fwc knows.
pub fn report(why: Option<&str>) -> Diagnostic {
    let message = match why {
        Some(why) => format!("nothing waits to be confirmed: {why}"),
        None => "nothing waits to be confirmed".to_string(),
    };
    Diagnostic::new(
        &FINDING,
        message,
        "see with `fwc status` what is loaded, and apply again if it is not what you want",
    )
}
