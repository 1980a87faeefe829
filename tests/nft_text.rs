//! The reader of fwc's own nft text: what fwc writes and what nft lists of it mean what fwc sends to the kernel.

#[path = "support/generate.rs"]
mod generate;
mod support;

use fwc::backend::Header;
use fwc::backend::nft::Program;
use fwc::backend::nft::netlink::messages;
use fwc::dump::{Dump, Verdict, netlink, nft_text};
use fwc::source::Sources;
use proptest::prelude::*;
use support::{Namespace, compile, folders};

const HEADER: Header<'static> = Header { version: "0.0.0", spec_hash: "0123456789abcdef" };

fn program(spec: &str) -> Program {
    Program::of(compile(spec).ruleset(), &HEADER)
}

/// The programs of the golden texts.
fn programs() -> impl Iterator<Item = Program> {
    let specs = folders("tests/golden/nft").into_iter().map(|folder| folder.join("spec.yaml"));
    specs.map(|path| program(&std::fs::read_to_string(path).unwrap()))
}

fn read(text: &str) -> Dump {
    nft_text::read(Sources::default().add("fwc.nft", text), text)
}

/// Every chain and rule, with all that sets hold and without places, chains in the order of their names.
fn shown(dump: &Dump) -> String {
    let mut chains: Vec<String> = Vec::new();
    for chain in &dump.chains {
        let mut text = format!("{} {} {:?}\n", chain.table, chain.name, chain.base);
        for rule in &chain.rules {
            text += &format!("    {}\n    {:?} {:?}\n", dump.words(rule), rule.conditions, rule.comment);
        }
        chains.push(text);
    }
    chains.sort();
    chains.concat()
}

fn understood(dump: &Dump, text: &str) {
    assert!(dump.unread.is_empty(), "{:?}\n{text}", dump.unread);
    for (_, rule) in dump.rules() {
        let words = dump.words(rule);
        assert!(rule.conditions.iter().all(|one| one.test.is_understood()), "{words}\n{text}");
        assert!(!matches!(rule.verdict, Verdict::Unknown(_)), "{words}\n{text}");
    }
}

fn same(left: &Dump, right: &Dump, what: &str) {
    let (left, right) = (shown(left), shown(right));
    if left != right {
        let difference = similar::TextDiff::from_lines(&left, &right);
        panic!("{what}:\n{}", difference.unified_diff().context_radius(3));
    }
}

/// The text is understood, and says what the messages say, which go to the kernel.
fn says_what_is_sent(program: &Program) {
    let text = program.text();
    let dump = read(&text);
    understood(&dump, &text);
    let sent = netlink::of_messages(&messages(program).bytes, &mut Sources::default(), "sent").unwrap();
    same(&dump, &sent, "text, messages");
    let mut rules = program.chains.iter().map(|chain| chain.rules.len());
    assert_eq!(
        dump.chains.iter().map(|chain| chain.rules.len()).collect::<Vec<_>>(),
        rules.by_ref().collect::<Vec<_>>()
    );
}

/// What nft lists, with the values of counters and without, reads like what it loaded.
fn lists_the_same(namespace: &Namespace, program: &Program) {
    let text = program.text();
    namespace.write_nft(&text);
    for words in [&["nft", "list", "table", "inet", "fwc"][..], &["nft", "-s", "list", "table", "inet", "fwc"]] {
        let listed = namespace.ok(words);
        let dump = read(&listed);
        understood(&dump, &listed);
        same(&read(&text), &dump, "written, listed");
    }
}

#[test]
fn expected_texts_say_what_is_sent() {
    programs().for_each(|program| says_what_is_sent(&program));
}

#[test]
fn expected_texts_list_the_same() {
    let namespace = Namespace::new("text");
    programs().for_each(|program| lists_the_same(&namespace, &program));
}

#[test]
fn every_rule_has_its_line() {
    for program in programs() {
        let text = program.text();
        let mut sources = Sources::default();
        let dump = nft_text::read(sources.add("fwc.nft", &*text), &text);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (_, rule) in dump.rules() {
            assert!(lines.contains(&sources.at(rule.place)), "{}", sources.at(rule.place));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn generated_texts_say_what_is_sent(spec in prop_oneof![generate::spec(), generate::nat_spec()]) {
        says_what_is_sent(&program(&spec));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn generated_texts_list_the_same(spec in prop_oneof![generate::spec(), generate::nat_spec()]) {
        lists_the_same(&Namespace::new("text"), &program(&spec));
    }
}
