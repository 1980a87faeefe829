//! The JSON schema of a spec (draft 7, which editors understand), for completion and marking while somebody types.
//!
//! The types here mirror the language for the schema's sake only; nothing is read through them. Their comments are what an
//! editor shows. A test holds their keys and words against [`crate::parse::keys`].
#![allow(dead_code, reason = "the types are never made, only described")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::spec::Timeout;

/// The schema as JSON text, indented, with a line end.
#[must_use]
pub fn json() -> String {
    let mut settings = SchemaSettings::draft07();
    settings.transforms.insert(0, Box::new(RecursiveTransform(plain)));
    let mut schema = settings.into_generator().into_root_schema_for::<Spec>();
    schema.insert("title".to_string(), Value::from("fwc spec, version 1"));
    format!("{:#}\n", schema.to_value())
}

/// A key may be left out but never be null; `uint32` is no format that an editor knows.
fn plain(schema: &mut Schema) {
    schema.remove("format");
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_string(), only);
        }
    }
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    let Some(Value::Array(choices)) = schema.get_mut("anyOf") else { return };
    choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        schema.remove("anyOf");
        for (key, value) in only {
            schema.ensure_object().entry(key).or_insert(value);
        }
    }
}

/// Which services this host offers and uses. `fwc check` proves that it makes sense, `fwc apply` loads it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
struct Spec {
    /// The version of the spec language: 1, which is also meant where the key is left out.
    #[schemars(extend("const" = 1))]
    version: Option<u32>,
    /// What happens to packets that no entry accepts.
    policy: Option<Policy>,
    /// Named sets of addresses, used as `$name` in `listen`, `to`, `from` and `block`.
    #[schemars(extend("minProperties" = 1))]
    sets: Option<BTreeMap<Name, Set>>,
    /// Sources whose packets are dropped before anything else.
    block: Option<OneOrMany<Address>>,
    /// What this host offers, each service under its name.
    #[schemars(extend("minProperties" = 1))]
    services: Option<BTreeMap<Name, Service>>,
    /// What this host uses elsewhere, each client under its name.
    #[schemars(extend("minProperties" = 1))]
    clients: Option<BTreeMap<Name, Client>>,
    /// Services that are routed through this host, each under its name.
    #[schemars(extend("minProperties" = 1))]
    forward: Option<BTreeMap<Name, Forward>>,
    /// NAT rules. NAT needs tracking: beside it, no entry may be stateless unless `nat_conflict` allows it.
    #[schemars(length(min = 1))]
    nat: Option<Vec<Nat>>,
    /// Which NAT rules stateless entries live with. Left out: none. `overlap`: those that provably touch no stateless flow.
    nat_conflict: Option<NatConflict>,
    /// The size of the connection tracking table, or the word `disabled`: then whatever would need tracking is an error.
    conntrack: Option<Conntrack>,
    /// ICMP errors and neighbour discovery are always accepted; this is about the rest.
    icmp: Option<Icmp>,
    /// Packets and what must become of them, run by `fwc test`.
    #[schemars(length(min = 1))]
    tests: Option<Vec<Test>>,
}

/// A name: a lower-case letter, then lower-case letters, digits, `_` or `-`, 32 characters at most.
#[derive(JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[schemars(inline)]
struct Name(#[schemars(regex(pattern = r"^[a-z][a-z0-9_-]{0,31}$"))] String);

/// One value, or a list of them.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
enum OneOrMany<T> {
    One(T),
    Many(#[schemars(length(min = 1))] Vec<T>),
}

/// `accept`, or `drop` without an answer.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
enum Fate {
    Accept,
    Drop,
}

/// What happens to packets that no entry accepts.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
struct Policy {
    /// Packets to this host. Default: drop.
    input: Option<Fate>,
    /// Packets from this host. Default: accept.
    output: Option<Fate>,
    /// Packets through this host. Left out: fwc does not touch the forward hook.
    forward: Option<Fate>,
}

/// A set: addresses here, or a file with one address, prefix or range a line.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Set {
    Inline(OneOrMany<Address>),
    File(SetFile),
}

/// Addresses from a file.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct SetFile {
    /// The file, relative to the spec: one address, prefix or a-b range a line, `#` starts a comment.
    #[schemars(length(min = 1), example = &"blocklist.txt")]
    file: String,
}

