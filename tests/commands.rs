//! Every command as a person or a script runs it: what it prints where, and with which code it ends.

#[path = "commands/apply.rs"]
mod apply;
#[path = "commands/check.rs"]
mod check;
#[path = "commands/compile.rs"]
mod compile;
#[path = "commands/rootless.rs"]
mod rootless;
#[path = "commands/status.rs"]
mod status;
#[path = "commands/streams.rs"]
mod streams;
mod support;

use support::{Ran, Spec, fwc};

/// A stateless service and a tracked one.
const WEB: &str = "services:\n  web: {listen: \"203.0.113.5:80\", stateless: true}\n  ssh: {listen: \"*:22\"}\n";
/// Three mistakes in one file: an unknown key, an unknown protocol, port 0.
const WRONG: &str = "services:\n  web: {listen: \"*:80\", stateles: true}\n  dns: {listen: \"*:53\", protocol: upd}\n  \
                     ssh: {listen: \"*:0\"}\n";
/// A warning and no error.
const ODD: &str = "forward:\n  backend: {to: \"10.0.0.8:443\", from: 10.1.0.0/16, stateless: true}\n";

/// What a command printed as JSON.
#[track_caller]
fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// The codes of the diagnostics in a document of `--format json`.
#[track_caller]
fn codes(text: &str) -> Vec<String> {
    let document = json(text);
    let diagnostics = document["diagnostics"].as_array().expect("a list of diagnostics");
    diagnostics.iter().map(|found| found["code"].as_str().expect("a code").to_owned()).collect()
}

/// A run that ended with this code.
#[track_caller]
fn ended(ran: Ran, status: i32) -> Ran {
    assert_eq!(ran.status, status, "{ran}");
    ran
}

/// A command line that makes no sense: exit code 2, a word about it on standard error, nothing on standard output.
#[track_caller]
fn is_misused(words: &[&str], says: &str) {
    let ran = ended(fwc(words), 2);
    assert!(ran.stdout.is_empty() && ran.stderr.contains(says), "{ran}");
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    let spec = Spec::new(WEB);
    let path = spec.path();
    is_misused(&[], "Usage");
    is_misused(&["frobnicate"], "frobnicate");
    is_misused(&["check"], "SPEC");
    is_misused(&["check", &path, "--format", "xml"], "xml");
    is_misused(&["compile", &path], "--target");
    is_misused(&["compile", &path, "--target", "pf"], "pf");
    is_misused(&["compile", &path, "--output", "file-without-a-target"], "--target");
    is_misused(&["apply", &path, "--sandbox", "--netns", "somewhere"], "--netns");
    is_misused(&["apply", &path, "--sandbox", "--force", "FWC999"], "there is no code `FWC999`");
    // A spec with errors has no rules that could be loaded.
    is_misused(&["apply", &path, "--sandbox", "--force", "FWC205"], "FWC205 cannot be overruled");
    is_misused(&["explain", "FWC999"], "there is no code `FWC999`");
    is_misused(&["explain", "FWC30"], "did you mean FWC301?");
    is_misused(&["schema", "--format", "sarif"], "fwc check");
    is_misused(&["compile", &path, "--target", "nft", "--format", "github"], "fwc check");
}

#[test]
fn explain_tells_of_each_code() {
    let list = fwc(&["explain"]).expect_success("fwc explain");
    let all = json(&fwc(&["explain", "--format", "json"]).expect_success("fwc explain --format json"));
    let all = all.as_array().expect("a list").clone();
    assert_eq!(list.lines().count(), all.len());
    assert_eq!(all.len(), fwc::diagnostic::finding::ALL.len());
    for (line, entry) in list.lines().zip(&all) {
        let word = |key: &str| entry[key].as_str().expect("text").to_owned();
        assert!(line.starts_with(&word("code")) && line.ends_with(&word("title")), "{line}");
    }
    let one = fwc(&["explain", "fwc205"]).expect_success("fwc explain fwc205");
    assert!(one.starts_with("FWC205 (error): "), "{one}");
    let same = json(&fwc(&["explain", "FWC205", "--format", "json"]).expect_success("fwc explain FWC205"));
    assert!(one.ends_with(same["explanation"].as_str().expect("text")), "{one}");
}

#[test]
fn schema_prints_the_published_schema() {
    let printed = fwc(&["schema"]).expect_success("fwc schema");
    let published = std::fs::read_to_string("schemas/fwc.schema.json").expect("the published schema");
    assert_eq!(printed, published);
}
