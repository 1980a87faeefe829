//! What follows from facts, without a host: the golden files of `tests/golden/doctor`, and each code.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use fwc::diagnostic::human::{Look, render};
use fwc::doctor::{Facts, NatRule, Report, Service, Table, Tally, Unseen};
use fwc::kernel::conntrack::{Flow, Statistics, TcpState};
use fwc::kernel::host::ConntrackTable;
use fwc::kernel::log::FullLines;
use fwc::net::{AddressSet, Protocol, RangeSet, Seconds};
use fwc::policy::footprint::{Footprint, NatHook, NewAddress, Target};
use fwc::source::Sources;
use fwc::spec::Timeout;

use crate::support::golden::{differs, hold};

const PORTS: (u16, u16) = (32768, 60999);

/// A host that nothing ails: a web server, a resolver and ssh.
fn healthy() -> Facts {
    let table = |count| ConntrackTable { count, max: 262_144, buckets: 262_144 };
    let timeout = |key, seconds| (Timeout::named(key).expect("a timeout"), Seconds(seconds));
    Facts {
        table: Some(Table { before: table(1_000), now: table(1_000) }),
        interval: Duration::from_secs(2),
        counters: Some((Statistics::default(), Statistics::default())),
        log: Some(FullLines::default()),
        memory: Some(16 << 30),
        timeouts: vec![timeout("tcp_established", 432_000), timeout("tcp_time_wait", 120), timeout("udp", 30)],
        local_ports: PORTS,
        usage: None,
        nat: Vec::new(),
        loaded: false,
        unseen: Vec::new(),
    }
}

/// The same, with its 1,000 entries counted.
fn used() -> Facts {
    used_by([560, 120, 150, 90, 30, 2, 48])
}

/// The same host with so many entries of each kind.
fn used_by(counts: [u32; 7]) -> Facts {
    let service = |protocol, port, address: &str, process: Option<&str>| Service {
        protocol,
        port,
        addresses: vec![address.parse().expect("an address")],
        process: process.map(str::to_owned),
    };
    let services = vec![
        service(Protocol::TCP, 443, "::", Some("nginx")),
        service(Protocol::UDP, 53, "203.0.113.5", Some("unbound")),
        service(Protocol::TCP, 22, "::", None),
        service(Protocol::TCP, 5432, "127.0.0.1", Some("postgres")),
    ];
    let local: HashSet<IpAddr> = ["203.0.113.5", "2001:db8::5"].map(|ip| ip.parse().expect("an address")).into();
    let mut tally = Tally::new(services, local, PORTS);
    let mut add = |count: u32, from: &str, to: &str, port: u16, protocol: u8, state: Option<TcpState>| {
        for number in 0..count {
            tally.add(&Flow {
                source: from.parse().expect("an address"),
                destination: to.parse().expect("an address"),
                protocol,
                ports: Some((33_000 + u16::try_from(number % 20_000).expect("a port"), port)),
                state,
                replied: number % 3 > 0,
                translated: false,
            });
        }
    };
    add(counts[0], "198.51.100.7", "203.0.113.5", 443, 6, Some(TcpState::TimeWait));
    add(counts[1], "2001:db8::7", "2001:db8::5", 443, 6, Some(TcpState::Established));
    add(counts[2], "198.51.100.7", "203.0.113.5", 53, 17, None);
    add(counts[3], "203.0.113.5", "9.9.9.9", 53, 17, None);
    add(counts[4], "127.0.0.1", "127.0.0.1", 5432, 6, Some(TcpState::Established));
    add(counts[5], "198.51.100.7", "203.0.113.5", 22, 6, Some(TcpState::Established));
    add(counts[6], "192.0.2.7", "203.0.113.5", 161, 17, None);
    Facts { usage: Some(tally.finish()), ..healthy() }
}

/// Counting so many entries takes a while.
static FULL: LazyLock<Facts> = LazyLock::new(make_full);

fn full() -> Facts {
    FULL.clone()
}

