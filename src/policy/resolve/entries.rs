//! Services, clients and forwards.

use super::addresses::Resolver;
use crate::diagnostic::finding::{family_mismatch, port_shape, unspecified_address};
use crate::few::Few;
use crate::net::{AddressPattern, Endpoint, Family, PortSet, Protocol};
use crate::policy::model::{Entry, Role, Server, Transport};
use crate::policy::sets::Addresses;
use crate::source::{Place, Placed};
use crate::spec::{self, Spec, Tracking};

/// All entries, in the order services, clients, forward, each as written.
pub(super) fn entries(spec: &Spec, resolver: &mut Resolver<'_>) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(spec.services.len() + spec.clients.len() + spec.forward.len());
    entries.extend(spec.services.iter().filter_map(|entry| service(entry, resolver)));
    entries.extend(spec.clients.iter().filter_map(|entry| client(entry, resolver)));
    entries.extend(spec.forward.iter().filter_map(|entry| forward(entry, resolver)));
    entries
}

fn service(entry: &spec::Entry<spec::Service>, resolver: &mut Resolver<'_>) -> Option<Entry> {
    let service = &entry.value;
    let servers = servers(&service.listen, &service.protocols, resolver);
    let from = sources(&entry.name, service.from.as_ref(), resolver);
    check_families(&servers, service.from.as_ref(), from, resolver);
    let interfaces = service.interfaces.iter().map(|interface| interface.value.clone()).collect();
    let role = Role::Service { from: from.unwrap_or(Addresses::Any), interfaces };
    assemble(&entry.name, service.stateless, servers, role)
}

fn client(entry: &spec::Entry<spec::Client>, resolver: &mut Resolver<'_>) -> Option<Entry> {
    let client = &entry.value;
    let servers = servers(&client.to, &client.protocols, resolver);
    if let Some(ports) = &client.local_ports
        && let Some(first) = client.protocols.first()
        && client.protocols.iter().all(|protocol| !protocol.value.has_ports())
    {
        let diagnostic = port_shape::local_ports(ports.place, &first.value.to_string());
        resolver.diagnostics.push(diagnostic);
    }
    let local_ports = client.local_ports.as_ref().map_or_else(PortSet::linux_ephemeral, |ports| ports.value.clone());
    assemble(&entry.name, client.stateless, servers, Role::Client { local_ports })
}

fn forward(entry: &spec::Entry<spec::Forward>, resolver: &mut Resolver<'_>) -> Option<Entry> {
    let forward = &entry.value;
    let servers = servers(&forward.to, &forward.protocols, resolver);
    let from = sources(&entry.name, forward.from.as_ref(), resolver);
    check_families(&servers, forward.from.as_ref(), from, resolver);
    assemble(&entry.name, forward.stateless, servers, Role::Forward { from: from.unwrap_or(Addresses::Any) })
}

fn assemble(
    name: &Placed<crate::net::Name>,
    stateless: Option<Placed<bool>>,
    servers: Few<Server>,
    role: Role,
) -> Option<Entry> {
    let stateless = stateless.is_some_and(|stateless| stateless.value);
    let tracking = if stateless { Tracking::Untracked } else { Tracking::Tracked };
    (!servers.is_empty()).then(|| Entry { name: name.value.clone(), place: name.place, tracking, servers, role })
}

/// Who may come in. `None` where a mistake has been reported; the entry is then looked at as if anybody could.
fn sources(
    name: &Placed<crate::net::Name>,
    from: Option<&Placed<Vec<Placed<AddressPattern>>>>,
    resolver: &mut Resolver<'_>,
) -> Option<Addresses> {
    match from {
        None => Some(Addresses::Any),
        Some(from) => resolver.list(&format!("{}-from", name.value), &from.value),
    }
}

