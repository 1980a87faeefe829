//! FWC202: a set that contains itself, or `*`.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC202",
    severity: Severity::Error,
    title: "a set that cannot be a set",
    explanation: "\
A set may contain other sets (`all: [$admins, $offices]`), but not itself, directly or through others. And it may not contain
`*`: a set of every address is no set, and a block list with `*` in it would cut the host off.

Take the item out. Where anybody may come in, leave `from` away. What sets take from other sets is limited to 4,194,304 ranges in a spec, so that a
small spec cannot fill the memory.
",
};

/// The set `name` contains itself through the `$set` at `place`.
pub fn circular(name: &str, own: Place, place: Place) -> Diagnostic {
    Diagnostic::new(&FINDING, format!("the set `{name}` contains itself"), "take this item out of the set")
        .at(place, "leads back to the set")
        .at(own, "the set")
}

/// The sets in sets multiply to more than `most` ranges of addresses.
pub fn too_large(place: Place, most: usize) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("the sets in sets and lists of this spec come to more than {most} ranges of addresses"),
        "put fewer sets into each other, or name a large set alone",
    )
    .at(place, "too much from here on")
}

/// `*` stands where only addresses may.
pub fn star(place: Place) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        "`*` stands for every address and cannot be an item here",
        "list the addresses, or leave `from` away where anybody may come in",
    )
    .at(place, "every address")
}
