//! `fwc doctor`: what it says of hosts that are ill in each way, and of one that is not.

mod facts;
mod host;
mod nat;
#[path = "../support/mod.rs"]
mod support;

use serde_json::Value;
use support::{Namespace, Ran};

/// Runs `fwc doctor` in a namespace and gives the document, the exit code and the codes of the diagnostics.
fn doctor(namespace: &Namespace) -> (Value, i32, Vec<String>) {
    let ran = namespace.fwc(&["doctor", "--format", "json"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"));
    assert_eq!((document["format"].as_str(), document["version"].as_u64()), (Some("fwc-doctor"), Some(1)));
    let codes = codes(&ran);
    assert_eq!(document["findings"], serde_json::json!(codes), "{ran}");
    assert_eq!(document["healthy"], codes.is_empty(), "{ran}");
    (document, ran.status, codes)
}

fn codes(ran: &Ran) -> Vec<String> {
    if ran.stderr.is_empty() {
        return Vec::new();
    }
    let document: Value = serde_json::from_str(&ran.stderr).unwrap_or_else(|error| panic!("{error}: {ran}"));
    let found = document["diagnostics"].as_array().expect("diagnostics");
    found.iter().map(|found| found["code"].as_str().expect("a code").to_owned()).collect()
}

/// The entries of whoever has this title; none where nobody has.
fn entries(document: &Value, title: &str) -> Option<u64> {
    let users = document["users"].as_array().unwrap_or_else(|| panic!("no users in {document:#}"));
    users.iter().find(|user| user["title"] == title).map(|user| user["entries"].as_u64().expect("a figure"))
}
