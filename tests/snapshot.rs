//! The table as messages that make it again: `nft -s list ruleset` is the same, byte for byte.

mod support;

use fwc::kernel::snapshot::{self, Former};
use fwc::kernel::socket::Socket;
use support::{Namespace, Spec, examples, try_apply};

/// A snapshot of the namespace's table.
fn take(namespace: &Namespace) -> Former {
    namespace.enter(|| snapshot::take(&mut Socket::open().unwrap()).unwrap().0)
}

/// Puts the table back as it is now over a different one, and over none.
#[track_caller]
fn comes_back(namespace: &Namespace, what: &str) {
    let before = namespace.ruleset();
    let Former::Table(messages, identity) = take(namespace) else { panic!("{what}: {:?}", take(namespace)) };
    for other in ["flush ruleset", "table inet fwc { chain other { counter; }; set other_set { type ipv4_addr; }; }"] {
        namespace.write_nft(other);
        assert_ne!(namespace.ruleset(), before, "{what}");
        // As bytes, which is how they are kept.
        let messages = snapshot::messages_of(messages.bytes.clone()).unwrap();
        namespace.enter(|| snapshot::restore(&messages, &mut Socket::open().unwrap())).unwrap();
        assert_eq!(namespace.ruleset(), before, "{what} after {other}");
    }
    let Former::Table(again, same) = take(namespace) else { panic!("{what}") };
    assert_eq!((same, again.bytes.len()), (identity, messages.bytes.len()), "{what}");
}

#[test]
fn every_example_comes_back() {
    let namespace = Namespace::new("examples");
    for path in examples() {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let spec = Spec::new(&text).file("blocklist.txt", "192.0.2.0/24\n192.0.3.0/25\n2001:db8::/48\n");
        let ran = try_apply(&namespace, &spec, &[]);
        assert_eq!(ran.status, 0, "{name}: {ran}");
        comes_back(&namespace, &name);
    }
}

#[test]
fn what_a_person_put_into_the_table_comes_back_too() {
    let namespace = Namespace::new("person");
    for (what, body) in [
        ("nothing", ""),
        ("a comment", "comment \"mine\";"),
        ("a dormant table", "flags dormant; chain c { type filter hook input priority 0; };"),
        ("chains", "chain a { comment \"a\"; }; chain c { type filter hook input priority 7; policy drop; jump a; };"),
        ("adjacent ranges", "set s { type ipv4_addr; flags interval; elements = { 10.0.0.0/25, 10.0.0.128/25, 10.0.1.0 }; };"),
        ("the last address", "set s { type ipv4_addr; flags interval; elements = { 0.0.0.0/8, 255.0.0.0/8 }; };"),
        ("ports", "set s { type inet_service; flags interval; elements = { 0-21, 22, 1024-65535 }; };"),
        ("names of interfaces", "set s { type ifname; elements = { \"lo\", \"eth0\" }; };"),
        ("ranges of names", "set s { type ifname; flags interval; elements = { \"eth*\", \"wlan0\" }; };"),
        ("concatenations", "set s { type ipv4_addr . inet_service; flags interval; counter; elements = { 10.0.0.0/8 . 80-90 comment \"x\" }; };"),
        ("a verdict map", "chain a { }; map m { type inet_service : verdict; elements = { 22 : accept, 80 : jump a }; };
            chain c { tcp dport vmap @m; };"),
        ("a data map", "map m { type ipv4_addr : mark; elements = { 10.0.0.1 : 7 }; }; chain c { meta mark set ip saddr map @m; };"),
        ("sets of rules", "chain c { tcp dport { 22, 80-90 } counter accept; ip saddr { 10.0.0.1, 10.0.0.2 } drop;
            tcp dport vmap { 1 : accept, 2-3 : drop }; ip saddr . tcp dport { 10.0.0.1 . 22 } log prefix \"x\" reject; };"),
        ("limits", "chain c { limit rate 5/second burst 7 packets accept; ct state new meta l4proto tcp accept; };"),
        ("a catch-all", "map m { type ipv4_addr : verdict; elements = { 10.0.0.1 : accept, * : drop }; };"),
        ("a constant set", "set s { type ipv4_addr; flags constant; elements = { 10.0.0.1 }; };"),
    ] {
        namespace.write_nft("flush ruleset");
        namespace.write_nft(&format!("table inet fwc {{ {body} }}"));
        comes_back(&namespace, what);
    }
}

#[test]
fn what_would_not_come_back_is_named() {
    let namespace = Namespace::new("lost");
    for (body, says) in [
        ("counter c { }", "a stateful object"),
        ("set s { type ipv4_addr; flags timeout; timeout 1h; }", "the set s changes by itself"),
        ("set s { type ipv4_addr; flags dynamic; size 9; }", "the set s changes by itself"),
        ("chain c { quota over 25 mbytes drop; }", "the expression `quota` is not known"),
        ("chain c { tcp dport 22 jump { accept; }; }", "a chain without a name"),
    ] {
        namespace.write_nft("flush ruleset");
        namespace.write_nft(&format!("table inet fwc {{ {body}; }}"));
        match take(&namespace) {
            Former::Lost(why) => assert!(why.contains(says), "{body}: {why}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    // Of other tables nothing counts.
    namespace.write_nft("flush ruleset");
    namespace
        .write_nft("table ip fwc { counter c { }; }; table inet other { set s { type ipv4_addr; flags timeout; }; }");
    assert!(matches!(take(&namespace), Former::Nothing));
}
