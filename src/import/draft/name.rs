//! Names for what has none.

use crate::import::leaf::Leaf;
use crate::net::{Name, Protocol, RangeSet};

/// Ports that everybody knows by name.
const PORTS: &[(u16, &str)] = &[
    (21, "ftp"),
    (22, "ssh"),
    (25, "smtp"),
    (53, "dns"),
    (69, "tftp"),
    (80, "http"),
    (110, "pop3"),
    (123, "ntp"),
    (143, "imap"),
    (161, "snmp"),
    (179, "bgp"),
    (389, "ldap"),
    (443, "https"),
    (465, "smtps"),
    (500, "ike"),
    (514, "syslog"),
    (587, "submission"),
    (636, "ldaps"),
    (853, "dns-over-tls"),
    (993, "imaps"),
    (995, "pop3s"),
    (1194, "openvpn"),
    (2049, "nfs"),
    (3306, "mysql"),
    (3389, "rdp"),
    (4500, "ipsec-nat"),
    (5060, "sip"),
    (5432, "postgresql"),
    (6379, "redis"),
    (6443, "kubernetes"),
    (8080, "http-alt"),
    (8443, "https-alt"),
    (9100, "node-exporter"),
    (51820, "wireguard"),
];

/// The name that a rule's comment gives, or that of a rule which jumped to it: `fwc: web`, or a comment that is a name.
pub(super) fn of_rule(leaf: &Leaf<'_>) -> Option<Name> {
    let rules = std::iter::once(leaf.rule).chain(leaf.callers.iter().rev().copied());
    rules.filter_map(|rule| rule.comment.as_deref()).find_map(|comment| {
        let text = comment.strip_prefix("fwc: ").unwrap_or(comment);
        text.trim().parse().ok()
    })
}

/// A name by protocol and port.
pub(super) fn of_ports(protocols: &[u8], ports: Option<&RangeSet<u16>>) -> String {
    let Some(ports) = ports else {
        let named = protocols.first().and_then(|number| number.to_string().parse::<Protocol>().ok());
        let text = named.map_or("protocol".to_string(), |protocol| protocol.to_string());
        return if text.starts_with(|c: char| c.is_ascii_lowercase()) { text } else { format!("protocol-{text}") };
    };
    match ports.ranges() {
        [(80, 80), (443, 443)] => "web".to_string(),
        [(first, last), rest @ ..] => match PORTS.iter().find(|(port, _)| port == first) {
            Some((_, name)) if first == last && rest.is_empty() => (*name).to_string(),
            _ if ports.ranges() == [(1, u16::MAX)] => "every-port".to_string(),
            _ => format!("service-{first}"),
        },
        [] => "service".to_string(),
    }
}
