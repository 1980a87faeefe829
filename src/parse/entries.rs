//! Services, clients and forwards.

use super::keys;
use super::reader::{Field, Owner, Reader};
use crate::net::{Endpoint, Protocol};
use crate::source::Placed;
use crate::spec::{Client, Forward, Service};

/// A service.
pub(super) fn service(r: &mut Reader<'_, '_>, owner: &Owner<'_>, field: &Field) -> Option<Service> {
    let [listen, protocol, stateless, from, interface] = r.fields(owner, field.value, &keys::SERVICE)?;
    Some(Service {
        listen: endpoints(r, listen, owner, "listen", "203.0.113.5:80"),
        protocols: protocols(r, protocol),
        stateless: stateless.and_then(|field| r.truth(&field)),
        from: from.and_then(|field| r.sources(&field)),
        interfaces: interface.map(|field| r.values(&field)).unwrap_or_default(),
    })
}

/// A client.
pub(super) fn client(r: &mut Reader<'_, '_>, owner: &Owner<'_>, field: &Field) -> Option<Client> {
    let [to, protocol, stateless, local_ports] = r.fields(owner, field.value, &keys::CLIENT)?;
    Some(Client {
        to: endpoints(r, to, owner, "to", "9.9.9.9:53"),
        protocols: protocols(r, protocol),
        stateless: stateless.and_then(|field| r.truth(&field)),
        local_ports: local_ports.and_then(|field| r.value(&field)),
    })
}

/// A forward.
pub(super) fn forward(r: &mut Reader<'_, '_>, owner: &Owner<'_>, field: &Field) -> Option<Forward> {
    let [to, protocol, stateless, from] = r.fields(owner, field.value, &keys::FORWARD)?;
    Some(Forward {
        to: endpoints(r, to, owner, "to", "10.0.0.8:443"),
        protocols: protocols(r, protocol),
        stateless: stateless.and_then(|field| r.truth(&field)),
        from: from.and_then(|field| r.sources(&field)),
    })
}

/// The endpoints of a required key.
pub(super) fn endpoints(
    r: &mut Reader<'_, '_>,
    field: Option<Field>,
    owner: &Owner<'_>,
    key: &str,
    example: &str,
) -> Vec<Placed<Endpoint>> {
    let field = r.required(field, owner, key, example);
    field.map(|field| r.values(&field)).unwrap_or_default()
}

/// The protocols of an optional `protocol`.
pub(super) fn protocols(r: &mut Reader<'_, '_>, field: Option<Field>) -> Vec<Placed<Protocol>> {
    field.map(|field| r.values(&field)).unwrap_or_default()
}