/// Every endpoint with every protocol.
pub(super) fn servers(
    endpoints: &[Placed<Endpoint>],
    protocols: &[Placed<Protocol>],
    resolver: &mut Resolver<'_>,
) -> Few<Server> {
    let mut servers = Few::with_capacity(endpoints.len() * protocols.len().max(1));
    for endpoint in endpoints {
        let Some(addresses) = address(endpoint, resolver) else { continue };
        if protocols.is_empty() {
            servers.extend(server(endpoint, addresses, Protocol::TCP, None, resolver));
        }
        for protocol in protocols {
            servers.extend(server(endpoint, addresses, protocol.value, Some(protocol.place), resolver));
        }
    }
    servers
}

fn address(endpoint: &Placed<Endpoint>, resolver: &mut Resolver<'_>) -> Option<Addresses> {
    if let AddressPattern::Range(range) = &endpoint.value.address
        && let Some(host) = range.as_host()
        && host.is_unspecified()
    {
        let rest = endpoint.value.ports.as_ref().map_or(String::new(), |ports| format!(":{ports}"));
        let diagnostic = unspecified_address::report(endpoint.place, &host.to_string(), &rest);
        resolver.diagnostics.push(diagnostic);
        return None;
    }
    resolver.pattern(&endpoint.value.address, endpoint.place)
}

fn server(
    endpoint: &Placed<Endpoint>,
    addresses: Addresses,
    protocol: Protocol,
    token: Option<Place>,
    resolver: &mut Resolver<'_>,
) -> Option<Server> {
    let transport = match (&endpoint.value.ports, protocol.has_ports()) {
        (Some(ports), true) => Transport::Ports(protocol, ports.clone()),
        (None, false) => Transport::Plain(protocol),
        (None, true) => {
            let text = show_address(&endpoint.value.address);
            let diagnostic = port_shape::missing(endpoint.place, &text, &protocol.to_string(), token);
            resolver.diagnostics.push(diagnostic);
            return None;
        }
        (Some(_), false) => {
            let diagnostic = port_shape::superfluous(endpoint.place, &protocol.to_string(), token);
            resolver.diagnostics.push(diagnostic);
            return None;
        }
    };
    let possible =
        Family::BOTH.iter().any(|&family| protocol.exists_in(family) && resolver.sets().has(addresses, family));
    if !possible {
        let diagnostic = family_mismatch::protocol(&protocol.to_string(), Family::V6, endpoint.place, token);
        resolver.diagnostics.push(diagnostic);
        return None;
    }
    Some(Server { addresses, transport, place: endpoint.place })
}

fn show_address(address: &AddressPattern) -> String {
    match address {
        AddressPattern::Any => "*".to_string(),
        AddressPattern::Set(name) => format!("${name}"),
        AddressPattern::Range(range) if range.family() == Family::V6 => format!("[{range}]"),
        AddressPattern::Range(range) => range.to_string(),
    }
}

/// Finds endpoints that no source can reach for want of a common family, and sources that reach no endpoint.
pub(super) fn check_families(
    servers: &[Server],
    written: Option<&Placed<Vec<Placed<AddressPattern>>>>,
    from: Option<Addresses>,
    resolver: &mut Resolver<'_>,
) {
    let (Some(written), Some(from)) = (written, from) else { return };
    let reaches = |server: &Server, family: Family| {
        resolver.sets().has(server.addresses, family) && server.transport.exists_in(family)
    };
    let mut found = Vec::new();
    let mut last = None;
    for server in servers {
        let families = || Family::BOTH.into_iter().filter(|&family| reaches(server, family));
        if last != Some(server.place)
            && !families().any(|family| resolver.sets().has(from, family))
            && let Some(family) = families().next()
        {
            found.push(family_mismatch::report("the endpoint", family, server.place, "`from`", written.place));
            last = Some(server.place);
        }
    }
    if found.is_empty() && !servers.is_empty() {
        for item in &written.value {
            let AddressPattern::Range(range) = &item.value else { continue };
            let family = range.family();
            if let Some(first) = servers.first()
                && !servers.iter().any(|server| reaches(server, family))
            {
                let report = family_mismatch::report("this source", family, item.place, "the endpoint", first.place);
                found.push(report);
            }
        }
    }
    resolver.diagnostics.extend(found);
}
