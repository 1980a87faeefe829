//! NAT rules.

use schemars::JsonSchema;

use super::value::{Address, Endpoint, Interface, OneOrMany, Protocol};

/// A NAT rule: one of the four kinds.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Nat {
    /// The outgoing interface's address becomes the source.
    Masquerade(Masquerade),
    /// A fixed address becomes the source.
    Snat(Snat),
    /// Another address, and perhaps port, becomes the destination.
    Dnat(Dnat),
    /// A port of this host becomes the destination.
    Redirect(Redirect),
}

/// The outgoing interface's address becomes the source.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Masquerade {
    /// The interface by which packets leave.
    out: Interface,
    /// Whose packets. Default: anyone's, `*`.
    from: Option<OneOrMany<Address>>,
}

/// A fixed address becomes the source.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Snat {
    /// The interface by which packets leave.
    out: Interface,
    /// Whose packets. Default: anyone's, `*`.
    from: Option<OneOrMany<Address>>,
    /// The one address with which packets leave.
    #[schemars(regex(pattern = r"^[0-9A-Fa-f:.]+$"), example = &"203.0.113.9")]
    to: String,
}

/// Another address, and perhaps port, becomes the destination.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Dnat {
    /// What is translated.
    listen: OneOrMany<Endpoint>,
    /// Default: tcp.
    protocol: Option<OneOrMany<Protocol>>,
    /// The one address that packets go to, and at most one port.
    #[schemars(
        regex(pattern = r"^([0-9.]+|\[[0-9A-Fa-f:.]+\])(:[1-9][0-9]{0,4})?$|^[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*$"),
        example = &"10.0.0.8:443"
    )]
    to: String,
}

/// A port of this host becomes the destination.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Redirect {
    /// What is translated.
    listen: OneOrMany<Endpoint>,
    /// Default: tcp.
    protocol: Option<OneOrMany<Protocol>>,
    /// The one port of this host that packets go to.
    to: Port,
}

/// A port, 1 to 65535.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Port {
    Number(#[schemars(range(min = 1))] u16),
    Quoted(#[schemars(regex(pattern = r"^[1-9][0-9]{0,4}$"))] String),
}

/// `overlap`: NAT rules are accepted that provably touch no stateless flow.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
pub(super) enum NatConflict {
    Overlap,
}
