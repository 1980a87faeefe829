//! FWC112: port 0.

use crate::diagnostic::{Finding, Severity};

/// The finding. It is reported by [`super::invalid`].
pub const FINDING: Finding = Finding {
    code: "FWC112",
    severity: Severity::Error,
    title: "port 0",
    explanation: "\
Port 0 does not exist on the wire; programs use it to ask for any free port. A rule for it would never match.

    services:
      web: {listen: 203.0.113.5:0}

Write the port on which the service listens.",
};
