//! FWC117: not a packet.

use crate::diagnostic::{Finding, Severity};

/// The finding. It is reported by [`super::invalid`].
pub const FINDING: Finding = Finding {
    code: "FWC117",
    severity: Severity::Error,
    title: "not a packet",
    explanation: "\
The text is not a packet. A packet of a test, or of `fwc trace`, is `PROTO SRC[:PORT] > DST[:PORT] [FLAGS or ICMP type]`. TCP
flags are joined by commas; where none is named, `syn` is meant.

    tests:
      - {packet: \"tcp 198.51.100.7 > 203.0.113.5:80\", expect: accept}

Both sides need a port where the protocol has ports: `tcp 198.51.100.7:40000 > 203.0.113.5:80`.",
};
