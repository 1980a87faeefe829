//! FWC603: the kernel decided something else about a test's packet than the rules say.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC603",
    severity: Severity::Error,
    title: "the kernel decides otherwise than the rules say",
    explanation: "\
`fwc test --kernel` loaded the spec's rules into a private namespace and sent the test's packet through the kernel. What became of it there is not what
fwc's own reading of the rules says. This is a mistake of fwc or of the kernel, never of the spec: please report it with the spec.
",
};

/// What each of them says, in words such as `accept, untracked`.
pub fn report(packet: &str, rules: &str, kernel: &str, place: Place) -> Diagnostic {
    let message = format!("the rules say of `{packet}`: {rules}; the kernel does: {kernel}");
    Diagnostic::new(&FINDING, message, "please report this with the spec").at(place, "sent through the kernel")
}
