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
#[path = "nft/shared.rs"]
mod shared;
mod support;

use fwc::backend::Header;
use fwc::backend::nft::Program;
use fwc::backend::nft::netlink::messages;
use fwc::compile::check;
use fwc::kernel::counters::{CounterOwner, counters};
use fwc::kernel::socket::Socket;
use fwc::kernel::table::verify_loaded;
use fwc::kernel::transaction::Transaction;
use fwc::kernel::wire;
use fwc::packet::evaluate_as_is;
use proptest::prelude::*;
use proptest::test_runner::TestRng;
use support::golden::{differs, hold};
use support::{Link, Mirror, Namespace, compile, examples, folders, udp_seen_as};

const HEADER: Header<'static> = Header { version: "0.0.0", spec_hash: "0123456789abcdef" };

fn program(text: &str) -> Program {
    Program::of(compile(text).ruleset(), &HEADER)
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
    });
    is_loaded(namespace, program, "messages");
}

/// The table in the kernel is the one of the messages.
fn is_loaded(namespace: &Namespace, program: &Program, loaded: &str) {
    let verified = namespace.enter(|| verify_loaded(&mut Socket::open().unwrap(), &messages(program)));
    verified.unwrap_or_else(|error| panic!("{loaded}: {error}\n{}", program.text()));
}

/// The kernel takes the text and the messages, both are the same table and list alike, and what is listed loads again. Gives the listing.
fn holds(program: &Program) -> String {
    let namespace = Namespace::new("nft");
    namespace.write_nft(&program.text());
    is_loaded(&namespace, program, "text");
    let by_text = list(&namespace);
    load(&namespace, program);
    let by_messages = list(&namespace);
    same(&sorted(&by_text), &sorted(&by_messages), "text, messages");
    namespace.ok(["nft", "flush", "ruleset"]);
    namespace.write_nft(&by_messages);
    is_loaded(&namespace, program, "listing");
    same(&sorted(&by_messages), &sorted(&list(&namespace)), "messages, their listing loaded again");
    by_messages
}

/// The program does with packets what the rules say.
fn means_the_same(text: &str, packets: usize) {
    let compiled = compile(text);
    let program = Program::of(compiled.ruleset(), &HEADER);
    assert_eq!(program, Program::of_policy(&compiled.policy, &HEADER), "{text}");
    interpreter::sound(&program);
    let mut rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    for _ in 0..packets {
        let packet = packets::packet(compiled.ruleset(), &mut rng);
        let journey = evaluate_as_is(compiled.ruleset(), &packet);
        let got = interpreter::carry_out(&program, compiled.ruleset().tracks, &packet);
        assert_eq!((journey.tracking, journey.fate), got, "{packet:?}\n{text}\n{}", program.text());
    }
}

/// A spec with this many services, each as `body` says.
fn many(count: u32, head: &str, body: impl Fn(u32) -> String) -> String {
    let services: String = (0..count).map(|n| format!("  s{n}: {{{}}}\n", body(n))).collect();
    format!("{head}services:\n{services}")
}

fn address(number: u32) -> String {
    std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).to_string()
}

fn rules(program: &Program) -> usize {
    program.chains.iter().map(|chain| chain.rules.len()).sum()
}

fn elements(program: &Program) -> usize {
    program.sets.iter().map(|set| set.elements.len()).sum()
}

#[test]
fn ten_thousand_services_take_as_many_rules_as_one() {
    let body = |n| format!("listen: \"{}:80\", stateless: true", address(n));
    let (one, all) = (program(&many(1, "", body)), program(&many(10_000, "", body)));
    // Large sets are shared by two hooks, which takes one rule more in each of two chains: `shared`.
    assert_eq!(rules(&one) + 2, rules(&all));
    assert_eq!((elements(&one), elements(&all)), (3, 20_000));
    holds(&all);
}

#[test]
fn a_thousand_services_with_sources_of_their_own_take_a_bounded_number_of_rules() {
    let body = |n: u32| {
        let more = if n.is_multiple_of(7) { ", interface: eth1" } else { "" };
        format!("listen: \"*:{}\", from: [{}/28, 192.0.2.{}], stateless: true{more}", n + 1, address(n * 16), n % 256)
    };
    let all = program(&many(1_000, "", body));
    let few = program(&many(20, "", body));
    assert_eq!(rules(&all), rules(&few));
    holds(&all);
}

