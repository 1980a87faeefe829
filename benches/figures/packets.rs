//! What one received packet costs under each ruleset.
//!
//! Each ruleset has a pair of namespaces for itself, so that they can be taken in turns without loading anything anew.

use std::fs;
use std::time::Duration;

use super::Effort;
use super::flood::{FLOWS, flood, packets};
use super::inputs;
use super::report::{Report, Target, Unit};
use super::sample::Samples;
use super::support::cli::{Variant, iptables_apply, try_apply};
use super::support::tools::{command, run};
use super::support::turn::conntrack_max;
use super::support::{Link, Spec};

/// How long one ruleset is flooded before the next one has its turn.
const SLICE: Duration = Duration::from_millis(300);
/// Nobody has this hardware address: the server drops the frame before it looks at the packet.
const NOBODY: &str = "02:00:00:00:00:99";

/// What stands between the packet and the closed port that it is sent to.
enum Rules {
    /// The packet does not even reach the server's IP layer.
    SendingAlone,
    None,
    Fwc,
    Stateful,
    /// The iptables files of `fwc compile`.
    Files(Variant),
    /// What ferm makes of the same services, loaded by iptables-nft.
    OneRuleEach,
}

struct Case {
    id: &'static str,
    what: &'static str,
    /// How many services there are, and to how many the flows go in turn.
    services: usize,
    rules: Rules,
}

const fn case(id: &'static str, what: &'static str, services: usize, rules: Rules) -> Case {
    Case { id, what, services, rules }
}

const CASES: [Case; 12] = [
    case("packet.sending", "sending alone", 1, Rules::SendingAlone),
    case("packet.none.1", "no rules, packets to 1 endpoint", 1, Rules::None),
    case("packet.none.1000", "no rules, packets to 1,000 endpoints", 1_000, Rules::None),
    case("packet.none.10000", "no rules, packets to 10,000 endpoints", 10_000, Rules::None),
    case("packet.fwc.1", "fwc apply, 1 service", 1, Rules::Fwc),
    case("packet.fwc.100", "fwc apply, 100 services", 100, Rules::Fwc),
    case("packet.fwc.1000", "fwc apply, 1,000 services", 1_000, Rules::Fwc),
    case("packet.fwc.10000", "fwc apply, 10,000 services", 10_000, Rules::Fwc),
    case("packet.stateful.1000", "stateful filter by hand, set of 1,000 services", 1_000, Rules::Stateful),
    case("packet.iptables-nft.1000", "fwc's iptables files, nft, 1,000 services", 1_000, Rules::Files(Variant::Nft)),
    case(
        "packet.iptables-legacy.1000",
        "fwc's iptables files, legacy, 1,000 services",
        1_000,
        Rules::Files(Variant::Legacy),
    ),
    case("packet.ferm.1000", "ferm, one rule a service, iptables-nft, 1,000 services", 1_000, Rules::OneRuleEach),
];

pub fn measure(effort: Effort, report: &mut Report) {
    report.group("a UDP packet over veth, one core, 100,000 flows");
    let needed = FLOWS as u32 * 3 / 2;
    let most = conntrack_max();
    assert!(
        most >= needed,
        "the stateful filter needs net.netfilter.nf_conntrack_max of at least {needed}, not {most}"
    );
    let set_up: Vec<_> = CASES.iter().map(|case| (case, prepare(case), packets(case.services))).collect();
    let mut samples: Vec<Samples> = vec![Samples::default(); CASES.len()];
    for (_, link, packets) in &set_up {
        // Flows that are tracked have their entries from here on.
        flood(&link.client, packets, SLICE);
    }
    for round in 0..effort.some {
        for place in 0..set_up.len() {
            let which = if round % 2 == 0 { place } else { set_up.len() - 1 - place };
            let (case, link, packets) = &set_up[which];
            let before = closed_port(link);
            let cost = flood(&link.client, packets, SLICE);
            verify(case, cost.sent, closed_port(link) - before);
            samples[which].push(cost.nanoseconds);
        }
    }
    tell(report, &samples);
}

