//! What an apply that waits to be confirmed means for the next one, for commands that only look ahead.

use super::host::undoable::netns_words;
use super::status::Waits;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::pending;

/// A line for people.
pub(super) fn words(Waits { spec, until, overdue, .. }: &Waits) -> String {
    if *overdue {
        return format!(
            "NOT CONFIRMED in time: the next fwc command that changes anything, `fwc apply` too, first rolls {spec} back"
        );
    }
    format!(
        "NOT CONFIRMED: {spec} waits until {until}; `fwc apply` is refused before `fwc confirm` or `fwc rollback` (FWC510)"
    )
}

/// Why the next apply would be refused; one that is overdue is rolled back first and refuses nothing.
pub(super) fn refusal(waits: &Waits, netns: Option<&str>) -> Option<Diagnostic> {
    let Waits { spec, until, seconds_left, overdue, .. } = waits;
    (!overdue).then(|| pending::report(spec, until, *seconds_left, &netns_words(netns)))
}
