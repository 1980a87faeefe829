//! `fwc apply` as one transaction: no moment between the old rules and the new, whatever their size, and never on a stale decision.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fwc::backend::Header;
use fwc::backend::nft::Program;
use fwc::backend::nft::netlink::{Messages, Part, Subject, messages};
use fwc::kernel::socket::{Generation, Socket};
use fwc::kernel::transaction::{Transaction, TransactionError};
use fwc::kernel::wire::Request;
use serde_json::Value;
use support::{
    Connection, Link, Mirror, Namespace, Nginx, Packet, Ran, Spec, Wrk, apply, compile, passes, tcp_connect, try_apply,
};

const NEW_TABLE: u16 = 0xa00;
const DELETE_TABLE: u16 = 0xa02;
const NEW_CHAIN: u16 = 0xa03;
const REQUEST: u16 = 1;
const CREATE: u16 = 0x400 | REQUEST;
const IPV4: u8 = 2;
const INET: u8 = 1;

/// Kind, flags and family of a message, and what writes its attributes.
type Draft<'a> = (u16, u16, u8, &'a dyn Fn(Request) -> Request);

/// Messages for one transaction: kind, flags, family, and their attributes.
fn batch(parts: Vec<Draft<'_>>) -> Messages {
    let mut messages = Messages::default();
    for (kind, flags, family, fill) in parts {
        let offset = messages.bytes.len();
        messages.index.push(Part { offset, subject: Subject { what: format!("message {kind:#x}"), place: None } });
        messages.bytes.extend(fill(Request::with_header(kind, flags, &[family, 0, 0, 0])).finish(0));
    }
    messages
}

/// A change of the ruleset that nobody can see but by its generation: a table that comes and goes.
fn noise() -> Messages {
    let name = |request: Request| request.with_text(1, "noise");
    batch(vec![(NEW_TABLE, CREATE, IPV4, &name), (DELETE_TABLE, REQUEST, IPV4, &name)])
}

fn generation(namespace: &Namespace) -> u32 {
    namespace.enter(|| Socket::open().expect("a socket").generation().expect("a generation").0)
}

/// What an apply printed with `--format json`: its report, or its diagnostics.
#[track_caller]
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// The code of the one diagnostic of an apply that failed.
#[track_caller]
fn code(ran: &Ran) -> String {
    assert_eq!((ran.status, ran.stdout.as_str()), (3, ""), "{ran}");
    let found = json(&ran.stderr);
    assert_eq!(found["diagnostics"].as_array().map(Vec::len), Some(1), "{ran}");
    found["diagnostics"][0]["code"].as_str().expect("a code").to_owned()
}

