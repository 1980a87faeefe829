//! The size of the connection tracking table.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::spec::Timeout;

/// The size of the connection tracking table, or the word `disabled`.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Conntrack {
    Word(Disabled),
    Sized(Sized),
}

/// A promise that nothing needs tracking.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
pub(super) enum Disabled {
    Disabled,
}

/// The size of the connection tracking table.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
pub(super) struct Sized {
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
pub(super) enum Count {
    Number(#[schemars(range(min = 1, max = 2_147_483_647))] u32),
    Quoted(#[schemars(regex(pattern = r"^[1-9][0-9]{0,9}$"))] String),
}

/// Whole seconds (`1000s` or `1000`), minutes (`30m`), hours (`12h`) or days (`5d`).
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Duration {
    Seconds(#[schemars(range(min = 1, max = 2_147_483))] u32),
    Text(#[schemars(regex(pattern = r"^[0-9]+[smhd]?$"), example = &"1000s")] String),
}

pub(super) struct Timeouts;

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
