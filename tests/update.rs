//! From one table to another by what differs: the same table as if it had been loaded as a whole, for random pairs of specs.

#[path = "support/generate.rs"]
mod generate;
mod support;

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use fwc::backend::{Header, nft};
use fwc::compile::check_text;
use fwc::kernel::messages::Messages;
use fwc::kernel::socket::Socket;
use fwc::kernel::table::{self, Expected, Loaded};
use fwc::kernel::transaction::Transaction;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use support::Namespace;
use support::tools::sorted_elements;

/// Random pairs of each kind.
const PAIRS: usize = 40;

/// A table to be: its messages, signed, and what they make. None for a text that is no spec.
fn made(text: &str) -> Option<(Messages, Expected)> {
    let compiled = check_text("spec.yaml", text, Path::new("")).compiled?;
    let mut program = nft::Program::of(compiled.ruleset(), &Header { version: "0.0.0", spec_hash: &compiled.hash });
    let mut messages = nft::netlink::messages(&program);
    let mut expected = Expected::of(&messages).expect("messages that fwc understands");
    program.sign(&expected.identity().to_string());
    expected.signed(&program.signature);
    nft::netlink::resign(&mut messages, &program);
    Some((messages, expected))
}

/// Loads the first, goes on to the second by what differs, and holds the table against the second loaded as a whole. Gives whether it was possible;
/// none where one of the two is no spec.
fn goes_over(namespace: &Namespace, from: &str, to: &str) -> Option<bool> {
    let (old, new) = (made(from)?, made(to)?);
    let what = || format!("from\n{from}\nto\n{to}");
    let list = || sorted_elements(&namespace.ok(["nft", "-s", "list", "table", "inet", "fwc"]));
    let updated = namespace.enter(|| {
        let mut socket = Socket::open().unwrap();
        Transaction::new(&old.0).commit(&mut socket).unwrap();
        let decided_at = socket.generation().unwrap();
        let update = table::update(&mut socket, (&old.0, &old.1), (&new.0, &new.1)).unwrap()?;
        let committed = Transaction::new(&update).decided_at(decided_at).commit(&mut socket);
        let committed = committed.unwrap_or_else(|error| panic!("{error}: {}", what()));
        for loaded in [Loaded::Somehow, Loaded::Updated(committed, &update)] {
            table::verify(&mut socket, &new.0, &new.1, loaded).unwrap_or_else(|error| panic!("{error}: {}", what()));
        }
        Some(())
    });
    let listed = list();
    namespace.enter(|| Transaction::new(&new.0).commit(&mut Socket::open().unwrap()).unwrap());
    if updated.is_some() {
        assert_eq!(listed, list(), "{}", what());
    }
    Some(updated.is_some())
}

/// How many of some random pairs there were, and how many of these could go over by what differs.
fn some(purpose: &str, pairs: &impl Strategy<Value = (String, String)>) -> (usize, usize) {
    let namespace = Namespace::new(purpose);
    let mut runner = TestRunner::deterministic();
    let (mut tried, mut updated) = (0, 0);
    for _ in 0..PAIRS {
        let (from, to) = pairs.new_tree(&mut runner).expect("a pair").current();
        if let Some(went) = goes_over(&namespace, &from, &to) {
            tried += 1;
            updated += usize::from(went);
        }
    }
    (tried, updated)
}

/// A spec with an entry gone, another port, or other addresses in its sets.
fn edited(text: &str, which: Index, how: u8) -> String {
    let entries: Vec<&str> = text.lines().filter(|line| line.starts_with("  ") && line.contains(": {")).collect();
    let replaced = |from: &str, to: &str| text.replace(from, to);
    match how {
        0 if !entries.is_empty() => replaced(&format!("{}\n", which.get(&entries)), ""),
        1 if !entries.is_empty() => {
            let line = which.get(&entries);
            replaced(line, &line.replacen(['1', '2'], "3", 1))
        }
        2 => replaced("192.0.2.32/28", "192.0.2.32/27"),
        3 => replaced("[192.0.2.9, ", "[192.0.2.9, 192.0.2.11, 192.0.2.13-192.0.2.17, "),
        4 => replaced("198.51.100.0/26, ", ""),
        5 => replaced("services:\n", "services:\n  more: {listen: \"203.0.113.6:1999\", stateless: true}\n"),
        6 => replaced("services:\n", "services:\n  more: {listen: \"*:2999\", from: $office}\n"),
        _ => replaced("ping: true", "ping: false"),
    }
}