/// Counts what comes before fwc's rules and what is behind them, in a table of its own.
const WATCH: &str = "table inet watch {
    chain before_input { type filter hook prerouting priority -500; tcp dport 80 counter comment \"open\"; \
        meta l4proto { tcp, udp } th dport 81 counter comment \"closed\"; }
    chain behind_input { type filter hook input priority 500; tcp dport 80 counter comment \"open\"; \
        meta l4proto { tcp, udp } th dport 81 counter comment \"closed\"; }
    chain before_output { type filter hook output priority -500; tcp sport 80 counter comment \"open\"; }
    chain behind_output { type filter hook postrouting priority 500; tcp sport 80 counter comment \"open\"; }
}";

/// Packets that a chain of the watch has counted.
fn watched(on: &Namespace, chain: &str, comment: &str) -> u64 {
    let listing = on.ok(["nft", "list", "chain", "inet", "watch", chain]);
    let line = listing.lines().find(|line| line.contains(&format!("\"{comment}\""))).expect("a counter");
    let figure = line.split("counter packets ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a figure");
    figure.parse().expect("a number")
}

#[test]
fn rules_are_replaced_with_no_moment_without_them() {
    let link = Link::new("loop");
    let (server, client) = (&link.server, &link.client);
    let _nginx = Nginx::start(server, &["203.0.113.5:80"]);
    let _closed = Mirror::tcp(server, "203.0.113.5:81");
    server.write_nft(WATCH);
    let web = "policy: {input: drop, output: drop}\nservices:\n  web: {listen: \"203.0.113.5:80\", stateless: true}\n";
    let specs = [Spec::new(web), Spec::new(&format!("{web}  dns: {{listen: \"*:53\", protocol: udp}}\n"))];
    try_apply(server, &specs[0], &[]).expect_success("the first apply");

    let (stop, sent, mut applied) = (AtomicBool::new(false), AtomicU64::new(0), 0);
    let counts = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Somebody who tries the closed port all the time.
            let probes = [
                Packet::tcp("203.0.113.7:40000", "203.0.113.5:81", "syn"),
                Packet::udp("203.0.113.7:40000", "203.0.113.5:81"),
            ];
            while !stop.load(Ordering::Relaxed) {
                for probe in &probes {
                    assert!(probe.leaves(client));
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let _stop = Stop(&stop);
        let mut load = Wrk::start(client, "http://203.0.113.5/", 4);
        while load.is_running() {
            applied += 1;
            try_apply(server, &specs[applied % 2], &[]).expect_success("an apply under load");
        }
        Wrk::report(load.wait())
    });
    assert!(applied >= 1 && counts.requests > 100, "{applied} applies, {counts:?}");
    assert_eq!(counts.lost(), 0, "{applied} applies, {counts:?}");
    for way in ["input", "output"] {
        let count = |place: &str| watched(server, &format!("{place}_{way}"), "open");
        assert_eq!(
            count("before"),
            count("behind"),
            "packets of the open port were dropped ({way}, {applied} applies)"
        );
    }
    let tries = watched(server, "before_input", "closed");
    assert!(tries > 100 && tries <= sent.into_inner(), "{tries} tries at the closed port");
    assert_eq!(
        watched(server, "behind_input", "closed"),
        0,
        "packets to the closed port of {tries} ({applied} applies)"
    );
}

#[test]
fn ten_thousand_services_are_one_transaction() {
    let link = Link::new("services");
    let _last = Mirror::tcp(&link.server, "203.0.113.5:19999");
    let services: String = (10_000..20_000)
        .map(|port| {
            format!("  s{port}: {{listen: [\"203.0.113.5:{port}\", \"[2001:db8::5]:{port}\"], stateless: true}}\n")
        })
        .collect();
    let before = generation(&link.server);
    let ran = try_apply(&link.server, &Spec::new(&format!("services:\n{services}")), &["--format", "json"]);
    let said = json(&ran.expect_success("fwc apply"));
    assert!(said["bytes"].as_u64() > Some(1 << 20) && said["entries"] == 10_000, "{said}");
    assert_eq!(generation(&link.server), before + 1);
    assert_eq!(tcp_connect(&link.client, "203.0.113.5:19999"), Connection::Connected);
    assert!(!passes(&Packet::tcp("203.0.113.7:40000", "203.0.113.5:20000", "syn"), &link.client, &link.server));
}

#[test]
fn a_block_list_of_100_000_addresses_is_one_transaction() {
    let link = Link::new("list");
    // Every second address, so that none of them are neighbours.
    let address = |n: u32| std::net::Ipv4Addr::from(0x6440_0000 + 2 * n);
    let list: String = (0..100_000).map(|n| format!("{}\n", address(n))).collect();
    let spec = Spec::new("sets: {bad: {file: bad.txt}}\nblock: [$bad]\nservices: {dns: {listen: \"*:53\", protocol: udp, stateless: true}}\n")
        .file("bad.txt", &list);
    let before = generation(&link.server);
    let said = json(&try_apply(&link.server, &spec, &["--format", "json"]).expect_success("fwc apply"));
    assert!(said["bytes"].as_u64() > Some(1 << 20) && said["elements"].as_u64() >= Some(100_000), "{said}");
    assert_eq!(generation(&link.server), before + 1);
    for (n, passing) in [(0, false), (50_000, false), (99_999, false), (100_000, true)] {
        let packet = Packet::udp(&format!("{}:40000", address(n)), "203.0.113.5:53");
        assert_eq!(passes(&packet, &link.client, &link.server), passing, "{packet:?}");
    }
}

/// Tells other threads to stop once it is dropped, also by a panic: the scope would wait for them for ever.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` while somebody else changes the ruleset again and again, with a pause in between.
fn while_changing<T: Send>(namespace: &Namespace, pause: Duration, work: impl FnOnce() -> T + Send) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            namespace.enter(|| {
                let (mut socket, noise) = (Socket::open().expect("a socket"), noise());
                while !stop.load(Ordering::Relaxed) {
                    Transaction::new(&noise).commit(&mut socket).expect("a change");
                    std::thread::sleep(pause);
                }
            });
        });
        let _stop = Stop(&stop);
        work()
    })
}

