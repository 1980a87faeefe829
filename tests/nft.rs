//! The nf_tables form: what a plan means, what the kernel says to it, how it reads.
//!
//! Each folder of `tests/golden/nft` holds a spec (`spec.yaml`) and the text that it becomes. `FWC_BLESS=1 cargo test --test nft` writes them
//! anew; read what changed before you commit it.

#[path = "nft/crowd.rs"]
mod crowd;
#[path = "support/generate.rs"]
mod generate;
#[path = "nft/interpreter.rs"]
mod interpreter;
#[path = "nft/packets.rs"]
mod packets;
mod support;

use std::path::Path;

use fwc::backend::Header;
use fwc::backend::nft::netlink::messages;
use fwc::backend::nft::{Elements, Program};
use fwc::compile::{Compiled, check, check_text};
use fwc::kernel::socket::Socket;
use fwc::kernel::table::verify_loaded;
use fwc::kernel::transaction::Transaction;
use fwc::packet::evaluate;
use proptest::prelude::*;
use proptest::test_runner::TestRng;
use support::Namespace;

const HEADER: Header<'static> = Header { version: "0.0.0", spec_hash: "0123456789abcdef" };

fn compile(text: &str) -> Compiled {
    let outcome = check_text("spec.yaml", text, Path::new(""));
    let errors: Vec<_> = outcome.diagnostics.iter().filter(|found| found.is_error()).collect();
    outcome.compiled.unwrap_or_else(|| panic!("{errors:#?}\n{text}"))
}

fn program(text: &str) -> Program {
    Program::of(&compile(text).ruleset, &HEADER)
}

fn same(left: &str, right: &str, what: &str) {
    if left != right {
        let difference = similar::TextDiff::from_lines(left, right);
        panic!("{what}:\n{}", difference.unified_diff().context_radius(3));
    }
}

fn list(namespace: &Namespace) -> String {
    namespace.ok(["nft", "-s", "list", "table", "inet", "fwc"])
}

/// A listing in which the order of elements does not count: a hash set lists them as they lie in its table.
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

/// Loads the messages in the namespace and reads back what became of them.
fn load(namespace: &Namespace, program: &Program) {
    let messages = messages(program);
    namespace.enter(|| {
        let mut socket = Socket::open().unwrap();
        let committed = Transaction::new(&messages).commit(&mut socket);
        committed.unwrap_or_else(|error| panic!("{error:?}\n{}", program.text()));
        verify_loaded(&mut socket, &messages).unwrap_or_else(|error| panic!("{error:?}\n{}", program.text()));
    });
}

/// The kernel takes the text and the messages, both list alike, and what is listed loads again. Gives the listing.
fn holds(program: &Program) -> String {
    let namespace = Namespace::new("nft");
    namespace.write_nft(&program.text());
    let by_text = list(&namespace);
    load(&namespace, program);
    let by_messages = list(&namespace);
    same(&sorted(&by_text), &sorted(&by_messages), "text, messages");
    namespace.ok(["nft", "flush", "ruleset"]);
    namespace.write_nft(&by_messages);
    same(&sorted(&by_messages), &sorted(&list(&namespace)), "messages, their listing loaded again");
    by_messages
}

/// The program does with packets what the rules say.
fn means_the_same(text: &str, packets: usize) {
    let compiled = compile(text);
    let program = Program::of(&compiled.ruleset, &HEADER);
    interpreter::sound(&program);
    let mut rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    for _ in 0..packets {
        let packet = packets::packet(&compiled.ruleset, &mut rng);
        let journey = evaluate(&compiled.ruleset, &packet);
        let got = interpreter::carry_out(&program, compiled.ruleset.tracks, &packet);
        assert_eq!((journey.tracking, journey.fate), got, "{packet:?}\n{text}\n{}", program.text());
    }
}

#[test]
fn the_examples_load_in_both_forms_and_list_alike() {
    for file in std::fs::read_dir("examples").unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "yaml") {
            holds(&Program::of(&check(&file).compiled.unwrap().ruleset, &HEADER));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn generated_specs_load_in_both_forms_and_list_alike(text in generate::spec()) {
        holds(&program(&text));
    }

    #[test]
    fn nat_loads_in_both_forms_and_lists_alike(text in generate::nat_spec()) {
        holds(&program(&text));
    }

    #[test]
    fn crowds_load_in_both_forms_and_list_alike(text in crowd::spec()) {
        holds(&program(&text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn plans_mean_what_the_rules_mean(text in prop_oneof![generate::spec(), generate::nat_spec(), crowd::spec()]) {
        means_the_same(&text, 1_000);
    }

    #[test]
    fn the_same_spec_gives_the_same_text(text in prop_oneof![generate::spec(), crowd::spec()]) {
        same(&program(&text).text(), &program(&text).text(), "twice");
    }
}
