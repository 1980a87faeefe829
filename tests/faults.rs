//! A transaction that fails anywhere changes nothing: a failing operation is put at every position of a real batch, over nothing and over a former
//! table, and the ruleset stays as it was, byte for byte. fwc says which operation it was, and where in the spec it comes from.

mod support;

use std::collections::BTreeSet;

use fwc::backend::Header;
use fwc::backend::nft::Program;
use fwc::backend::nft::netlink::{Messages, Part, Subject, messages};
use fwc::compile::Compiled;
use fwc::kernel::socket::Socket;
use fwc::kernel::transaction::{Rejection, Transaction, TransactionError};
use fwc::kernel::wire::Request;
use support::{Namespace, apply, compile};

/// Everything that makes operations of its own: sets of both families, intervals, concatenations, maps, block lists, NAT, all hooks, all roles.
const SPECS: [&str; 2] = [
    "policy: {input: drop, output: drop, forward: drop}
icmp: {ping: true}
sets:
  admins: [192.0.2.0/28, \"2001:db8:ad::/48\"]
block: [198.51.100.0/24, \"2001:db8:bad::/48\"]
services:
  web: {listen: [\"203.0.113.5:80,443\", \"[2001:db8::5]:80\"], stateless: true}
  dns: {listen: \"*:53\", protocol: [udp, tcp], stateless: true, from: $admins}
  ssh: {listen: \"*:22\", interface: eth0}
  tunnel: {listen: \"203.0.113.5\", protocol: gre}
clients:
  resolver: {to: \"9.9.9.9:53\", protocol: udp, stateless: true}
forward:
  backend: {to: \"10.0.0.8:443\", stateless: true}
",
    "services:
  ssh: {listen: \"*:22\"}
  app: {listen: \"203.0.113.5:8000-8999\"}
nat:
  - masquerade: {out: eth0, from: 10.0.0.0/8}
  - dnat: {listen: \"203.0.113.5:8443\", to: \"10.0.0.8:443\"}
",
];

/// What was there before: rules of fwc and of somebody else, with sets that have elements.
const FORMER: &str = "block: [192.0.2.128/25]\nservices:\n  old: {listen: [\"203.0.113.5:25\", \"[2001:db8::5]:25\"], stateless: true}\n  ssh: {listen: \"*:22\"}\n";
const OTHERS: &str = "table inet others { set s { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.9 }; }
    chain in { type filter hook input priority 5; ip saddr @s counter drop; }; }";

const DELETE_SET: u16 = 0xa0b;
const NEW_RULE: u16 = 0xa06;
const REQUEST: u16 = 1;
const CREATE: u16 = 0x400 | REQUEST;
const INET: u8 = 1;

fn batch(compiled: &Compiled) -> Messages {
    messages(&Program::of(compiled.ruleset(), &Header { version: "0.0.0", spec_hash: "0" }))
}

/// An operation that every kernel refuses: a rule in a chain that is not there, or the end of a set that is not there.
fn failing(position: usize) -> Vec<u8> {
    let table = |kind, flags| Request::with_header(kind, flags, &[INET, 0, 0, 0]).with_text(1, "fwc");
    if position.is_multiple_of(2) {
        table(NEW_RULE, CREATE).with_text(2, "nowhere").finish(0)
    } else {
        table(DELETE_SET, REQUEST).with_text(2, "nothing").finish(0)
    }
}

/// The bytes of a part.
fn bytes_of(messages: &Messages, at: usize) -> &[u8] {
    let offset = |at: usize| messages.index.get(at).map_or(messages.bytes.len(), |part| part.offset);
    &messages.bytes[offset(at)..offset(at + 1)]
}

/// The messages with a failing one before position `at`, or in its place.
fn broken(whole: &Messages, at: usize, replace: bool) -> Messages {
    let mut messages = Messages::default();
    let mut push = |bytes: &[u8], subject: Subject| {
        messages.index.push(Part { offset: messages.bytes.len(), subject });
        messages.bytes.extend_from_slice(bytes);
    };
    for (position, part) in whole.index.iter().enumerate() {
        if position == at {
            push(&failing(at), Subject { what: format!("the failing one at {at}"), place: None });
        }
        if position != at || !replace {
            push(bytes_of(whole, position), part.subject.clone());
        }
    }
    if at == whole.index.len() {
        push(&failing(at), Subject { what: format!("the failing one at {at}"), place: None });
    }
    messages
}

/// The rejections of a batch that the kernel must refuse.
#[track_caller]
fn refused(namespace: &Namespace, messages: &Messages, what: &str) -> Vec<Rejection> {
    match namespace.enter(|| Transaction::new(messages).commit(&mut Socket::open().expect("a socket"))) {
        Err(TransactionError::Rejected(rejections)) => rejections,
        other => panic!("{what}: {other:?}"),
    }
}

fn generation(namespace: &Namespace) -> u32 {
    namespace.enter(|| Socket::open().expect("a socket").generation().expect("a generation").0)
}

/// Puts a failing operation at every position and holds the ruleset against what it was.
fn at_every_position(namespace: &Namespace, yaml: &str) {
    let whole = batch(&compile(yaml));
    let before = namespace.ruleset();
    let count = generation(namespace);
    assert!(whole.index.len() > 20, "{} operations", whole.index.len());
    for at in 0..=whole.index.len() {
        for replace in [false, true] {
            if replace && at == whole.index.len() {
                continue;
            }
            let what = format!("position {at}, replace {replace}");
            let rejections = refused(namespace, &broken(&whole, at, replace), &what);
            // Without the operation that is replaced, others may fail before it; the failing one is among them all the same.
            let named = |rejection: &Rejection| {
                rejection.subject.as_ref().is_some_and(|subject| subject.what == format!("the failing one at {at}"))
            };
            assert!(rejections.iter().any(named), "{what}: {rejections:?}");
            assert_eq!(namespace.ruleset(), before, "{what}");
            assert_eq!(generation(namespace), count, "{what}: the kernel committed something");
        }
    }
    // The batch itself is sound: what failed was what was put in.
    namespace
        .enter(|| Transaction::new(&whole).commit(&mut Socket::open().expect("a socket")))
        .expect("the batch itself");
    assert_ne!(namespace.ruleset(), before);
}

#[test]
fn over_nothing_nothing_is_left() {
    for yaml in SPECS {
        let namespace = Namespace::new("empty");
        at_every_position(&namespace, yaml);
    }
}

#[test]
fn a_former_table_stays_as_it_was() {
    for yaml in SPECS {
        let namespace = Namespace::new("former");
        namespace.write_nft(OTHERS);
        apply(&namespace, FORMER);
        at_every_position(&namespace, yaml);
    }
}

/// Damages each message in turn, so that the kernel refuses that very one, and sees whether the refusal names it with its place in the spec.
#[test]
fn a_refusal_names_the_operation_and_its_place_in_the_spec() {
    let namespace = Namespace::new("named");
    let compiled = compile(SPECS[0]);
    let whole = batch(&compiled);
    let (mut places, mut damaged) = (BTreeSet::new(), 0);
    for at in 0..whole.index.len() {
        let mut messages = whole.clone();
        let start = messages.index[at].offset;
        let kind = u16::from_ne_bytes([messages.bytes[start + 4], messages.bytes[start + 5]]);
        // An operation that there is none of in place of the one that there was.
        messages.bytes[start + 4..start + 6].copy_from_slice(&(kind & 0xff00 | 0x7f).to_ne_bytes());
        let rejections = refused(&namespace, &messages, &whole.index[at].subject.what);
        let own = rejections.iter().find(|rejection| rejection.part == Some(at));
        let own = own.unwrap_or_else(|| panic!("operation {at} is not named: {rejections:?}"));
        assert_eq!(own.subject.as_ref(), Some(&whole.index[at].subject), "{rejections:?}");
        assert_eq!(namespace.ruleset(), "");
        damaged += 1;
        places.extend(own.subject.as_ref().and_then(|subject| subject.place));
    }
    assert_eq!(damaged, whole.index.len());
    assert!(places.len() >= 3, "{places:?}");
}
