//! What one received packet costs under each ruleset, by the number of services.

use fwc::net::Family;

use super::Effort;
use super::case::{Case, Figures, Flows, Rules, measure as send};
use super::hand::{self, Extras};
use super::inputs;
use super::report::{Report, Target, Unit};
use super::support::Spec;
use super::support::cli::Variant;
use super::support::turn::conntrack_max;
use super::traffic::{FLOWS, Traffic};

pub fn measure(effort: Effort, report: &mut Report) {
    report.group("a UDP packet over veth, one core, 100,000 flows");
    room_for_flows();
    let mut cases = by_number();
    cases.extend(by_kind());
    let figures = send(&cases, Flows::Known, effort.some, report);
    tell(report, &figures);
    report.group("the same, IPv6");
    let figures = send(&v6(), Flows::Known, effort.some, report);
    tell_v6(report, &figures);
    report.group("a UDP packet that is the first of its flow, 1,000 services");
    let figures = send(&new_flows(), Flows::New, effort.some, report);
    tell_new_flows(report, &figures);
}

/// The stateful filter must not run out of entries.
fn room_for_flows() {
    let (needed, most) = (FLOWS as u32 * 3 / 2, conntrack_max());
    assert!(
        most >= needed,
        "the stateful filter needs net.netfilter.nf_conntrack_max of at least {needed}, not {most}"
    );
}

fn fwc(services: usize) -> Rules {
    Rules::Fwc(Spec::new(&inputs::spec(services)))
}

fn by_hand(services: usize, counted: bool) -> Rules {
    Rules::Nft(hand::stateless(Family::V4, services, Extras { counted, ..Extras::default() }))
}

