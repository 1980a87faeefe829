//! Sets, services, clients and forwards.

use schemars::JsonSchema;

use super::value::{Address, Endpoint, Interface, OneOrMany, Ports, Protocol};

/// A set: addresses here, or a file with one address, prefix or range a line.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Set {
    Inline(OneOrMany<Address>),
    File(SetFile),
}

/// Addresses from a file.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct SetFile {
    /// The file, relative to the spec: one address, prefix or a-b range a line, `#` starts a comment.
    #[schemars(length(min = 1), example = &"blocklist.txt")]
    file: String,
}

/// A service that this host offers.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Service {
    /// Where it listens. `*` is every address of this host.
    listen: OneOrMany<Endpoint>,
    /// Default: tcp.
    protocol: Option<OneOrMany<Protocol>>,
    /// true: served without connection tracking, in both directions. Default: false, tracked.
    stateless: Option<bool>,
    /// Who may use it. Default: anyone, `*`.
    from: Option<OneOrMany<Address>>,
    /// The interfaces on which requests may come in. Default: any.
    interface: Option<OneOrMany<Interface>>,
}

/// A service elsewhere that this host uses.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Client {
    /// Where the service is. `*` is any address.
    to: OneOrMany<Endpoint>,
    /// Default: tcp.
    protocol: Option<OneOrMany<Protocol>>,
    /// true: used without connection tracking, in both directions. Default: false, tracked.
    stateless: Option<bool>,
    /// This host's side. Default: 32768-60999, as Linux has it.
    local_ports: Option<Ports>,
}

/// A service that is routed through this host.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Forward {
    /// Where the service is. `*` is any address.
    to: OneOrMany<Endpoint>,
    /// Default: tcp.
    protocol: Option<OneOrMany<Protocol>>,
    /// true: routed without connection tracking, in both directions. Default: false, tracked.
    stateless: Option<bool>,
    /// Who may use it. Default: anyone, `*`.
    from: Option<OneOrMany<Address>>,
}
