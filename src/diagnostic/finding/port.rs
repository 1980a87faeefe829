//! FWC111: not a port.

use crate::diagnostic::{Finding, Severity};

/// The finding. It is reported by [`super::invalid`].
pub const FINDING: Finding = Finding {
    code: "FWC111",
    severity: Severity::Error,
    title: "not a port",
    explanation: "\
The text is not a port. Ports are decimal numbers from 1 to 65535, ranges (`8000-8999`) or lists of both
(`80,443,8000-8100`), without signs, leading zeros, underscores or hexadecimal digits. Names such as `http` are not looked up.

    services:
      web: {listen: 203.0.113.5:http}

Write the number: `203.0.113.5:80`.",
};
