//! The readers of rulesets: what fwc sends, what the kernel lists and what nft prints mean the same.

mod support;

use fwc::backend::Header;
use fwc::backend::nft::Program;
use fwc::backend::nft::netlink::{Messages, messages};
use fwc::dump::{Dump, Verdict, netlink, nft_json};
use fwc::kernel::listing::{all_tables, own_table};
use fwc::kernel::socket::Socket;
use fwc::kernel::transaction::Transaction;
use fwc::source::Sources;
use proptest::prelude::*;
use support::{Namespace, compile};

const HEADER: Header<'static> = Header { version: "0.0.0", spec_hash: "0123456789abcdef" };

/// The specs of the golden texts, by their folders' names.
fn specs() -> Vec<(String, Messages)> {
    let mut all = Vec::new();
    for folder in std::fs::read_dir("tests/golden/nft").unwrap().map(|entry| entry.unwrap().path()) {
        let outcome = fwc::compile::check(&folder.join("spec.yaml"));
        let checked = outcome.compiled.unwrap_or_else(|| panic!("{} does not compile", folder.display()));
        all.push((folder.display().to_string(), messages(&Program::of(checked.ruleset(), &HEADER))));
    }
    assert!(all.len() >= 8);
    all
}

/// Every chain and rule in words, chains in the order of their names: nothing promises in which order the kernel lists them.
fn words_of(dump: &Dump) -> String {
    let mut chains: Vec<String> = Vec::new();
    for chain in &dump.chains {
        let mut text = format!("{} {} {:?}\n", chain.table, chain.name, chain.base);
        for rule in &chain.rules {
            // The words leave out what is in long sets.
            text += &format!("    {}\n    {:?}\n", dump.words(rule), rule.conditions);
        }
        chains.push(text);
    }
    chains.sort();
    chains.concat()
}

fn understood(dump: &Dump, what: &str) {
    assert!(dump.unread.is_empty(), "{what}: {:?}", dump.unread);
    for (_, rule) in dump.rules() {
        let words = dump.words(rule);
        assert!(rule.conditions.iter().all(|one| one.test.is_understood()), "{what}: {words}");
        assert!(!matches!(rule.verdict, fwc::dump::Verdict::Unknown(_)), "{what}: {words}");
    }
}

fn sent(messages: &Messages) -> Dump {
    netlink::of_messages(&messages.bytes, &mut Sources::default(), "sent").unwrap()
}

fn same(left: &str, right: &str, what: &str) {
    if left != right {
        let difference = similar::TextDiff::from_lines(left, right);
        panic!("{what}:\n{}", difference.unified_diff().context_radius(3));
    }
}

#[test]
fn everything_that_is_sent_is_understood() {
    for (name, messages) in specs() {
        let dump = sent(&messages);
        understood(&dump, &name);
        assert!(dump.rules().count() > 5, "{name}");
    }
}

#[test]
fn the_kernel_lists_what_was_sent() {
    for (name, messages) in specs() {
        let namespace = Namespace::new("dump");
        let (own, all) = namespace.enter(|| {
            let mut socket = Socket::open().unwrap();
            Transaction::new(&messages).commit(&mut socket).unwrap();
            (own_table(&mut socket).unwrap(), all_tables(&mut socket).unwrap())
        });
        for listed in [own, all] {
            let listed = netlink::of_messages(&listed, &mut Sources::default(), "listed").unwrap();
            understood(&listed, &name);
            same(&words_of(&sent(&messages)), &words_of(&listed), &name);
        }
    }
}

#[test]
fn a_rule_has_its_line_in_the_listing() {
    let checked = compile("services:\n  web: {listen: \"203.0.113.5:80\", stateless: true}\n");
    let messages = messages(&Program::of(checked.ruleset(), &HEADER));
    let mut sources = Sources::default();
    let dump = netlink::of_messages(&messages.bytes, &mut sources, "live table inet fwc").unwrap();
    for (chain, rule) in dump.rules() {
        let line = sources.at(rule.place);
        assert!(line.starts_with(&dump.words(rule)), "{line}");
        assert!(sources.at(chain.place).starts_with(&format!("chain {}", chain.name)));
        assert_eq!(sources.position(rule.place).name, "live table inet fwc");
    }
}

/// What nft prints as JSON in the namespace.
fn json(namespace: &Namespace, words: &[&str]) -> Dump {
    let text = namespace.ok([&["nft", "-j", "list"], words].concat());
    nft_json::read("ruleset.json", &text, &mut Sources::default())
}

#[test]
fn the_json_of_nft_says_what_was_sent() {
    for (name, messages) in specs() {
        let namespace = Namespace::new("json");
        namespace.enter(|| Transaction::new(&messages).commit(&mut Socket::open().unwrap()).map(drop)).unwrap();
        for words in [&["ruleset"][..], &["table", "inet", "fwc"]] {
            let printed = json(&namespace, words);
            understood(&printed, &name);
            same(&words_of(&sent(&messages)), &words_of(&printed), &name);
        }
    }
}

