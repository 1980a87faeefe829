//! FWC114: not a protocol.

use crate::diagnostic::{Finding, Severity};

/// The finding. It is reported by [`super::invalid`].
pub const FINDING: Finding = Finding {
    code: "FWC114",
    severity: Severity::Error,
    title: "not a protocol",
    explanation: "\
The text is not a protocol of a service: tcp, udp, sctp, dccp, udplite, or without ports esp, ah, gre, ipip, vrrp, ospf, igmp
or a number from 1 to 255.

    services:
      dns: {listen: 203.0.113.5:53, protocol: [tpc, udp]}

ICMP is not a service: its errors and neighbour discovery are always accepted, and `icmp: {ping: true}` accepts ping.",
};