#[test]
fn a_large_set_of_sources_keeps_a_rule_of_its_own() {
    let hosts: Vec<String> = (0..2_000).map(|n| address(n * 3)).collect();
    let head = format!("sets: {{large: [{}]}}\n", hosts.join(", "));
    let body = |n: u32| {
        let from = if n.is_multiple_of(2) { "$large".to_string() } else { format!("{}/24", address(n * 256)) };
        format!("listen: \"*:{}\", from: {from}, stateless: true", n + 1)
    };
    let all = program(&many(100, &head, body));
    assert!(elements(&all) < 2_600, "{}", elements(&all));
    holds(&all);
}

#[test]
fn a_large_set_of_servers_is_not_multiplied() {
    let hosts: Vec<String> = (0..2_000).map(|n| address(n * 3)).chain(["10.9.0.0/16".to_string()]).collect();
    let head = format!("sets: {{mine: [{}]}}\n", hosts.join(", "));
    let text = many(3, &head, |n| format!("listen: \"$mine:{}\", stateless: true", n + 80));
    let program = program(&text);
    assert!(elements(&program) < 2_020, "{}", elements(&program));
    means_the_same(&text, 2_000);
    holds(&program);
}

#[test]
fn a_block_list_of_a_hundred_thousand_loads() {
    let hosts: Vec<String> = (0..100_000).map(|n| address(n * 2)).chain(["192.0.2.0/24".to_string()]).collect();
    let program = program(&format!("sets: {{bad: [{}]}}\nblock: $bad\n", hosts.join(", ")));
    let kinds: Vec<(bool, usize)> = program.sets.iter().map(|set| (set.interval, set.elements.len())).collect();
    assert_eq!(kinds, [(false, 100_000), (true, 1)]);
    let namespace = Namespace::new("nft");
    load(&namespace, &program);
    for listed in ["10.0.0.0", "10.3.13.62", "192.0.2.77"] {
        assert!(set_has(&namespace, &program, listed), "{listed}");
    }
    for other in ["10.0.0.1", "192.0.3.0"] {
        assert!(!set_has(&namespace, &program, other), "{other}");
    }
}

fn set_has(namespace: &Namespace, program: &Program, address: &str) -> bool {
    let get = |set: &str| namespace.run(["nft", "get", "element", "inet", "fwc", set, &format!("{{ {address} }}")]);
    program.sets.iter().any(|set| get(&set.name).status == 0)
}

#[test]
fn messages_are_framed_as_a_transaction_needs_them() {
    let text = std::fs::read_to_string("tests/golden/nft/crowd/spec.yaml").unwrap();
    let messages = messages(&program(&text));
    let mut offsets: Vec<usize> = messages.index.iter().map(|part| part.offset).collect();
    offsets.push(messages.bytes.len());
    for ((number, part), ends) in (1..).zip(&messages.index).zip(offsets.windows(2)) {
        let what = &part.subject.what;
        let bytes = &messages.bytes[ends[0]..ends[1]];
        let [message] = wire::messages(bytes).collect::<Result<Vec<_>, _>>().unwrap()[..] else { panic!("{what}") };
        assert!(ends[0].is_multiple_of(4) && bytes.len() - message.payload.len() - wire::HEADER < 4, "{what}");
        // NLM_F_REQUEST, and no NLM_F_ACK.
        assert_eq!((message.sequence, message.flags & 5), (number, 1), "{what}");
        assert!(wire::attributes(message.attributes()).all(|attribute| attribute.is_ok()), "{what}");
    }
    let first: Vec<u16> = wire::messages(&messages.bytes).take(3).map(|message| message.unwrap().kind & 0xff).collect();
    assert_eq!(first, [0, 2, 0], "add, delete, add the table");
}

const FOLDER: &str = "tests/golden/nft";

#[test]
fn texts_are_as_expected() {
    hold(folders(FOLDER).iter().map(|case| {
        let now = program(&std::fs::read_to_string(case.join("spec.yaml")).unwrap()).text();
        differs(&case.join("fwc.nft"), Some(&now))
    }));
}

#[test]
fn expected_texts_load_in_both_forms_and_list_alike() {
    for case in folders(FOLDER) {
        holds(&program(&std::fs::read_to_string(case.join("spec.yaml")).unwrap()));
    }
}

