//! FWC109: not an address.

use crate::diagnostic::{Finding, Severity};

/// The finding. It is reported by [`super::invalid`].
pub const FINDING: Finding = Finding {
    code: "FWC109",
    severity: Severity::Error,
    title: "not an address",
    explanation: "\
The text is not an address, prefix, range or endpoint. Addresses are numbers; host names are not looked up, because a name
that resolves to something else tomorrow would be another firewall.

    services:
      web: {listen: www.example.com:80}
      dns: {listen: 2001:db8::5:53}

An endpoint is `ADDR:PORTS`, with IPv6 in brackets and therefore in quotes:

    services:
      web: {listen: 203.0.113.5:80}
      dns: {listen: \"[2001:db8::5]:53\"}

`*` is every address of this host in `listen`, and any address in `to`. `$name` is a set.",
};
