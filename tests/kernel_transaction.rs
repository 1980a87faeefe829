//! Transactions and read-back in the real kernel.

#[path = "kernel/messages.rs"]
mod messages;
mod support;

use fwc::kernel::counters::{CounterOwner, counters};
use fwc::kernel::difference::Problem;
use fwc::kernel::messages::Messages;
use fwc::kernel::socket::Socket;
use fwc::kernel::table::{Expected, Removal, VerifyError, delete_table, live, verify_loaded};
use fwc::kernel::transaction::{Transaction, TransactionError};
use messages::{ACCEPT, Builder, DROP, JUMP, be, comment, expression, key, verdict};
use support::Namespace;

/// One of everything: sets of each kind, chains, rules.
fn everything() -> Messages {
    let mut b = Builder::new();
    // ipv4_addr . inet_proto . inet_service, with a counter an element.
    let concatenated = (7 << 12 | 12 << 6 | 13, 12);
    b.set("web_v4", 1, 0x80 | 0x100, concatenated, |set| {
        let fields = |list| {
            [4u32, 1, 2].iter().fold(list, |list: fwc::kernel::wire::Request, length| {
                list.with_nested(1, |field| field.with_be32(1, *length))
            })
        };
        set.with_nested(9, |d| d.with_be32(1, 80).with_nested(2, fields))
            .with_nested(17, |e| e.with_text(1, "counter").with_nested(2, |c| c))
    });
    b.set("blocked_v4", 2, 4, (7, 4), |set| set.with_nested(9, |d| d.with_be32(1, 20)));
    b.set("__set%d", 3, 3, (13, 2), |set| set.with_nested(9, |d| d.with_be32(1, 2)));
    b.set("__map%d", 4, 1 | 2 | 8, (12, 1), |set| {
        set.with_be32(6, 0xffff_ff00).with_be32(7, 0).with_nested(9, |d| d.with_be32(1, 2))
    });
    b.base_chain("input", 1, 0, Some(0));
    b.base_chain("raw_prerouting", 0, -300, None);
    b.chain("icmp");
    b.push("chain signature", 3, 0x401, |request| {
        request.with_text(1, "fwc").with_text(3, "signature").with(12, &comment(0, "fwc 0.1.0 sha256:00"))
    });
    b.elements("web_v4", None, |list| {
        [80u16, 443].iter().fold(list, |list, port| {
            let mut bytes = vec![203, 0, 113, 5, 6, 0, 0, 0];
            bytes.extend(port.to_be_bytes());
            bytes.extend([0, 0]);
            list.with_nested(1, |element| key(&bytes)(element).with(6, &comment(0, "fwc: web")))
        })
    });
    b.elements("blocked_v4", None, |list| {
        let list = list.with_nested(1, |e| key(&be(0))(e).with_be32(3, 1));
        list.with_nested(1, key(&be(0xc000_0200))).with_nested(1, |e| key(&be(0xc000_0300))(e).with_be32(3, 1))
    });
    b.elements("__set%d", Some(3), |list| list.with_nested(1, key(&[0, 67])).with_nested(1, key(&[0, 68])));
    b.elements("__map%d", Some(4), |list| {
        list.with_nested(1, |e| {
            key(&[1])(e).with_nested(2, |d| d.with_nested(2, |v| v.with(1, &JUMP.to_be_bytes()).with_text(2, "icmp")))
        })
    });
    b.rule("raw_prerouting", "rule 1 of chain raw_prerouting", |list| {
        let list = expression("payload", |d| d.with_be32(1, 8).with_be32(2, 1).with_be32(3, 12).with_be32(4, 4))(list);
        let list = expression("lookup", |d| d.with_text(1, "blocked_v4").with_be32(2, 8).with_be32(4, 2))(list);
        let list = expression("counter", |d| d)(list);
        verdict(DROP, None)(list)
    });
    b.rule("raw_prerouting", "rule 2 of chain raw_prerouting", |list| {
        let list = expression("fib", |d| d.with_be32(1, 1).with_be32(2, 3).with_be32(3, 2))(list);
        let list =
            expression("cmp", |d| d.with_be32(1, 1).with_be32(2, 0).with_nested(3, |v| v.with(1, &[2, 0, 0, 0])))(list);
        list.with_nested(1, |one| one.with_text(1, "notrack"))
    });
    b.rule("input", "rule 1 of chain input", |list| {
        let list = expression("meta", |d| d.with_be32(1, 1).with_be32(2, 16))(list);
        expression("lookup", |d| d.with_text(1, "__map%d").with_be32(2, 1).with_be32(3, 0).with_be32(4, 4))(list)
    });
    b.rule("input", "rule 2 of chain input", |list| {
        let list = expression("payload", |d| d.with_be32(1, 1).with_be32(2, 2).with_be32(3, 2).with_be32(4, 2))(list);
        let list = expression("lookup", |d| d.with_text(1, "__set%d").with_be32(2, 1).with_be32(4, 3))(list);
        verdict(ACCEPT, None)(list)
    });
    b.rule("input", "rule 3 of chain input", |list| {
        let list = expression("ct", |d| d.with_be32(1, 1).with_be32(2, 0))(list);
        let list = expression("bitwise", |d| {
            d.with_be32(1, 1)
                .with_be32(2, 1)
                .with_be32(3, 4)
                .with_nested(4, |v| v.with(1, &6u32.to_ne_bytes()))
                .with_nested(5, |v| v.with(1, &[0; 4]))
        })(list);
        let list =
            expression("cmp", |d| d.with_be32(1, 1).with_be32(2, 1).with_nested(3, |v| v.with(1, &[0; 4])))(list);
        verdict(ACCEPT, None)(list)
    });
    b.push("rule 4 of chain input", 6, 0xc01, |request| {
        request
            .with_text(1, "fwc")
            .with_text(2, "input")
            .with_nested(4, expression("counter", |d| d))
            .with(7, &comment(0, "fwc: dropped by policy"))
    });
    b.messages
}