/// A service that this host offers.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Service {
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
struct Client {
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
struct Forward {
    /// Where the service is. `*` is any address.
    to: OneOrMany<Endpoint>,
    /// Default: tcp.
    protocol: Option<OneOrMany<Protocol>>,
    /// true: routed without connection tracking, in both directions. Default: false, tracked.
    stateless: Option<bool>,
    /// Who may use it. Default: anyone, `*`.
    from: Option<OneOrMany<Address>>,
}

/// `ADDR:PORTS`. ADDR is an address, a prefix, `$set` or `*`, with IPv6 in brackets; PORTS is `80`, `8000-8999` or
/// `80,443,8000-8100`. Protocols without ports take ADDR alone. Put it in quotes where it starts with `*` or `[`.
#[derive(JsonSchema)]
struct Endpoint(
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
struct Address(
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
enum Protocol {
    Name(ProtocolName),
    /// The number in the IP header. ICMP is no service's protocol.
    Number(#[schemars(range(min = 1, max = 255), extend("not" = {"enum": [1, 58]}))] u8),
    Quoted(#[schemars(regex(pattern = r"^[1-9][0-9]{0,2}$"))] String),
}

struct ProtocolName;

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
struct Interface(
    #[schemars(regex(pattern = r"^[A-Za-z0-9_.@~=^%][A-Za-z0-9_.@~=^%-]{0,14}$"), example = &"eth0")] String,
);

/// Ports: `80`, `8000-8999` or `80,443,8000-8100`.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Ports {
    One(#[schemars(range(min = 1))] u16),
    Many(
        #[schemars(regex(
            pattern = r"^\s*[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?(\s*,\s*[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?)*\s*$"
        ))]
        String,
    ),
}

/// A NAT rule: one of the four kinds.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Nat {
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
struct Masquerade {
    /// The interface by which packets leave.
    out: Interface,
    /// Whose packets. Default: anyone's, `*`.
    from: Option<OneOrMany<Address>>,
}

/// A fixed address becomes the source.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Snat {
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
struct Dnat {
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
struct Redirect {
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
enum Port {
    Number(#[schemars(range(min = 1))] u16),
    Quoted(#[schemars(regex(pattern = r"^[1-9][0-9]{0,4}$"))] String),
}

/// `overlap`: NAT rules are accepted that provably touch no stateless flow.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
enum NatConflict {
    Overlap,
}

/// The size of the connection tracking table, or the word `disabled`.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Conntrack {
    Word(Disabled),
    Sized(Sized),
}

/// A promise that nothing needs tracking.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
enum Disabled {
    Disabled,
}

/// The size of the connection tracking table.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
struct Sized {
    /// Entries: `net.netfilter.nf_conntrack_max`.
    max: Option<Count>,
    /// Hash buckets: `net.netfilter.nf_conntrack_buckets`.
    buckets: Option<Count>,
    /// Timeouts by the name of their sysctl, without `nf_conntrack_` and `_timeout`.
    timeouts: Option<Timeouts>,
}

/// A number from 1 to 2147483647.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Count {
    Number(#[schemars(range(min = 1, max = 2_147_483_647))] u32),
    Quoted(#[schemars(regex(pattern = r"^[1-9][0-9]{0,9}$"))] String),
}

/// Whole seconds (`1000s` or `1000`), minutes (`30m`), hours (`12h`) or days (`5d`).
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Duration {
    Seconds(#[schemars(range(min = 1, max = 2_147_483))] u32),
    Text(#[schemars(regex(pattern = r"^[0-9]+[smhd]?$"), example = &"1000s")] String),
}

struct Timeouts;

impl JsonSchema for Timeouts {
    fn schema_name() -> Cow<'static, str> {
        "Timeouts".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let duration = generator.subschema_for::<Duration>();
        let properties: serde_json::Map<String, Value> =
            Timeout::ALL.iter().map(|&key| (key.to_string(), duration.clone().to_value())).collect();
        json_schema!({
            "description": "Timeouts by the name of their sysctl, without `nf_conntrack_` and `_timeout`.",
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
            "minProperties": 1,
        })
    }
}

/// ICMP beyond what is always accepted.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
struct Icmp {
    /// Whether echo requests are answered. Default: false.
    ping: Option<bool>,
}

/// A packet and what must become of it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("anyOf" = [{"required": ["expect"]}, {"required": ["tracking"]}]))]
struct Test {
    /// `PROTO SRC[:PORT] > DST[:PORT] [FLAGS or ICMP type]`. Flags are joined by commas; TCP without flags is `syn`.
    #[schemars(
        regex(pattern = r"^\s*[a-z0-9-]+\s+\S+\s+>\s+\S+(\s+\S+)?\s*$"),
        example = &"tcp 198.51.100.7:40000 > 203.0.113.5:80 syn"
    )]
    packet: String,
    /// Which way it goes. Default: in, to this host.
    direction: Option<Direction>,
    /// Where it comes in, or for `out` where it leaves.
    interface: Option<Interface>,
    /// What conntrack would say if it looked. Default: new.
    state: Option<State>,
    /// What must become of it.
    expect: Option<Fate>,
    /// Whether conntrack must follow it.
    tracking: Option<Tracking>,
    /// true: the mirrored packet, on its way back, is asserted as well.
    reply: Option<bool>,
}

/// Which way a packet goes.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
enum Direction {
    In,
    Out,
    Forward,
}

/// What conntrack says of a packet.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
enum State {
    New,
    Established,
    Related,
    Invalid,
}

/// Whether conntrack follows a flow.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
enum Tracking {
    Tracked,
    Untracked,
}
