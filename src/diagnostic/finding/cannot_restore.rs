//! FWC514: the former table could not be put back.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC514",
    severity: Severity::Error,
    title: "the former table cannot be put back exactly",
    explanation: "\
A rollback puts the table `inet fwc` back as it was, byte for byte. That is possible for everything that fwc loads and for nearly all that a person can
add to its table by hand. It is not possible for things with a life of their own: sets whose elements time out or are added by rules, named counters,
quotas and flowtables, chains without a name. When the table holds such a thing, `fwc apply --confirm-within` refuses to load, as it could not keep its
promise, and `fwc rollback` cannot undo an apply that replaced such a table.

Take these things out of `inet fwc` (a table of their own is the better place), or apply without `--confirm-within`.
",
};

/// An apply that promised to.
pub fn refused(why: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("a rollback could not put the table inet fwc back as it is: {why}; nothing was loaded"),
        "move it into a table of its own, or apply without `--confirm-within`",
    )
}

/// A rollback that cannot.
pub fn undo(why: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("the last apply cannot be undone: {why}; nothing was changed"),
        "apply the spec that you want, or delete what fwc loaded with `fwc remove`",
    )
}