/// No rules, fwc's and those by hand, for each number of services.
fn by_number() -> Vec<Case> {
    let names = [
        (1, ["packet.none.1", "packet.fwc.1", "packet.hand.1", "packet.hand-counting.1"]),
        (100, ["packet.none.100", "packet.fwc.100", "packet.hand.100", "packet.hand-counting.100"]),
        (1_000, ["packet.none.1000", "packet.fwc.1000", "packet.hand.1000", "packet.hand-counting.1000"]),
        (10_000, ["packet.none.10000", "packet.fwc.10000", "packet.hand.10000", "packet.hand-counting.10000"]),
    ];
    let of = |(services, [none, own, bare, counting]): (usize, [&'static str; 4])| {
        let what = |words: &str| format!("{words}, {services} services");
        let traffic = Traffic::udp(Family::V4, services);
        [
            Case::new(none, what("no rules"), traffic, Rules::None),
            Case::new(own, what("fwc apply"), traffic, fwc(services)),
            Case::new(bare, what("by hand, no counters"), traffic, by_hand(services, false)),
            Case::new(counting, what("by hand, with counters"), traffic, by_hand(services, true)),
        ]
    };
    names.into_iter().flat_map(of).collect()
}

fn by_kind() -> Vec<Case> {
    let traffic = Traffic::udp(Family::V4, 1_000);
    let files = |variant| Rules::Files(inputs::spec(1_000), variant);
    let stateful = Rules::Nft(inputs::nft_stateful(1_000));
    vec![
        Case::new("packet.sending", "sending alone", Traffic::udp(Family::V4, 1), Rules::SendingAlone),
        Case::new("packet.stateful.1000", "stateful filter by hand, set of 1,000 services", traffic, stateful),
        Case::new(
            "packet.iptables-nft.1000",
            "fwc's iptables files, nft, 1,000 services",
            traffic,
            files(Variant::Nft),
        ),
        Case::new(
            "packet.iptables-legacy.1000",
            "fwc's iptables files, legacy, 1,000 services",
            traffic,
            files(Variant::Legacy),
        ),
        Case::new(
            "packet.ferm.1000",
            "ferm, one rule a service, iptables-nft, 1,000 services",
            traffic,
            Rules::OneRuleEach(1_000),
        ),
    ]
}

fn tell(report: &mut Report, figures: &Figures) {
    figures.ratio(
        report,
        "packet.ratio.1000",
        "1,000 services over 1, sending and receiving",
        ["packet.fwc.1000", "packet.fwc.1"],
        Some(1.1),
    );
    figures.ratio(
        report,
        "packet.ratio.10000",
        "10,000 services over 1, sending and receiving",
        ["packet.fwc.10000", "packet.fwc.1"],
        Some(1.1),
    );
    let none = figures.of("packet.none.10000").over(figures.of("packet.none.1"));
    report.add("packet.ratio.none", "10,000 endpoints over 1, no rules at all", Unit::Ratio, &none, None);
    let sending = figures.of("packet.sending");
    let received = |id: &str| figures.of(id).minus(sending);
    let many = received("packet.fwc.1000").over(&received("packet.fwc.1"));
    report.add("packet.received-ratio.1000", "1,000 services over 1, receiving alone", Unit::Ratio, &many, None);
    for (id, what, of) in [
        ("packet.added.1", "what fwc adds to no rules, 1 service", ["packet.fwc.1", "packet.none.1"]),
        ("packet.added.1000", "what fwc adds to no rules, 1,000 services", ["packet.fwc.1000", "packet.none.1000"]),
        ("packet.added.10000", "what fwc adds to no rules, 10,000 services", ["packet.fwc.10000", "packet.none.10000"]),
        (
            "packet.added.hand.10000",
            "what the rules by hand add, counting, 10,000",
            ["packet.hand-counting.10000", "packet.none.10000"],
        ),
        (
            "packet.added.stateful",
            "what the stateful filter adds, 1,000 services",
            ["packet.stateful.1000", "packet.none.1000"],
        ),
    ] {
        figures.added(report, id, what, of);
    }
    tell_added(report, figures);
    for (id, what, own, by_hand, most) in [
        (
            "packet.over-hand.1",
            "fwc over the same by hand, counting, 1 service",
            "packet.fwc.1",
            "packet.hand-counting.1",
            Some(1.0),
        ),
        (
            "packet.over-hand.100",
            "fwc over the same by hand, counting, 100",
            "packet.fwc.100",
            "packet.hand-counting.100",
            Some(1.0),
        ),
        (
            "packet.over-hand.1000",
            "fwc over the same by hand, counting, 1,000",
            "packet.fwc.1000",
            "packet.hand-counting.1000",
            Some(1.0),
        ),
        (
            "packet.over-hand.10000",
            "fwc over the same by hand, counting, 10,000",
            "packet.fwc.10000",
            "packet.hand-counting.10000",
            Some(1.0),
        ),
        (
            "packet.over-bare-hand.1",
            "fwc over the same by hand, no counters, 1 service",
            "packet.fwc.1",
            "packet.hand.1",
            None,
        ),
        (
            "packet.over-bare-hand.1000",
            "fwc over the same by hand, no counters, 1,000",
            "packet.fwc.1000",
            "packet.hand.1000",
            None,
        ),
        (
            "packet.over-bare-hand.10000",
            "fwc over the same by hand, no counters, 10,000",
            "packet.fwc.10000",
            "packet.hand.10000",
            None,
        ),
        (
            "packet.iptables-nft",
            "iptables files, nft, over nf_tables, 1,000 services",
            "packet.iptables-nft.1000",
            "packet.fwc.1000",
            Some(1.5),
        ),
        (
            "packet.iptables-legacy",
            "iptables files, legacy, over nf_tables, 1,000",
            "packet.iptables-legacy.1000",
            "packet.fwc.1000",
            Some(1.5),
        ),
    ] {
        figures.ratio(report, id, what, [own, by_hand], most);
    }
}

/// Whether what rules add to a packet stays the same.
fn tell_added(report: &mut Report, figures: &Figures) {
    let added = |rules: &str, none: &str| figures.of(rules).minus(figures.of(none));
    let one = added("packet.fwc.1", "packet.none.1");
    let within = Some(Target::AtMost(1.1));
    for (id, what, many, target) in [
        (
            "packet.added-ratio.100",
            "what fwc adds, 100 services over 1",
            added("packet.fwc.100", "packet.none.100"),
            within,
        ),
        (
            "packet.added-ratio.1000",
            "what fwc adds, 1,000 services over 1",
            added("packet.fwc.1000", "packet.none.1000"),
            within,
        ),
        (
            "packet.added-ratio.10000",
            "what fwc adds, 10,000 services over 1",
            added("packet.fwc.10000", "packet.none.10000"),
            within,
        ),
    ] {
        report.add(id, what, Unit::Ratio, &many.over(&one), target);
    }
    let by_hand = added("packet.hand.10000", "packet.none.10000").over(&added("packet.hand.1", "packet.none.1"));
    report.add(
        "packet.added-ratio.hand",
        "what the rules by hand add, no counters, 10,000 over 1",
        Unit::Ratio,
        &by_hand,
        None,
    );
}

fn v6() -> Vec<Case> {
    let fwc = |services| Rules::Fwc(Spec::new(&inputs::spec_of(Family::V6, services)));
    let by_hand =
        |services| Rules::Nft(hand::stateless(Family::V6, services, Extras { counted: true, ..Extras::default() }));
    let traffic = |services| Traffic::udp(Family::V6, services);
    vec![
        Case::new("packet6.none.1", "no rules, 1 service", traffic(1), Rules::None),
        Case::new("packet6.fwc.1", "fwc apply, 1 service", traffic(1), fwc(1)),
        Case::new("packet6.hand.1", "by hand, with counters, 1 service", traffic(1), by_hand(1)),
        Case::new("packet6.none.10000", "no rules, 10,000 services", traffic(10_000), Rules::None),
        Case::new("packet6.fwc.10000", "fwc apply, 10,000 services", traffic(10_000), fwc(10_000)),
        Case::new("packet6.hand.10000", "by hand, with counters, 10,000 services", traffic(10_000), by_hand(10_000)),
    ]
}

fn tell_v6(report: &mut Report, figures: &Figures) {
    figures.ratio(
        report,
        "packet6.ratio.10000",
        "10,000 services over 1",
        ["packet6.fwc.10000", "packet6.fwc.1"],
        Some(1.1),
    );
    figures.added(
        report,
        "packet6.added.1",
        "what fwc adds to no rules, 1 service",
        ["packet6.fwc.1", "packet6.none.1"],
    );
    figures.added(
        report,
        "packet6.added.10000",
        "what fwc adds to no rules, 10,000",
        ["packet6.fwc.10000", "packet6.none.10000"],
    );
    figures.ratio(
        report,
        "packet6.over-hand.1",
        "fwc over the same by hand, 1 service",
        ["packet6.fwc.1", "packet6.hand.1"],
        Some(1.0),
    );
    figures.ratio(
        report,
        "packet6.over-hand.10000",
        "fwc over the same by hand, 10,000",
        ["packet6.fwc.10000", "packet6.hand.10000"],
        Some(1.0),
    );
}

fn new_flows() -> Vec<Case> {
    let traffic = Traffic::udp(Family::V4, 1_000);
    vec![
        Case::new("new.none", "no rules", traffic, Rules::None),
        Case::new("new.fwc", "fwc apply", traffic, fwc(1_000)),
        Case::new("new.stateful", "stateful filter by hand", traffic, Rules::Nft(inputs::nft_stateful(1_000))),
    ]
}

fn tell_new_flows(report: &mut Report, figures: &Figures) {
    figures.added(report, "new.added.fwc", "what fwc adds to no rules", ["new.fwc", "new.none"]);
    figures.added(report, "new.added.stateful", "what the stateful filter adds", ["new.stateful", "new.none"]);
    let added = |id| figures.of(id).minus(figures.of("new.none"));
    let times = added("new.stateful").over(&added("new.fwc"));
    report.add(
        "new.times",
        "what the stateful filter adds over what fwc adds",
        Unit::Ratio,
        &times,
        Some(Target::AtLeast(2.0)),
    );
}
