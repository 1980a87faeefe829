//! FWC101: a file that cannot be read.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC101",
    severity: Severity::Error,
    title: "a file cannot be read",
    explanation: "\
A spec, or a set file that it names, could not be read: it does not exist, may not be read, is not a regular file, is
larger than fwc takes, or is not UTF-8 text. Nothing is skipped: a firewall with a part left out would be another firewall.

    fwc check missing.yaml

The message has the reason. fwc reads regular files only, so that it never hangs on a FIFO or a device; to check the output
of a program, pipe it into `fwc check -`. A directory is read by its *.yaml files, and all other names that look like YAML are
refused rather than passed over. A spec may have 64 MiB in all its files, a set file 256 MiB.",
};

/// A file that cannot be read, for a reason given in a few words.
pub fn file(name: &str, reason: &str, help: &str, place: Place) -> Diagnostic {
    Diagnostic::new(&FINDING, format!("cannot read `{name}`: {reason}"), help).at(place, "")
}

/// A byte that is not UTF-8.
pub fn not_utf8(name: &str, byte: u8, place: Place) -> Diagnostic {
    let message = format!("`{name}` is not UTF-8 text: it has a byte 0x{byte:02x} that cannot stand here");
    Diagnostic::new(&FINDING, message, "save the file as UTF-8").at(place, "this byte")
}