/// Prints each figure, and what comes of them.
fn tell(report: &mut Report, samples: &[Samples]) {
    for (case, samples) in CASES.iter().zip(samples) {
        report.add(case.id, case.what, Unit::NanosecondsPerPacket, samples, None);
    }
    let of = |id: &str| CASES.iter().position(|case| case.id == id).map(|at| &samples[at]).expect("a case");
    let (sending, one) = (of("packet.sending"), of("packet.fwc.1"));
    let within = Some(Target::AtMost(1.1));
    for (id, what, many, target) in [
        ("packet.ratio.1000", "1,000 services over 1, sending and receiving", of("packet.fwc.1000"), within),
        ("packet.ratio.10000", "10,000 services over 1, sending and receiving", of("packet.fwc.10000"), None),
    ] {
        report.add(id, what, Unit::Ratio, &many.over(one), target);
    }
    let received = |id: &str| of(id).minus(sending);
    let many = received("packet.fwc.1000").over(&received("packet.fwc.1"));
    report.add("packet.received-ratio.1000", "1,000 services over 1, receiving alone", Unit::Ratio, &many, None);
    for (id, what, rules, none) in [
        ("packet.added.1", "what fwc adds to no rules, 1 service", "packet.fwc.1", "packet.none.1"),
        ("packet.added.1000", "what fwc adds to no rules, 1,000 services", "packet.fwc.1000", "packet.none.1000"),
        ("packet.added.10000", "what fwc adds to no rules, 10,000 services", "packet.fwc.10000", "packet.none.10000"),
        (
            "packet.added.stateful",
            "what the stateful filter adds, 1,000 services",
            "packet.stateful.1000",
            "packet.none.1000",
        ),
    ] {
        report.add(id, what, Unit::NanosecondsPerPacket, &of(rules).minus(of(none)), None);
    }
}

/// Two hosts with the case's rules on the receiving one.
fn prepare(case: &Case) -> Link {
    let link = Link::new(&case.id.replace('.', "-"));
    let server = &link.server;
    server.ip(&["route", "add", "local", inputs::NETWORK, "dev", "lo"]);
    // No answers: only what comes in is measured. Older kernels have this for the whole machine, and send few.
    let _ = server.enter(|| fs::write("/proc/sys/net/ipv4/icmp_msgs_per_sec", "0"));
    match case.rules {
        Rules::None => {}
        Rules::SendingAlone => {
            link.client.ip(&["neigh", "replace", Link::SERVER, "lladdr", NOBODY, "dev", "eth0", "nud", "permanent"]);
        }
        Rules::Fwc => {
            try_apply(server, &Spec::new(&inputs::spec(case.services)), &[]).expect_success("fwc apply");
        }
        Rules::Stateful => server.write_nft(&inputs::nft_stateful(case.services)),
        Rules::Files(variant) => {
            iptables_apply(server, &inputs::spec(case.services), variant);
        }
        Rules::OneRuleEach => {
            let ferm = run(&mut command(["ferm", "--noexec", "--lines", "-"]), &inputs::ferm(case.services));
            let rules = ferm.expect_success("ferm");
            server.run_with(["iptables-nft-restore"], &rules).expect_success("loading ferm's rules");
        }
    }
    link
}

/// How many UDP packets have reached a closed port of the server so far: all filters let them through.
fn closed_port(link: &Link) -> u64 {
    // Not /proc/net, which shows the namespace of the process's first thread.
    let path = "/proc/thread-self/net/snmp";
    let text = link.server.enter(|| fs::read_to_string(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp:")).map(str::split_whitespace);
    let (names, figures) = (lines.next().expect("names"), lines.next().expect("figures"));
    let (_, figure) = names.zip(figures).find(|(name, _)| *name == "NoPorts").expect("NoPorts");
    figure.parse().expect("a figure")
}

/// A packet that was lost on its way or dropped cost less than one that arrived: such figures are worth nothing.
fn verify(case: &Case, sent: u64, arrived: u64) {
    let right = match case.rules {
        Rules::SendingAlone => arrived == 0,
        // At the end some may still be on their way.
        _ => arrived * 100 >= sent * 99,
    };
    assert!(right, "{}: {arrived} of {sent} packets arrived", case.what);
}
