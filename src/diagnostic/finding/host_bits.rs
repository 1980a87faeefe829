//! FWC110: bits behind the prefix.

use crate::diagnostic::{Finding, Severity};

/// The finding. It is reported by [`super::invalid`].
pub const FINDING: Finding = Finding {
    code: "FWC110",
    severity: Severity::Error,
    title: "bits behind the prefix",
    explanation: "\
A prefix has bits set behind its length, so it is not clear whether the network or the one address is meant.

    sets:
      office: [192.0.2.7/24]

Write `192.0.2.0/24` for the network, `192.0.2.7` for the one address.",
};
