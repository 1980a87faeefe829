//! A service must not lie among the local ports of a client with other tracking.

use std::collections::HashMap;

use super::title;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::local_port_clash as finding;
use crate::net::{Family, Name, PortSet};
use crate::policy::model::{Entry, Policy, Role, Server, Transport};
use crate::source::Place;
use crate::spec::{Spec, Tracking};

/// More pairs than anybody reads.
const MOST: usize = 100;

pub(super) fn check(spec: &Spec, policy: &Policy) -> Vec<Diagnostic> {
    let clients = || policy.entries.iter().filter_map(|entry| client(entry).map(|ports| (entry, ports)));
    // Usually a handful: the stateless clients' ranges, those that are written out, and every client of a protocol without ports.
    let written: HashMap<&Name, Place> = spec
        .clients
        .iter()
        .filter_map(|entry| Some((&entry.name.value, entry.value.local_ports.as_ref()?.place)))
        .collect();
    let counts = |entry: &Entry| stateless(entry) || has_plain(entry) || written.contains_key(&entry.name);
    let clients: Vec<_> = clients().filter(|(entry, _)| counts(entry)).collect();
    if clients.is_empty() {
        return Vec::new();
    }
    let (clients, written) = (&clients, &written);
    let services = policy.entries.iter().filter(|entry| matches!(entry.role, Role::Service { .. }));
    services
        .flat_map(|service| service.servers.iter().map(move |server| (service, server)))
        .flat_map(|service| clients.iter().filter_map(move |&client| pair(written, policy, service, client)))
        .take(MOST)
        .collect()
}

fn client(entry: &Entry) -> Option<&PortSet> {
    match &entry.role {
        Role::Client { local_ports } => Some(local_ports),
        _ => None,
    }
}

fn stateless(entry: &Entry) -> bool {
    entry.tracking == Tracking::Untracked
}

fn has_plain(entry: &Entry) -> bool {
    entry.servers.iter().any(|server| matches!(server.transport, Transport::Plain(_)))
}

fn pair(
    written: &HashMap<&Name, Place>,
    policy: &Policy,
    (service, endpoint): (&Entry, &Server),
    (client, local_ports): (&Entry, &PortSet),
) -> Option<Diagnostic> {
    if service.tracking == client.tracking {
        return None;
    }
    let protocol = endpoint.transport.protocol();
    let server = client
        .servers
        .iter()
        .find(|server| server.transport.protocol() == protocol && share_family(policy, endpoint, server))?;
    match &endpoint.transport {
        Transport::Plain(_) => Some(finding::without_ports(
            &title(service),
            endpoint.place,
            &title(client),
            server.place,
            &protocol.to_string(),
        )),
        Transport::Ports(_, ports) => {
            let place = written.get(&client.name).copied();
            let (first, last) = ports.common(local_ports)?;
            let common = if first == last { format!("port {first}") } else { format!("port range {first}-{last}") };
            if stateless(service) {
                // Of a range the host never picks a port that a server holds. A client that has no other port is never tracked.
                if !ports.covers(local_ports) {
                    return None;
                }
                return Some(finding::stateless_service(
                    &title(service),
                    endpoint.place,
                    &title(client),
                    place?,
                    &common,
                ));
            }
            Some(finding::report(
                &title(service),
                endpoint.place,
                &title(client),
                place.unwrap_or(client.place),
                &common,
            ))
        }
    }
}

fn share_family(policy: &Policy, a: &Server, b: &Server) -> bool {
    let has = |server: &Server, family| policy.sets.has(server.addresses, family) && server.transport.exists_in(family);
    Family::BOTH.into_iter().any(|family| has(a, family) && has(b, family))
}