fn make_full() -> Facts {
    let table = ConntrackTable { count: 262_144, max: 262_144, buckets: 32_768 };
    let before = Statistics { drop: 5_000, early_drop: 900, insert_failed: 7, chain_too_long: 0, invalid: 3 };
    let now = Statistics { drop: 6_800, early_drop: 1_000, ..before };
    Facts {
        table: Some(Table { before: table, now: table }),
        counters: Some((before, now)),
        log: Some(FullLines { here: 41, elsewhere: 2, last: Some(Duration::from_secs(3)) }),
        ..used_by([146_800, 31_457, 39_322, 23_593, 7_864, 524, 12_584])
    }
}

/// A rule as Docker writes for a published port, and one that leads into the web server's own port.
fn nat(hook: &'static [NatHook], ports: Option<u16>, text: &str, target: Option<Target>) -> NatRule {
    let footprint = Footprint {
        hooks: hook,
        family: None,
        protocols: Some(RangeSet::single(6)),
        source: None,
        destination: None,
        source_ports: None,
        destination_ports: ports.map(RangeSet::single),
    };
    NatRule { text: text.to_owned(), footprint, target }
}

fn translated() -> Facts {
    let docker = Target {
        address: NewAddress::OneOf(AddressSet::from_iter(["172.17.0.2".parse().expect("an address")])),
        ports: Some(RangeSet::single(80)),
    };
    let redirect = Target { address: NewAddress::ThisHost, ports: Some(RangeSet::single(443)) };
    let rules = vec![
        nat(
            &[NatHook::Prerouting],
            Some(8080),
            "ip nat DOCKER handle 7: tcp dport 8080 dnat to 172.17.0.2:80",
            Some(docker),
        ),
        nat(
            &[NatHook::Prerouting],
            Some(8443),
            "ip nat PREROUTING handle 9: tcp dport 8443 redirect to :443",
            Some(redirect),
        ),
    ];
    Facts { nat: rules, ..full() }
}

fn unprivileged() -> Facts {
    let unseen = |what: &str, why: &str| Unseen { what: what.to_owned(), why: why.to_owned() };
    let table = |count| ConntrackTable { count, max: 262_144, buckets: 262_144 };
    Facts {
        table: Some(Table { before: table(200_000), now: table(201_000) }),
        log: None,
        usage: None,
        unseen: vec![
            unseen("the kernel's log", "Operation not permitted (os error 1)"),
            unseen(
                "the entries of the table",
                "the kernel refuses to list the conntrack entries: Operation not permitted",
            ),
        ],
        ..healthy()
    }
}

/// What a person sees: the answer, then the diagnostics.
fn told(facts: &Facts) -> String {
    let (report, found) = Report::of(facts);
    let said = render(&found, &Sources::default(), Look::plain()).expect("a text");
    let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
    format!("{}--- stderr\n{}\n", report.human(), lines.join("\n"))
}

#[test]
fn answers_are_as_expected() {
    let cases = [
        ("healthy", used()),
        ("full", full()),
        ("nat", translated()),
        ("unprivileged", unprivileged()),
        ("loaded", Facts { loaded: true, ..full() }),
        ("untracked", Facts { table: None, usage: None, ..healthy() }),
    ];
    let mut wrong = Vec::new();
    for (name, facts) in &cases {
        let told = told(facts);
        let answer = told.split("--- stderr").next().unwrap_or_default();
        for line in answer.lines() {
            assert!(
                line.is_ascii() && (line.len() <= 80 || line.starts_with("    ip")),
                "{name}: too wide or not plain: {line}"
            );
        }
        wrong.push(differs(&Path::new("tests/golden/doctor").join(format!("{name}.txt")), Some(&told)));
    }
    hold(wrong);
}

fn codes(facts: &Facts) -> Vec<&'static str> {
    Report::of(facts).1.iter().map(|found| found.finding.code).collect()
}

fn grown(from: u64, to: u64) -> Facts {
    let table = |count| ConntrackTable { count, max: 262_144, buckets: 262_144 };
    Facts { table: Some(Table { before: table(from), now: table(to) }), ..healthy() }
}

fn counted(before: Statistics, now: Statistics) -> Facts {
    Facts { counters: Some((before, now)), ..healthy() }
}

