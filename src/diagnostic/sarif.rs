//! Diagnostics as SARIF 2.1.0, for code scanning.

use serde_json::{Value, json};

use super::Severity;
use super::finding::ALL;
use super::json::{Document, Item, Token};

/// The log as text, with a line end.
#[must_use]
pub fn render(document: &Document<'_>) -> String {
    let rules: Vec<Value> = ALL
        .iter()
        .map(|finding| {
            json!({
                "id": finding.code,
                "shortDescription": { "text": finding.title },
                "help": { "text": finding.explanation, "markdown": finding.explanation },
                "defaultConfiguration": { "level": if finding.severity == Severity::Error { "error" } else { "warning" } },
            })
        })
        .collect();
    let results: Vec<Value> = document.diagnostics.iter().map(result).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "fwc", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn result(item: &Item<'_>) -> Value {
    let mut labels = item.labels.iter();
    let main: Vec<Value> = labels.next().map(location).into_iter().collect();
    json!({
        "ruleId": item.code,
        "level": item.severity,
        "message": { "text": format!("{}. help: {}", item.message, item.help) },
        "locations": main,
        "relatedLocations": labels.map(location).collect::<Vec<_>>(),
    })
}

fn location(label: &Token<'_>) -> Value {
    json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(label.file) },
            "region": {
                "startLine": label.line,
                "startColumn": label.column,
                "endLine": label.end_line,
                "endColumn": label.end_column,
            },
        },
        "message": { "text": label.text },
    })
}

/// A path as a URI reference: what is not plain is percent-encoded.
fn uri(path: &str) -> String {
    path.bytes().fold(String::new(), |mut uri, byte| {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
        uri
    })
}
