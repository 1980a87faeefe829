//! The JSON schema of a spec (draft 7, which editors understand), for completion and marking while somebody types.
//!
//! The types here mirror the language for the schema's sake only; nothing is read through them. Their comments are what an
//! editor shows. A test holds their keys and words against [`crate::parse::keys`].
#![allow(dead_code, reason = "the types are never made, only described")]

mod conntrack;
mod entry;
mod nat;
mod test;
mod value;

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use conntrack::Conntrack;
use entry::{Client, Forward, Service, Set};
use nat::{Nat, NatConflict};
use test::Test;
use value::{Address, Fate, Name, OneOrMany};

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

/// ICMP beyond what is always accepted.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
struct Icmp {
    /// Whether echo requests are answered. Default: false.
    ping: Option<bool>,
}
