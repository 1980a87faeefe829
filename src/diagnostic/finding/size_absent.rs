//! FWC433 (warning): a part of `conntrack` that the kernel has no place for.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC433",
    severity: Severity::Warning,
    title: "the kernel has no such conntrack setting now",
    explanation: "\
The sizes and timeouts of conntrack exist once the kernel module nf_conntrack is loaded, and some timeouts only where the kernel knows the protocol: DCCP is
gone from newer kernels. What does not exist cannot be set, and is left out; everything else is set.

`fwc apply` loads no module by itself. Rules that need tracking make the kernel load nf_conntrack, and fwc sets the sizes after that and before the rules are
live. A spec that needs no tracking does not load it, and then there is no table to size: take the `conntrack` section out.
",
};

/// nf_conntrack is not loaded, and the spec's rules do not make the kernel load it.
pub fn not_loaded(keys: &str, places: &[Place]) -> Diagnostic {
    let found = Diagnostic::new(
        &FINDING,
        format!("{keys} cannot be set: the kernel module nf_conntrack is not loaded, so there is no table to size"),
        "if nothing is to be tracked, take the `conntrack` section out; else run `modprobe nf_conntrack`, and apply again",
    );
    places.iter().fold(found, |found, &place| found.at(place, "not set"))
}

/// The kernel has no file for these keys.
pub fn unknown(keys: &str, path: &str, places: &[Place]) -> Diagnostic {
    let found = Diagnostic::new(
        &FINDING,
        format!("this kernel has no place for {keys}: {path} does not exist"),
        "take it out; the kernel does not know the protocol, or nf_conntrack cannot be loaded",
    );
    places.iter().fold(found, |found, &place| found.at(place, "not set"))
}
