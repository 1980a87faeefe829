//! The reader of fwc's own nft text: what fwc writes and what nft lists of it mean what fwc sends to the kernel.

#[path = "support/generate.rs"]
mod generate;
mod support;

use fwc::backend::Header;
use fwc::backend::nft::Program;
use fwc::backend::nft::netlink::messages;
use fwc::dump::{Dump, Rule, Verdict, netlink, nft_text};
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

/// Every chain and rule, with all that sets hold and without places, chains in the order of their names. All conditions of a rule must
/// hold, so their order does not count.
fn shown(dump: &Dump) -> String {
    let mut chains: Vec<String> = Vec::new();
    for chain in &dump.chains {
        let mut text = format!("{} {} {:?}\n", chain.table, chain.name, chain.base);
        for rule in &chain.rules {
            let mut conditions: Vec<String> = rule.conditions.iter().map(|one| format!("    {one:?}\n")).collect();
            conditions.sort();
            let end = Rule { conditions: Vec::new(), ..rule.clone() };
            text += &format!("{}    {} {:?}\n", conditions.concat(), dump.words(&end), rule.comment);
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
    // The signature is a chain without rules.
    let mut rules = program.chains.iter().map(|chain| chain.rules.len()).chain([0]);
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

/// What may happen to a text.
#[derive(Debug, Clone)]
enum Damage {
    Cut(prop::sample::Index, usize),
    Insert(prop::sample::Index, String),
    End(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let signs = prop::sample::select(vec![
        "{",
        "}",
        "\"",
        "\n",
        ";",
        ",",
        ". ",
        "@",
        "table ",
        "delete table inet fwc\n",
        "é",
        "#",
    ]);
    prop_oneof![
        (any::<prop::sample::Index>(), 1..40_usize).prop_map(|(at, length)| Damage::Cut(at, length)),
        (any::<prop::sample::Index>(), signs).prop_map(|(at, sign)| Damage::Insert(at, sign.to_string())),
        any::<prop::sample::Index>().prop_map(Damage::End),
    ]
}

impl Damage {
    fn apply(&self, text: &mut String) {
        let boundary = |text: &str, at: usize| (0..=at.min(text.len())).rfind(|&at| text.is_char_boundary(at)).unwrap();
        let place = |text: &str, at: &prop::sample::Index| boundary(text, at.index(text.len() + 1));
        match self {
            Damage::Cut(at, length) => {
                let start = place(text, at);
                text.replace_range(start..boundary(text, start + length), "");
            }
            Damage::Insert(at, sign) => text.insert_str(place(text, at), sign),
            Damage::End(at) => text.truncate(place(text, at)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn damaged_texts_are_read_to_their_end(
        spec in prop_oneof![generate::spec(), generate::nat_spec()], damage in prop::collection::vec(damage(), 1..4)
    ) {
        let mut text = program(&spec).text();
        damage.iter().for_each(|one| one.apply(&mut text));
        let mut sources = Sources::default();
        let file = sources.add("fwc.nft", &*text);
        let dump = nft_text::read(file, &text);
        let places = dump.rules().map(|(chain, rule)| [chain.place, rule.place]).collect::<Vec<_>>().concat();
        for place in places.into_iter().chain(dump.unread.iter().map(|unread| unread.place)) {
            prop_assert!(text.get(place.start as usize..place.end as usize).is_some(), "{place:?}\n{text}");
        }
    }

    #[test]
    fn another_verdict_or_element_reads_differently(spec in generate::spec(), at in any::<prop::sample::Index>()) {
        let text = program(&spec).text();
        // A rule's or policy's verdict, the last port or prefix length of an element.
        let ends = [" accept", " drop", " notrack", " return", ".5 . tcp", ". udp . 53", "/24"];
        let found: Vec<(usize, &str)> = ends.iter().flat_map(|end| text.match_indices(end)).collect();
        let (start, old) = found[at.index(found.len())];
        let new = match old {
            " accept" | " notrack" => " drop",
            " drop" | " return" => " accept",
            ".5 . tcp" => ".4 . tcp",
            ". udp . 53" => ". udp . 54",
            _ => "/25",
        };
        let mut other = text.clone();
        other.replace_range(start..start + old.len(), new);
        prop_assert_ne!(shown(&read(&text)), shown(&read(&other)), "{} for {}\n{}", new, old, text);
    }

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
