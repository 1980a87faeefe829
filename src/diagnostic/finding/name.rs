//! FWC108: not a name.

use crate::diagnostic::{Finding, Severity};

/// The finding. It is reported by [`super::invalid`].
pub const FINDING: Finding = Finding {
    code: "FWC108",
    severity: Severity::Error,
    title: "not a name",
    explanation: "\
The names of sets, services, clients and forwards start with a lower-case letter and go on with lower-case letters, digits,
`_` or `-`, 32 characters at most. They become the names of chains, sets, counters and comments in the kernel, which is why
they are narrow.

    services:
      Web Server: {listen: 203.0.113.5:80}

Write `web-server`.",
};
