//! Services, clients and forwards.

use super::keys;
use super::reader::{Field, Owner, Reader};
use crate::few::Few;
use crate::net::{Endpoint, Protocol};
use crate::source::Placed;
use crate::spec::{Client, Forward, Service};

/// A service.
pub(super) fn service(r: &mut Reader<'_, '_>, owner: &Owner<'_>, field: &Field) -> Option<Service> {
    let [listen, protocol, stateless, from, interface] = r.fields(owner, field.value, &keys::SERVICE)?;
    let (listen, protocols) = server(r, (listen, protocol), owner, "listen", "203.0.113.5:80");
    Some(Service {
        listen,
        protocols,
        stateless: stateless.and_then(|field| r.truth(&field)),
        from: from.and_then(|field| r.sources(&field)),
        interfaces: interface.map(|field| r.values(&field)).unwrap_or_default(),
    })
}

/// A client.
pub(super) fn client(r: &mut Reader<'_, '_>, owner: &Owner<'_>, field: &Field) -> Option<Client> {
    let [to, protocol, stateless, local_ports] = r.fields(owner, field.value, &keys::CLIENT)?;
    let (to, protocols) = server(r, (to, protocol), owner, "to", "9.9.9.9:53");
    Some(Client {
        to,
        protocols,
        stateless: stateless.and_then(|field| r.truth(&field)),
        local_ports: local_ports.and_then(|field| r.value(&field)),
    })
}

/// A forward.
pub(super) fn forward(r: &mut Reader<'_, '_>, owner: &Owner<'_>, field: &Field) -> Option<Forward> {
    let [to, protocol, stateless, from] = r.fields(owner, field.value, &keys::FORWARD)?;
    let (to, protocols) = server(r, (to, protocol), owner, "to", "10.0.0.8:443");
    Some(Forward {
        to,
        protocols,
        stateless: stateless.and_then(|field| r.truth(&field)),
        from: from.and_then(|field| r.sources(&field)),
    })
}

/// The endpoints of the required key `key` and the protocols of `protocol`, which are empty where the key is absent.
/// Where every protocol is refused there are no endpoints either: their meaning is not known then.
pub(super) fn server(
    r: &mut Reader<'_, '_>,
    (endpoints, protocol): (Option<Field>, Option<Field>),
    owner: &Owner<'_>,
    key: &str,
    example: &str,
) -> (Few<Placed<Endpoint>>, Few<Placed<Protocol>>) {
    let endpoints = r.required(endpoints, owner, key, example).map(|field| r.values(&field)).unwrap_or_default();
    let protocols: Option<Few<Placed<Protocol>>> = protocol.map(|field| r.values(&field));
    match protocols {
        None => (endpoints, Few::new()),
        Some(refused) if refused.is_empty() => (Few::new(), Few::new()),
        Some(protocols) => (endpoints, protocols),
    }
}