fn load(socket: &mut Socket, messages: &Messages) {
    let committed = Transaction::new(messages).commit(socket).unwrap_or_else(|error| panic!("{error}: {error:?}"));
    assert!(committed.acknowledged);
    assert_eq!(committed.generation, socket.generation().unwrap());
}

#[test]
fn what_was_loaded_is_what_was_sent() {
    let messages = everything();
    Namespace::new("kernel").enter(|| {
        let mut socket = Socket::open().unwrap();
        assert_eq!(live(&mut socket), Ok(None));
        for _ in 0..2 {
            load(&mut socket, &messages);
            let identity = verify_loaded(&mut socket, &messages).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(identity, Expected::of(&messages).unwrap().identity());
            let live = live(&mut socket).unwrap().unwrap();
            assert_eq!((live.identity, live.signature.as_deref()), (identity, Some("fwc 0.1.0 sha256:00")));
        }
    });
}

#[test]
fn each_change_is_found_and_named() {
    let changes = [
        ("add element inet fwc blocked_v4 { 198.51.100.0/24 }", "element 0x", Problem::Unexpected),
        ("delete element inet fwc web_v4 { 203.0.113.5 . tcp . 80 }", "element 0xcb007105", Problem::Missing),
        ("add rule inet fwc input drop", "rule 5 of chain input", Problem::Unexpected),
        ("insert rule inet fwc input drop", "rule 1 of chain input", Problem::Unexpected),
        ("flush chain inet fwc raw_prerouting", "rule 1 of chain raw_prerouting", Problem::Missing),
        ("add chain inet fwc mine", "chain mine", Problem::Unexpected),
        ("add chain inet fwc input { policy accept; }", "chain input", Problem::Changed),
        ("add set inet fwc mine { type ipv4_addr; }", "set mine", Problem::Unexpected),
        ("delete table inet fwc", "the table", Problem::Missing),
    ];
    let messages = everything();
    let namespace = Namespace::new("kernel");
    for (change, what, problem) in changes {
        namespace.enter(|| load(&mut Socket::open().unwrap(), &messages));
        namespace.write_nft(change);
        let verified = namespace.enter(|| verify_loaded(&mut Socket::open().unwrap(), &messages));
        let Err(VerifyError::Differs(difference)) = verified else { panic!("{change}: {verified:?}") };
        assert!(difference.what.starts_with(what) && difference.problem == problem, "{change}: {difference:?}");
    }
}