const WEB: &str = "services:\n  web: {listen: \"203.0.113.5:80\", stateless: true}\n  ssh: {listen: \"*:22\"}\n";

#[test]
fn a_ruleset_that_never_holds_still_is_reported() {
    let namespace = Namespace::new("restless");
    let other = "services: {dns: {listen: \"*:53\", protocol: udp, stateless: true}}\n";
    let listing = || namespace.ok(["nft", "-s", "list", "table", "inet", "fwc"]);
    apply(&namespace, WEB);
    for spec in [other, WEB].map(Spec::new).iter().cycle().take(40) {
        let before = listing();
        let ran = while_changing(&namespace, Duration::ZERO, || try_apply(&namespace, spec, &["--format", "json"]));
        // The other thread may be held up for as long as an apply takes; then there is nothing to report.
        if ran.status == 0 {
            assert_ne!(listing(), before);
            continue;
        }
        assert_eq!(code(&ran), "FWC502");
        assert!(ran.stderr.contains("5 attempts; nothing was loaded"), "{ran}");
        assert_eq!(listing(), before);
        return;
    }
    panic!("a change between look and load was never noticed");
}

#[test]
fn after_a_change_in_between_apply_looks_again_and_loads() {
    let namespace = Namespace::new("retry");
    let spec = Spec::new(WEB);
    let mut pause = Duration::from_millis(4);
    for _ in 0..60 {
        let ran = while_changing(&namespace, pause, || try_apply(&namespace, &spec, &["--format", "json"]));
        if ran.status == 0 {
            let attempts = json(&ran.stdout)["attempts"].as_u64();
            assert!(namespace.fwc(&["status"]).status == 0, "{ran}");
            if attempts > Some(1) {
                return;
            }
            pause = pause * 2 / 3;
        } else {
            assert_eq!(code(&ran), "FWC502");
            pause = pause * 5 / 4;
        }
    }
    panic!("no apply noticed a change and loaded after all");
}

#[test]
fn a_table_that_is_changed_in_the_same_moment_is_reported() {
    let namespace = Namespace::new("moment");
    // Large enough that reading it back takes a while.
    let list: String = (0..20_000).map(|n| format!("10.{}.{}.1\n", n / 256, n % 256)).collect();
    let spec = Spec::new(&format!("sets: {{bad: {{file: bad.txt}}}}\nblock: [$bad]\n{WEB}")).file("bad.txt", &list);
    let chain = |request: Request| request.with_text(1, "fwc").with_text(3, "intruder");
    let intrusion = batch(vec![(NEW_CHAIN, CREATE, INET, &chain)]);
    for _ in 0..20 {
        let Generation(before) = namespace.enter(|| Socket::open().expect("a socket").generation().expect("it"));
        let stop = AtomicBool::new(false);
        let ran = std::thread::scope(|scope| {
            scope.spawn(|| {
                namespace.enter(|| {
                    let mut socket = Socket::open().expect("a socket");
                    while !stop.load(Ordering::Relaxed) {
                        if socket.generation().expect("a generation").0 != before {
                            Transaction::new(&intrusion).commit(&mut socket).expect("an intrusion");
                            return;
                        }
                    }
                });
            });
            let _stop = Stop(&stop);
            try_apply(&namespace, &spec, &["--format", "json"])
        });
        if ran.status != 0 {
            assert_eq!(code(&ran), "FWC503", "{ran}");
            assert!(ran.stderr.contains("chain intruder is in the kernel but was not loaded by fwc"), "{ran}");
            return;
        }
    }
    panic!("a change right after the load was never noticed");
}

