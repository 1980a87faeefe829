//! The nf_tables form in the real kernel: the text and the messages load, list alike, and what is listed loads again.

#[path = "support/generate.rs"]
mod generate;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "nft/send.rs"]
mod send;

use std::path::Path;

use fwc::backend::Header;
use fwc::backend::nft::Program;
use fwc::backend::nft::netlink::messages;
use fwc::compile::{Compiled, check, check_text};
use namespace::Namespace;
use proptest::prelude::*;
use send::send;

const HEADER: Header<'static> = Header { version: "0.0.0", spec_hash: "0123456789abcdef" };

fn compile(text: &str) -> Compiled {
    let outcome = check_text("spec.yaml", text, Path::new(""));
    let errors: Vec<_> = outcome.diagnostics.iter().filter(|found| found.is_error()).collect();
    outcome.compiled.unwrap_or_else(|| panic!("{errors:#?}\n{text}"))
}

fn program(text: &str) -> Program {
    Program::of(&compile(text).ruleset, &HEADER)
}

const LIST: [&str; 5] = ["nft", "-s", "list", "table", "inet"];

fn list(namespace: &Namespace) -> String {
    let command: Vec<&str> = LIST.into_iter().chain(["fwc"]).collect();
    namespace.run(&command, "").unwrap()
}

/// A listing in which the order of elements does not count: a hash set lists them as they lie in the table.
fn sorted(listing: &str) -> String {
    let mut text = String::new();
    let mut rest = listing;
    while let Some(start) = rest.find("elements = {") {
        let (before, elements) = rest.split_at(start);
        let end = elements.find('}').unwrap();
        let inside = &elements["elements = {".len()..end];
        let mut items: Vec<String> =
            inside.split(',').map(|item| item.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        items.sort();
        text += before;
        text += &items.join("\n");
        rest = &elements[end..];
    }
    text + rest
}

/// Everything that must hold for a program; gives its listing.
fn holds(program: &Program) -> String {
    let text = program.text();
    let namespace = Namespace::new("nft");
    namespace.run(&["nft", "-f", "-"], &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let by_text = list(&namespace);
    let messages = messages(program);
    namespace.inside(|| send(&messages)).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let by_messages = list(&namespace);
    similar_asserts(&sorted(&by_text), &sorted(&by_messages), "text, messages");
    namespace.run(&["nft", "flush", "ruleset"], "").unwrap();
    let whole = namespace.run(&["nft", "-f", "-"], &by_messages);
    whole.unwrap_or_else(|error| panic!("the listing does not load: {error}\n{by_messages}"));
    similar_asserts(&sorted(&by_messages), &sorted(&list(&namespace)), "messages, listing loaded again");
    by_messages
}

fn similar_asserts(left: &str, right: &str, what: &str) {
    if left != right {
        let diff = similar::TextDiff::from_lines(left, right);
        panic!("{what}:\n{}", diff.unified_diff().context_radius(3));
    }
}

#[test]
fn the_examples_load_in_both_forms_and_list_alike() {
    for file in std::fs::read_dir("examples").unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "yaml") {
            let compiled = check(&file).compiled.unwrap();
            holds(&Program::of(&compiled.ruleset, &HEADER));
        }
    }
}

#[test]
fn smoke() {
    for file in std::fs::read_dir("examples").unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "yaml") {
            let compiled = check(&file).compiled.unwrap();
            let program = Program::of(&compiled.ruleset, &HEADER);
            println!("=== {}\n{}", file.display(), std::fs::read_to_string(&file).unwrap());
            println!("{}\n-----\n{}", program.text(), holds(&program));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn generated_specs_load_in_both_forms_and_list_alike(text in generate::spec()) {
        holds(&program(&text));
    }
}