#[test]
fn a_set_without_a_name_counts_by_what_is_in_it() {
    let messages = everything();
    let namespace = Namespace::new("kernel");
    namespace.enter(|| load(&mut Socket::open().unwrap(), &messages));
    let verified = || namespace.enter(|| verify_loaded(&mut Socket::open().unwrap(), &messages));
    let replace = |ports: &str| {
        let listing = namespace.ok(["nft", "-a", "list", "chain", "inet", "fwc", "input"]);
        let handle = listing.lines().find(|line| line.contains("{ 67")).unwrap().rsplit(' ').next().unwrap();
        namespace.write_nft(&format!("replace rule inet fwc input handle {handle} th dport {{ {ports} }} accept"));
    };
    // The kernel gives the new set another number.
    replace("68, 67");
    assert!(verified().is_ok(), "{:?}", verified());
    replace("67, 69");
    let Err(VerifyError::Differs(difference)) = verified() else { panic!("{:?}", verified()) };
    assert_eq!((difference.what.as_str(), difference.problem), ("rule 2 of chain input", Problem::Missing));
}

#[test]
fn a_large_transaction_is_one_datagram() {
    let mut builder = Builder::new();
    builder.addresses("many", 100_000);
    let messages = builder.messages;
    assert!(messages.bytes.len() > 1024 * 1024);
    let namespace = Namespace::new("kernel");
    namespace.enter(|| {
        let mut socket = Socket::open().unwrap();
        let before = socket.generation().unwrap();
        load(&mut socket, &messages);
        assert_eq!(socket.generation().unwrap().0, before.0 + 1, "one transaction");
        verify_loaded(&mut socket, &messages).unwrap();
    });
    namespace.write_nft("delete element inet fwc many { 1.0.39.16 }");
    let verified = namespace.enter(|| verify_loaded(&mut Socket::open().unwrap(), &messages));
    let Err(VerifyError::Differs(difference)) = verified else { panic!("{verified:?}") };
    assert_eq!(difference.what, "element 0x01002710 of set many");
}

#[test]
fn a_mistake_names_its_part_and_changes_nothing() {
    let namespace = Namespace::new("kernel");
    namespace.write_nft("table inet fwc { chain old { counter; }; }\ntable ip other { set s { type ipv4_addr; }; }");
    let before = namespace.ruleset();
    let mut builder = Builder::new();
    builder.addresses("many", 3_000);
    builder.base_chain("input", 1, 0, Some(0));
    builder.rule("input", "rule 1 of chain input (fwc: web)", |list| {
        expression("lookup", |d| d.with_text(1, "nowhere").with_be32(2, 1))(list)
    });
    builder.rule("input", "rule 2 of chain input", verdict(ACCEPT, None));
    let refused = namespace.enter(|| Transaction::new(&builder.messages).commit(&mut Socket::open().unwrap()));
    let Err(TransactionError::Rejected(rejections)) = refused else { panic!("{refused:?}") };
    assert_eq!(rejections[0].subject.as_ref().unwrap().what, "rule 1 of chain input (fwc: web)");
    assert_eq!(rejections.len(), 1);
    assert_eq!(namespace.ruleset(), before);
}

