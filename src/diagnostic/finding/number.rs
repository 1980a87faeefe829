//! FWC116: neither a number nor a duration that fits.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding. Durations are reported by [`super::invalid`].
pub const FINDING: Finding = Finding {
    code: "FWC116",
    severity: Severity::Error,
    title: "not a number or duration",
    explanation: "\
A number of `conntrack` is not a plain decimal from 1 to 2147483647, or a timeout is not a duration in whole seconds (`1000s`,
`30m`, `12h`, `5d`).

    conntrack: {max: 1M, timeouts: {tcp_established: 1.5h}}

Write `max: 1000000` and `tcp_established: 90m`.",
};

/// `what` is not a number from 1 to `most`.
pub fn report(what: &str, text: &str, most: u32, place: Place) -> Diagnostic {
    let message = format!("{what} must be a number from 1 to {most}, not `{text}`");
    Diagnostic::new(&FINDING, message, "write plain decimal digits, as in 262144").at(place, "")
}
