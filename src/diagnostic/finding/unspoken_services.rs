//! FWC405 (warning): services that listen on this host and are in no entry.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC405",
    severity: Severity::Warning,
    title: "services without an entry",
    explanation: "\
Input is dropped unless an entry accepts it, so nobody reaches a service that is in no entry. `fwc apply` lists those that listen on this host for
others: TCP sockets that listen, and UDP sockets without a peer. Left out are loopback, UDP sockets with a port of the range from which clients
take theirs (`net.ipv4.ip_local_port_range`), DHCP clients, and sshd, for which the apply is refused (FWC401).

If a service is meant for this host alone, nothing is wrong; better still, have it listen on 127.0.0.1. Otherwise add it to `services`. An entry
that lets in only some (`from`) is an entry.
",
};

/// `services` names them: who listens, where, by which protocol.
pub fn report(services: &[String], place: Place) -> Diagnostic {
    const SHOWN: usize = 8;
    let mut list: Vec<String> = services.iter().take(SHOWN).cloned().collect();
    if services.len() > SHOWN {
        list.push(format!("{} more", services.len() - SHOWN));
    }
    let (who, them) = match services.len() {
        1 => ("1 service listens and is in no entry".to_string(), "it"),
        count => (format!("{count} services listen and are in no entry"), "them"),
    };
    let message = format!("{who}, so no other host reaches {them}: {}", list.join(", "));
    Diagnostic::new(&FINDING, message, "add to `services` what others are to reach").at(place, "beside this one")
}
