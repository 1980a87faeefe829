//! What of the JSON is not understood, in nft's words. The same words come only of the same JSON.

use serde_json::{Map, Value as Json};

/// The words for a statement or an expression.
pub(super) fn words(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        Json::Array(all) => all.iter().map(words).collect::<Vec<_>>().join(","),
        Json::Object(object) => object_words(object).unwrap_or_else(|| json.to_string()),
        other => other.to_string(),
    }
}

fn object_words(object: &Map<String, Json>) -> Option<String> {
    let mut items = object.iter();
    let ((kind, inside), None) = (items.next()?, items.next()) else { return None };
    let list = || inside.as_array().map(|all| all.iter().map(words).collect::<Vec<_>>());
    Some(match kind.as_str() {
        "match" => {
            let [left, operator, right] = only(inside, ["left", "op", "right"])?;
            format!("{} {} {}", words(left), operator.as_str()?, words(right))
        }
        "mangle" => {
            let [key, value] = only(inside, ["key", "value"])?;
            format!("{} set {}", words(key), words(value))
        }
        "vmap" | "map" => {
            let [key, data] = only(inside, ["key", "data"])?;
            format!("{} {kind} {}", words(key), words(data))
        }
        "payload" => {
            let [protocol, field] = only(inside, ["protocol", "field"])?;
            format!("{} {}", protocol.as_str()?, field.as_str()?)
        }
        "meta" | "ct" | "socket" => {
            let [key] = only(inside, ["key"])?;
            format!("{kind} {}", key.as_str()?)
        }
        "concat" => list()?.join(" . "),
        "set" if inside.is_array() => format!("{{ {} }}", list()?.join(", ")),
        "range" => list()?.join("-"),
        "&" | "|" | "^" | "<<" | ">>" => list()?.join(&format!(" {kind} ")),
        _ => format!("{kind} {}", words(inside)),
    })
}

/// The values of an object that has exactly these keys.
fn only<'j, const N: usize>(json: &'j Json, keys: [&str; N]) -> Option<[&'j Json; N]> {
    let object = json.as_object().filter(|object| object.len() == N)?;
    let found: Vec<&Json> = keys.iter().filter_map(|key| object.get(*key)).collect();
    found.try_into().ok()
}
