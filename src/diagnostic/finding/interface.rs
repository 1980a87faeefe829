//! FWC115: not an interface.

use crate::diagnostic::{Finding, Severity};

/// The finding. It is reported by [`super::invalid`].
pub const FINDING: Finding = Finding {
    code: "FWC115",
    severity: Severity::Error,
    title: "not an interface",
    explanation: "\
The text is not the name of a network interface: 1 to 15 bytes, no blanks, no slashes, no patterns. Interfaces are matched by
their exact name, so that both backends and the kernel agree on what a name means.

    services:
      ssh: {listen: \"*:22\", interface: eth+}

List the interfaces: `interface: [eth0, eth1]`.",
};