#[test]
fn a_mistake_in_an_element_names_the_element() {
    let namespace = Namespace::new("kernel");
    let mut builder = Builder::new();
    builder.addresses("many", 1_500);
    builder.elements("many", None, |list| {
        let list = list.with_nested(1, key(&be(0x0a00_0001)));
        list.with_nested(1, key(&[10, 0, 0, 0, 2])).with_nested(1, key(&be(0x0a00_0003)))
    });
    let refused = namespace.enter(|| Transaction::new(&builder.messages).commit(&mut Socket::open().unwrap()));
    let Err(TransactionError::Rejected(rejections)) = refused else { panic!("{refused:?}") };
    assert_eq!(rejections[0].subject.as_ref().unwrap().what, "elements of set many");
    assert_eq!(rejections[0].element.as_deref(), Some("0x0a00000002"));
}

#[test]
fn a_ruleset_that_changed_meanwhile_is_noticed() {
    let namespace = Namespace::new("kernel");
    let messages = everything();
    let decided_at = namespace.enter(|| Socket::open().unwrap().generation().unwrap());
    namespace.write_nft("table ip nat { chain p { type nat hook postrouting priority 100; masquerade; }; }");
    let before = namespace.ruleset();
    let commit = || Transaction::new(&messages).decided_at(decided_at).commit(&mut Socket::open().unwrap());
    assert!(matches!(namespace.enter(commit), Err(TransactionError::Superseded)));
    assert_eq!(namespace.ruleset(), before);
    let decided_at = namespace.enter(|| Socket::open().unwrap().generation().unwrap());
    let commit = || Transaction::new(&messages).decided_at(decided_at).commit(&mut Socket::open().unwrap());
    assert!(namespace.enter(commit).unwrap().acknowledged);
}

#[test]
fn many_mistakes_overflow_nothing() {
    let mut builder = Builder::new();
    builder.base_chain("input", 1, 0, Some(0));
    for number in 0..20_000 {
        builder.rule("input", &format!("rule {number}"), |list| {
            expression("lookup", |d| d.with_text(1, "nowhere").with_be32(2, 1))(list)
        });
    }
    let refused =
        Namespace::new("kernel").enter(|| Transaction::new(&builder.messages).commit(&mut Socket::open().unwrap()));
    let Err(TransactionError::Rejected(rejections)) = refused else { panic!("{refused:?}") };
    assert_eq!(rejections[0].subject.as_ref().unwrap().what, "rule 0");
}

#[test]
fn removal_says_whether_there_was_something() {
    let messages = everything();
    let namespace = Namespace::new("kernel");
    namespace.write_nft("table ip other { chain c { counter; }; }");
    let other = namespace.ruleset();
    namespace.enter(|| {
        let mut socket = Socket::open().unwrap();
        load(&mut socket, &messages);
        assert_eq!(delete_table(&mut socket).unwrap(), Removal::Removed);
        assert_eq!(delete_table(&mut socket).unwrap(), Removal::WasNotThere);
        assert_eq!(counters(&mut socket), Ok(Vec::new()));
    });
    assert_eq!(namespace.ruleset(), other);
}

#[test]
fn counters_come_with_their_owners() {
    let messages = everything();
    let namespace = Namespace::new("kernel");
    namespace.enter(|| load(&mut Socket::open().unwrap(), &messages));
    namespace.write_nft("flush chain inet fwc input\nadd rule inet fwc input counter packets 3 bytes 210 comment \"fwc: dropped by policy\"");
    let counters = namespace.enter(|| counters(&mut Socket::open().unwrap()).unwrap());
    let rules: Vec<_> = counters.iter().filter(|c| matches!(c.owner, CounterOwner::Rule { .. })).collect();
    assert!(
        rules
            .iter()
            .any(|c| (c.packets, c.bytes) == (3, 210) && c.comment.as_deref() == Some("fwc: dropped by policy")),
        "{counters:?}"
    );
    let elements: Vec<_> = counters.iter().filter(|c| matches!(c.owner, CounterOwner::Element { .. })).collect();
    assert_eq!(elements.len(), 2, "{counters:?}");
    assert!(
        elements
            .iter()
            .all(|c| c.comment.as_deref() == Some("fwc: web")
                && c.owner == CounterOwner::Element { set: "web_v4".into() })
    );
}