#[test]
fn each_illness_has_its_code() {
    let none = Statistics::default();
    assert_eq!(codes(&healthy()), [""; 0]);
    assert_eq!(codes(&Facts { table: None, ..full() }), [""; 0]);
    assert_eq!(codes(&grown(262_144, 262_144)), ["FWC420"]);
    assert_eq!(codes(&counted(none, Statistics { drop: 1, ..none })), ["FWC420"]);
    assert_eq!(codes(&counted(none, Statistics { early_drop: 1, ..none })), ["FWC420"]);
    let dropped = Statistics { drop: 1, ..none };
    assert_eq!(codes(&counted(dropped, dropped)), ["FWC421"]);
    let logged = FullLines { here: 1, elsewhere: 0, last: None };
    assert_eq!(codes(&Facts { log: Some(logged), counters: None, ..healthy() }), ["FWC421"]);
    assert_eq!(codes(&Facts { log: Some(logged), ..healthy() }), [""; 0], "the counters know better");
    let elsewhere = FullLines { here: 0, elsewhere: 9, last: None };
    assert_eq!(codes(&Facts { log: Some(elsewhere), counters: None, ..healthy() }), [""; 0]);
    assert_eq!(codes(&grown(209_800, 209_800)), ["FWC422"]);
    // 500 entries more a second fill the rest of the table in more than ten minutes only if much is free.
    assert_eq!(codes(&grown(30_000, 31_000)), ["FWC422"]);
    assert_eq!(codes(&grown(1_000, 2_000)), [""; 0], "a tenth has to be there");
    assert_eq!(codes(&grown(31_000, 31_002)), [""; 0]);
    let few = ConntrackTable { count: 100_000, max: 262_144, buckets: 16_384 };
    assert_eq!(codes(&Facts { table: Some(Table { before: few, now: few }), ..healthy() }), ["FWC423"]);
    assert_eq!(codes(&counted(none, Statistics { chain_too_long: 1, ..none })), ["FWC423"]);
    assert_eq!(codes(&counted(none, Statistics { insert_failed: 1, ..none })), ["FWC424"]);
    let failed = Statistics { insert_failed: 1, ..none };
    assert_eq!(codes(&counted(failed, failed)), [""; 0], "a race that is over hurts nobody");
    assert_eq!(codes(&translated()), ["FWC420", "FWC423", "FWC425"]);
    assert_eq!(codes(&Facts { nat: translated().nat, ..used() }), [""; 0], "NAT alone is no illness");
}

/// What is proposed for the same table with NAT rules and without.
#[test]
fn what_nat_touches_is_not_proposed() {
    let plain = Report::of(&full()).0;
    let spec = plain.spec().expect("a spec");
    assert!(spec.contains("nginx-443: {listen: \"*:443\", stateless: true}"), "{spec}");
    let beside = Report::of(&translated()).0;
    let spec = beside.spec().expect("a spec");
    assert!(!spec.contains("nginx") && spec.contains("nat_conflict: overlap"), "{spec}");
}

/// A service on every address is proposed on those addresses that clients use, where that keeps it out of NAT's way.
#[test]
fn an_address_is_named_where_nat_would_meet_all_of_them() {
    let away: AddressSet = AddressSet::from_iter(["198.18.0.9".parse().expect("an address")]);
    let mut rule =
        nat(&[NatHook::Prerouting], None, "ip nat PREROUTING handle 3: ip daddr 198.18.0.9 dnat to 10.0.0.8", None);
    rule.footprint.destination = Some(away);
    rule.target = Some(Target {
        address: NewAddress::OneOf(AddressSet::from_iter(["10.0.0.8".parse().expect("an address")])),
        ports: None,
    });
    let report = Report::of(&Facts { nat: vec![rule], ..full() }).0;
    let spec = report.spec().expect("a spec");
    assert!(
        spec.contains("nginx-443: {listen: [\"203.0.113.5:443\", \"[2001:db8::5]:443\"], stateless: true}"),
        "{spec}"
    );
}

/// Processes call themselves as they like; entries of a spec have names.
#[test]
fn names_of_processes_become_names_of_entries() {
    for (process, name) in [("Name Server/9", "name-server-9-53"), ("9lives", "port-53"), ("", "port-53")] {
        let mut facts = full();
        let usage = facts.usage.as_mut().expect("the entries");
        usage.services[1].process = Some(process.to_owned());
        let report = Report::of(&facts).0;
        let spec = report.spec().expect("a spec");
        assert!(spec.contains(&format!("  {name}: {{listen: \"203.0.113.5:53\"")), "{process}: {spec}");
    }
}