#[test]
fn edited_specs() {
    let text = prop_oneof![generate::spec(), generate::quiet_spec(), generate::overlap_spec(), generate::nat_spec()];
    let pairs = (text, vec((any::<Index>(), 0u8..8), 1..3)).prop_map(|(text, edits)| {
        let to = edits.into_iter().fold(text.clone(), |text, (which, how)| edited(&text, which, how));
        (text, to)
    });
    let (tried, updated) = some("edited", &pairs);
    assert!(tried > PAIRS / 2 && updated > tried / 2, "{updated} of {tried}");
}

#[test]
fn unrelated_specs() {
    let spec = || prop_oneof![generate::spec(), generate::quiet_spec(), generate::nat_spec(), generate::plain_spec()];
    let (tried, updated) = some("unrelated", &(spec(), spec()));
    // Most have other chains or policies.
    assert!(tried > PAIRS / 2 && updated < tried, "{updated} of {tried}");
}

/// A spec that drops these ranges of addresses: first and length.
fn ranges(ranges: &[(u32, u32)]) -> String {
    let mut list = String::new();
    for (first, length) in ranges {
        let _ = write!(list, "{}-{}, ", Ipv4Addr::from(*first), Ipv4Addr::from(first.saturating_add(*length)));
    }
    format!(
        "sets: {{bad: [{list}203.0.113.99, \"2001:db8::/32\"]}}\nblock: [$bad]\nservices: {{web: {{listen: \"*:80\"}}}}\n"
    )
}

/// Ranges that touch, overlap, and lie at both ends of all addresses.
#[test]
fn ranges_that_come_and_go() {
    let first = prop_oneof![4 => (0u32..60).prop_map(|n| 0x0a00_0000 + n * 4), 1 => select(vec![0, 1, u32::MAX - 8])];
    let range = (first, select(vec![0u32, 1, 3, 4, 7]));
    let pairs = (vec(range.clone(), 1..30), vec(range, 0..5), 0usize..6).prop_map(|(before, more, less)| {
        let after: Vec<_> = before.iter().skip(less).chain(&more).copied().collect();
        (ranges(&before), ranges(&after))
    });
    let (tried, updated) = some("ranges", &pairs);
    assert!(tried == PAIRS && updated > PAIRS / 2, "{updated} of {tried}");
}

/// A spec with so many services; some of them have a name of their own.
fn crowd(count: u32, ports: &str, renamed: &[u32]) -> String {
    let mut text = "services:\n".to_owned();
    for number in 0..count {
        let name = if renamed.contains(&number) { "other" } else { "s" };
        let address = Ipv4Addr::from(0x0a01_0000 + number);
        let _ = writeln!(
            text,
            "  {name}{number}: {{listen: \"{address}:{ports}\", protocol: [tcp, udp], stateless: true}}"
        );
    }
    text
}

#[test]
fn services_that_come_go_and_change_their_names() {
    let namespace = Namespace::new("crowd");
    let over = |from: &str, to: &str| goes_over(&namespace, from, to).expect("two specs");
    // Keys that are ranges, and keys of a hash.
    for ports in ["80-81", "80,443"] {
        let crowd = |count, renamed: &[u32]| crowd(count, ports, renamed);
        assert!(over(&crowd(300, &[]), &crowd(300, &[7, 299])), "the same keys with other comments");
        assert!(over(&crowd(300, &[]), &crowd(301, &[])));
        assert!(over(&crowd(301, &[]), &crowd(300, &[])));
    }
    assert!(!over(&crowd(150, "80,443", &[]), &crowd(500, "80,443", &[])), "another size is another set");
}

#[test]
fn elements_have_to_fit_beside_those_that_go() {
    let namespace = Namespace::new("room");
    let block = |from: u32| {
        let hosts = (from..from + 1000).map(|n| Ipv4Addr::from(0x0a00_0000 + n * 2).to_string());
        let list = hosts.collect::<Vec<_>>().join(", ");
        format!("sets: {{bad: [{list}]}}\nblock: [$bad]\nservices: {{web: {{listen: \"*:80\"}}}}\n")
    };
    assert_eq!(goes_over(&namespace, &block(0), &block(200)), Some(true), "200 of a quarter");
    assert_eq!(goes_over(&namespace, &block(0), &block(900)), Some(false), "900 of a quarter");
}
