//! Values: names, endpoints, addresses, protocols, interfaces, ports.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A name: a lower-case letter, then lower-case letters, digits, `_` or `-`, 32 characters at most.
#[derive(JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[schemars(inline)]
pub(super) struct Name(#[schemars(regex(pattern = r"^[a-z][a-z0-9_-]{0,31}$"))] String);

/// One value, or a list of them.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(#[schemars(length(min = 1))] Vec<T>),
}

/// `accept`, or `drop` without an answer.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
pub(super) enum Fate {
    Accept,
    Drop,
}

/// `ADDR:PORTS`. ADDR is an address, a prefix, `$set` or `*`, with IPv6 in brackets; PORTS is `80`, `8000-8999` or
/// `80,443,8000-8100`. Protocols without ports take ADDR alone. Put it in quotes where it starts with `*` or `[`.
#[derive(JsonSchema)]
pub(super) struct Endpoint(
    #[schemars(
        regex(
            pattern = r"^(\*|\$[a-z][a-z0-9_-]{0,31}|[0-9./-]+|\[[0-9A-Fa-f:./-]+\])(:[1-9][0-9,\s-]*)?$|^[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:./-]*$"
        ),
        example = &"203.0.113.5:80",
        example = &"[2001:db8::5]:443",
        example = &"*:22"
    )]
    String,
);

/// An address, a prefix, an `a-b` range, `$set`, or `*` for anyone.
#[derive(JsonSchema)]
pub(super) struct Address(
    #[schemars(
        regex(pattern = r"^(\*|\$[a-z][a-z0-9_-]{0,31}|[0-9A-Fa-f:./\s-]+)$"),
        example = &"192.0.2.0/24",
        example = &"2001:db8::/32",
        example = &"$admins"
    )]
    String,
);

/// A protocol by name or number.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Protocol {
    Name(ProtocolName),
    /// The number in the IP header. ICMP is no service's protocol.
    Number(#[schemars(range(min = 1, max = 255), extend("not" = {"enum": [1, 58]}))] u8),
    Quoted(#[schemars(regex(pattern = r"^[1-9][0-9]{0,2}$"))] String),
}

pub(super) struct ProtocolName;

impl JsonSchema for ProtocolName {
    fn schema_name() -> Cow<'static, str> {
        "ProtocolName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = crate::net::Protocol::names().collect();
        json_schema!({"type": "string", "enum": names})
    }
}

/// The exact name of a network interface.
#[derive(JsonSchema)]
pub(super) struct Interface(
    #[schemars(regex(pattern = r"^[A-Za-z0-9_.@~=^%][A-Za-z0-9_.@~=^%-]{0,14}$"), example = &"eth0")] String,
);

/// Ports: `80`, `8000-8999` or `80,443,8000-8100`.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Ports {
    One(#[schemars(range(min = 1))] u16),
    Many(
        #[schemars(regex(
            pattern = r"^\s*[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?(\s*,\s*[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?)*\s*$"
        ))]
        String,
    ),
}
