//! FWC113: a range ends before it starts.

use crate::diagnostic::{Finding, Severity};

/// The finding. It is reported by [`super::invalid`].
pub const FINDING: Finding = Finding {
    code: "FWC113",
    severity: Severity::Error,
    title: "a range ends before it starts",
    explanation: "\
A range of ports or addresses has its ends in the wrong order. It would match nothing.

    services:
      rtp: {listen: 203.0.113.5:20000-10000, protocol: udp}

Exchange the two ends.",
};
