//! FWC710: a TCP flag match that a further flag escapes.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC710",
    severity: Severity::Warning,
    title: "flags compared as a whole",
    explanation: "\
`tcp flags == syn` asks for packets with SYN and no other flag. A host that uses explicit congestion notification opens connections with
SYN, ECE and CWR, and is not matched. `nft -o` once folded masks into such exact values, and SYN+ACK was dropped.

Look at the flags that matter: `tcp flags & (fin | syn | rst | ack) == syn`, `--tcp-flags FIN,SYN,RST,ACK SYN`, or `--syn`.
",
};

/// `rule` compares all flags.
pub fn report(rule: Place) -> Diagnostic {
    let message = "this compares all TCP flags at once, so that a packet with ECE or CWR beside SYN is not matched";
    let help = "write `tcp flags & (fin | syn | rst | ack) == syn` (iptables: `--syn`)";
    Diagnostic::new(&FINDING, message, help).at(rule, "an exact comparison")
}