/// The part whose subject starts so.
fn part<'a>(messages: &'a mut Messages, subject: &str) -> &'a mut [u8] {
    let at = messages.index.iter().position(|part| part.subject.what.starts_with(subject));
    let at = at.unwrap_or_else(|| panic!("no {subject} among {:#?}", messages.index));
    let start = messages.index[at].offset;
    let end = messages.index.get(at + 1).map_or(messages.bytes.len(), |next| next.offset);
    &mut messages.bytes[start..end]
}

/// Writes other bytes in the place of the first such ones.
fn corrupt(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let at = bytes.windows(old.len()).position(|window| window == old);
    let at = at.unwrap_or_else(|| panic!("no {old:?} in {bytes:?}"));
    bytes[at..at + new.len()].copy_from_slice(new);
}

#[test]
fn the_kernel_s_refusal_names_the_rule_the_set_the_chain() {
    let namespace = Namespace::new("refusal");
    let yaml = "block: [192.0.2.0/28, 198.51.100.7]\nservices:\n  web: {listen: \"203.0.113.5:80,443\", stateless: true}\n  \
                ssh: {listen: \"*:22\"}\n";
    apply(&namespace, WEB);
    let before = namespace.ruleset();
    let compiled = compile(yaml);
    let program = Program::of(compiled.ruleset(), &Header { version: "0.0.0", spec_hash: "0" });
    let set = program.sets.first().expect("a set").name.clone();
    let rule = "rule 1 of chain raw_prerouting";
    // An expression that no kernel has, a chain type that no kernel has, a key that is too long.
    type Damage = fn(&mut [u8]);
    let damages: [(String, Damage); 3] = [
        (rule.to_owned(), |bytes| corrupt(bytes, b"cmp\0", b"cnp\0")),
        ("chain input".to_owned(), |bytes| corrupt(bytes, b"filter\0", b"filtre\0")),
        (format!("set {set}"), |bytes| corrupt(bytes, &[8, 0, 5, 0], &[8, 0, 5, 0, 0, 0, 0xff, 0xff])),
    ];
    for (subject, damage) in damages {
        let mut messages = messages(&program);
        damage(part(&mut messages, &subject));
        let refused = namespace.enter(|| Transaction::new(&messages).commit(&mut Socket::open().expect("a socket")));
        let Err(TransactionError::Rejected(rejections)) = refused else { panic!("{subject}: {refused:?}") };
        let named = &rejections[0].subject.as_ref().expect("a subject").what;
        assert!(named.starts_with(&subject), "{subject}: {rejections:?}");
        assert_eq!(namespace.ruleset(), before, "{subject}");
    }
    // Where something was made for one entry, its place in the spec comes with the refusal.
    let mut messages = messages(&program);
    let of_one = messages.index.iter().find(|part| part.subject.place.is_some());
    let what = of_one.expect("a part of one entry").subject.what.clone();
    let damaged = part(&mut messages, &what);
    // The table's name, so that whatever it is has no table.
    corrupt(damaged, b"fwc\0", b"fwd\0");
    let refused = namespace.enter(|| Transaction::new(&messages).commit(&mut Socket::open().expect("a socket")));
    let Err(TransactionError::Rejected(rejections)) = refused else { panic!("{refused:?}") };
    let place = rejections[0].subject.as_ref().and_then(|subject| subject.place).expect("a place");
    assert_eq!(&yaml[place.start as usize..place.end as usize], "203.0.113.5:80,443", "{rejections:?}");
}

/// Every socket has a limit; without the right of the host's root it is twice net.core.wmem_max. What is loaded by what differs must fit as a whole too, so
/// it is asked for first.
#[test]
fn what_does_not_fit_a_datagram_is_known_before_it_is_sent() {
    let namespace = Namespace::new("fits");
    namespace.enter(|| {
        let mut socket = Socket::open().expect("a socket");
        // The kernel gives memory for zeroes only once they are looked at.
        let of = |length| Messages { bytes: vec![0; length], index: Vec::new() };
        assert!(Transaction::new(&of(1000)).fits(&mut socket).is_ok());
        let large = Transaction::new(&of(3 << 30)).fits(&mut socket);
        assert!(matches!(large, Err(TransactionError::TooLarge { needed, limit }) if needed > limit), "{large:?}");
    });
}
