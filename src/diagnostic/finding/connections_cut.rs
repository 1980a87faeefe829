//! FWC408 (warning): open connections that the rules would end.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC408",
    severity: Severity::Warning,
    title: "open connections would be cut",
    explanation: "\
`fwc apply` holds every established TCP connection of this host, and every UDP socket with a peer, against the new rules, in both directions, and counts
those that would be dropped. Connections that the conntrack table knows go on where the spec accepts known connections, so they do not count. ssh
sessions have a check of their own, which refuses (FWC401).

Connections of services without an entry (FWC405) are cut, and so are those of this host as a client if `policy.output` is drop and no entry in `clients`
speaks of them. On a host with very many connections only some are looked at; then the number is a lower bound.
",
};

/// So many connections of services and of clients, `more` if not all were looked at, and one of them in words.
pub fn report(servers: usize, clients: usize, more: bool, example: &str, place: Place) -> Diagnostic {
    let word = |count: usize| if count == 1 { "connection" } else { "connections" };
    let parts: Vec<String> = [(servers, "to this host"), (clients, "from this host")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, way)| format!("{count} open {} {way}", word(count)))
        .collect();
    let least = if more { "at least " } else { "" };
    let message = format!("this would cut {least}{}; one is {example}", parts.join(" and "));
    Diagnostic::new(&FINDING, message, "add entries for what is to go on").at(place, "beside this one")
}