#[test]
fn foreign_rules_mean_the_same_to_both_readers() {
    let namespace = Namespace::new("foreign");
    namespace.write_nft(include_str!("dump_readers/foreign.nft"));
    let printed = json(&namespace, &["ruleset"]);
    let bytes = namespace.enter(|| all_tables(&mut Socket::open().unwrap())).unwrap();
    let listed = netlink::of_messages(&bytes, &mut Sources::default(), "listed").unwrap();
    assert_eq!(printed.unread.len(), listed.unread.len());
    let (mut compared, mut opaque) = (0, Vec::new());
    for chain in &listed.chains {
        let same_chain = |other: &&fwc::dump::Chain| (&other.table, &other.name) == (&chain.table, &chain.name);
        let other = printed.chains.iter().find(same_chain).expect("the chain");
        assert_eq!((chain.base, chain.family, chain.rules.len()), (other.base, other.family, other.rules.len()));
        for (left, right) in chain.rules.iter().zip(&other.rules) {
            let words = (listed.words(left), printed.words(right));
            assert_eq!(is_understood(left), is_understood(right), "{words:?}");
            assert_eq!(left.comment, right.comment);
            if is_understood(left) {
                compared += 1;
                assert_eq!(unordered(left), unordered(right), "{words:?}");
                assert_eq!(outcome(&listed, left), outcome(&printed, right), "{words:?}");
            } else {
                opaque.push(words.1);
            }
        }
    }
    let expected = include_str!("dump_readers/opaque.txt");
    same(expected, &(opaque.join("\n") + "\n"), "what is not understood");
    assert!(compared > 60, "{compared}");
}

/// What a rule does: its verdict in words, which name the chain of a jump, and the kinds of its effects, whose words differ.
fn outcome(dump: &Dump, rule: &fwc::dump::Rule) -> (String, Vec<std::mem::Discriminant<fwc::dump::Effect>>) {
    let mut bare = rule.clone();
    bare.conditions.clear();
    bare.effects.clear();
    (dump.words(&bare), rule.effects.iter().map(std::mem::discriminant).collect())
}

/// The conditions of a rule, in an order of their own: all must hold.
fn unordered(rule: &fwc::dump::Rule) -> Vec<String> {
    let mut all: Vec<String> = rule.conditions.iter().map(|one| format!("{one:?}")).collect();
    all.sort();
    all
}

/// Whether every condition and the verdict of a rule are understood.
fn is_understood(rule: &fwc::dump::Rule) -> bool {
    rule.conditions.iter().all(|one| one.test.is_understood()) && !matches!(rule.verdict, Verdict::Unknown(_))
}

#[test]
fn what_is_not_json_says_where() {
    let mut sources = Sources::default();
    let dump = nft_json::read("broken.json", "{\"nftables\": [\n  {\"table\" oops}]}", &mut sources);
    assert_eq!(dump.unread.len(), 1);
    assert_eq!(sources.position(dump.unread[0].place).to_string(), "broken.json:2:12");
    let dump = nft_json::read("other.json", "[]", &mut sources);
    assert_eq!((dump.unread.len(), dump.chains.len()), (1, 0));
}

#[test]
fn a_large_set_is_read_fast() {
    use std::fmt::Write;
    let mut text = String::from("sets:\n  bad:\n");
    (0..30_000u32).for_each(|n| writeln!(text, "    - 10.{}.{}.{}", n / 15_000, n / 100 % 150, n % 100 * 2).unwrap());
    let checked = compile(&format!("{text}block: [$bad]\n"));
    let messages = messages(&Program::of(checked.ruleset(), &HEADER));
    let start = std::time::Instant::now();
    let dump = sent(&messages);
    // Far above what it takes, far below what a mistake costs: this is no release build.
    assert!(start.elapsed() < std::time::Duration::from_secs(3), "{:?}", start.elapsed());
    understood(&dump, "a large set");
}

/// Words of which JSON is made that looks like nft's.
const WORDS: &[&str] = &[
    "nftables", "table", "chain", "rule", "set", "map", "elem", "expr", "match", "left", "right", "op", "==", "in",
    "!", "payload", "protocol", "field", "ip", "ip6", "tcp", "th", "saddr", "dport", "flags", "meta", "key", "l4proto",
    "iifname", "ct", "state", "dir", "original", "&", "vmap", "data", "prefix", "addr", "len", "range", "concat",
    "val", "@s", "s", "*", "family", "inet", "name", "c", "accept", "jump", "target", "limit", "dnat", "port",
    "mangle", "value", "xt", "type", "10.0.0.1", "eth*", "exthdr", "frag", "frag-off", "fib", "result", "base",
    "offset", "hook", "input", "prio", "policy",
];

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let word = proptest::sample::select(WORDS);
    let leaf = prop_oneof![
        word.clone().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (0u64..300).prop_map(Value::from),
        Just(Value::Null),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(word.clone().prop_map(String::from), inner, 0..4)
                .prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_the_reader_panic(
        objects in proptest::collection::vec(any_json(), 0..3),
        statements in proptest::collection::vec((proptest::sample::select(WORDS), any_json()), 0..5),
        elements in proptest::collection::vec(any_json(), 0..4),
    ) {
        let statements: Vec<_> = statements.into_iter().map(|(kind, inside)| serde_json::json!({kind: inside})).collect();
        let mut all = vec![
            serde_json::json!({"chain": {"family": "inet", "table": "t", "name": "c"}}),
            serde_json::json!({"set": {"family": "inet", "table": "t", "name": "s", "elem": elements}}),
            serde_json::json!({"rule": {"family": "inet", "table": "t", "chain": "c", "expr": statements}}),
        ];
        all.extend(objects);
        let text = serde_json::json!({"nftables": all}).to_string();
        let dump = nft_json::read("any", &text, &mut Sources::default());
        prop_assert!(dump.rules().count() >= 1);
        let _ = nft_json::read("cut", &text.chars().take(text.len() / 2).collect::<String>(), &mut Sources::default());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..20), cut in any::<usize>()) {
        let mut bytes = web();
        for (at, byte) in changes {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        let _ = netlink::of_messages(&bytes, &mut Sources::default(), "any");
        bytes.truncate(cut % bytes.len());
        let _ = netlink::of_messages(&bytes, &mut Sources::default(), "cut");
    }
}

/// Messages with something of everything.
fn web() -> Vec<u8> {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BYTES.get_or_init(|| specs().into_iter().find(|(name, _)| name.ends_with("/nat")).unwrap().1.bytes).clone()
}