#[test]
fn expected_texts_mean_what_the_rules_mean() {
    for case in folders(FOLDER) {
        means_the_same(&std::fs::read_to_string(case.join("spec.yaml")).unwrap(), 5_000);
    }
}

/// What the elements of one entry have counted, in packets, by set; without what counted nothing.
fn counted(namespace: &Namespace, entry: &str) -> Vec<(String, u64)> {
    let counters = namespace.enter(|| counters(&mut Socket::open().unwrap()).unwrap());
    let mut found: Vec<(String, u64)> = counters
        .into_iter()
        .filter(|counter| counter.packets > 0 && counter.comment.as_deref() == Some(&format!("fwc: {entry}")))
        .map(|counter| match counter.owner {
            CounterOwner::Element { set } => (set.to_string(), counter.packets),
            CounterOwner::Rule { chain, number } => (format!("rule {number} of {chain}"), counter.packets),
        })
        .collect();
    found.sort();
    found
}

#[test]
fn each_accepted_packet_counts_once_for_its_entry_and_direction() {
    let link = Link::new("count");
    let (server, client) = (&link.server, &link.client);
    let text = format!(
        "services:\n  echo: {{listen: \"{0}:7\", protocol: udp, stateless: true}}\n  wide: {{listen: \"*:100-200\", protocol: udp, \
         from: {1}, stateless: true}}\n  other: {{listen: \"*:9\", protocol: udp, from: 192.0.2.1, stateless: true}}\n",
        Link::SERVER,
        Link::CLIENT
    );
    load(server, &program(&text));
    let [echo, wide, other] = [7, 150, 9].map(|port| format!("{}:{port}", Link::SERVER));
    let _mirrors = [Mirror::udp(server, &echo), Mirror::udp(server, &wide), Mirror::udp(server, &other)];
    for _ in 0..3 {
        assert!(udp_seen_as(client, &echo).is_some());
    }
    assert!(udp_seen_as(client, &wide).is_some());
    assert!(udp_seen_as(client, &other).is_none());
    let both = |requests: &str, replies: &str, count| vec![(replies.to_string(), count), (requests.to_string(), count)];
    assert_eq!(counted(server, "echo"), both("service_requests_v4", "service_replies_v4", 3));
    assert_eq!(counted(server, "wide").iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(counted(server, "other"), []);
}

#[test]
fn the_examples_load_in_both_forms_and_list_alike() {
    for file in examples() {
        holds(&Program::of(check(&file).compiled.unwrap().ruleset(), &HEADER));
    }
}

#[test]
fn status_knows_what_nft_loaded_and_what_was_changed_since() {
    for file in examples() {
        let namespace = Namespace::new("status");
        let state = |what: &str, expected: i32| {
            let ran = support::fwc(&["status", "--netns", namespace.name()]);
            assert_eq!(ran.status, expected, "{}, {what}: {ran}", file.display());
        };
        let compiled = support::fwc(&["compile", file.to_str().unwrap(), "--target", "nft"]);
        let text = compiled.expect_success("fwc compile");
        namespace.write_nft(&text);
        state("loaded", 0);
        namespace.write_nft("add rule inet fwc input accept");
        state("one rule more", 1);
        namespace.write_nft(&text);
        let listing = namespace.ok(["nft", "list", "table", "inet", "fwc"]);
        namespace.ok(["nft", "flush", "ruleset"]);
        namespace.write_nft(&listing);
        state("listed and loaded again", 0);
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

#[test]
fn nft_reads_every_name_of_a_protocol_as_the_same_number() {
    let (ports, plain): (Vec<_>, Vec<_>) =
        fwc::net::Protocol::names().partition(|name| name.parse::<fwc::net::Protocol>().unwrap().has_ports());
    let (ports, plain) = (ports.join(", "), plain.join(", "));
    holds(&program(&format!(
        "services:\n  ports: {{listen: \"*:80\", protocol: [{ports}]}}\n  plain: {{listen: \"*\", protocol: [{plain}]}}\n"
    )));
    // A protocol in a rule of its own.
    holds(&program("nat: [{dnat: {listen: \"*\", protocol: ipip, to: 10.0.0.8}}]"));
}
