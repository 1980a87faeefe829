//! Evaluator and kernel, packet by packet: generated specs, and packets at the edges of their rules, sent for real.
//!
//! Each spec is loaded over netlink and as iptables files by both kinds of programs. Where the kernel decides something else than the evaluator,
//! the spec is shrunk and printed with the packet and the seed. The seed is fixed; `FWC_DIFFERENTIAL_SEED` sets another one, and
//! `FWC_DIFFERENTIAL_SECONDS` (`make differential`) goes on with ever new ones for so long.

#[path = "differential/form.rs"]
mod form;
#[path = "support/generate.rs"]
mod generate;
#[path = "support/near.rs"]
mod near;
mod support;

use std::time::{Duration, Instant};

use form::Form;
use fwc::kernel::probe::{Observation, Outcome, Reason, States, Testbed};
use fwc::packet::{Fragment, Packet, evaluate};
use fwc::ruleset::Ruleset;
use fwc::spec::{Direction, Fate, State, Tracking};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use support::{Namespace, broken, compile};

/// What was sent and what came of it.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    decided: usize,
    accepted: usize,
    untracked: usize,
    held: usize,
    not_sent: usize,
}

/// A packet about which the two disagree. Its fields are read by those who read the failure.
#[allow(dead_code)]
#[derive(Debug)]
struct Disagreement {
    packet: Packet,
    evaluator: (Fate, Tracking),
    kernel: Observation,
}

/// Packets at the edges of a spec.
fn packets(text: &str, seed: u64, count: usize) -> Vec<Packet> {
    let (mut dice, compiled) = (near::Dice(seed), compile(text));
    (0..count).map(|_| near::packet(compiled.ruleset(), &mut dice)).map(as_it_sets_out).collect()
}

/// Loads a spec in a fresh namespace and sends packets.
fn differences(text: &str, form: Form, packets: Vec<Packet>) -> (Vec<Disagreement>, Tally) {
    let compiled = compile(text);
    let ruleset = compiled.ruleset();
    let namespace = Namespace::new("differential");
    form.load(&namespace, ruleset);
    let names = ["eth0", "eth1"].map(|name| name.parse().unwrap());
    let outcomes = namespace.enter(|| {
        let mut testbed = Testbed::lay_out(&names, ruleset.tracks).unwrap_or_else(|error| panic!("{error}"));
        let outcomes = testbed.send(&packets, States::Found).unwrap_or_else(|error| panic!("{error}"));
        if !ruleset.tracks {
            assert_eq!(testbed.conntrack_entries(), 0, "nothing is to be tracked by\n{text}");
        }
        outcomes
    });
    let mut tally = Tally::default();
    let found =
        packets.into_iter().zip(outcomes).filter_map(|(packet, outcome)| compare(ruleset, packet, outcome, &mut tally));
    (found.collect(), tally)
}

/// The packet as it sets out: what is translated on its way has not been so before, and what a host sends is cut up behind the last hook.
fn as_it_sets_out(mut packet: Packet) -> Packet {
    let sent_here = packet.direction == Direction::Out || is_lo(&packet);
    if sent_here {
        packet.fragment = Fragment::Whole;
    }
    // Nobody but the host itself sends to itself. Where a rule names neither side, the generator gives both the same address.
    if packet.source == packet.destination && !is_lo(&packet) {
        packet.source = if packet.source.is_ipv4() { "198.51.100.8" } else { "2001:db8:77::8" }.parse().unwrap();
    }
    match packet.translated_from {
        Some((destination, port)) => {
            let header = match (packet.header, port) {
                (fwc::net::PacketHeader::Tcp(from, _, flags), Some(to)) => fwc::net::PacketHeader::Tcp(from, to, flags),
                (fwc::net::PacketHeader::Ports(protocol, from, _), Some(to)) => {
                    fwc::net::PacketHeader::Ports(protocol, from, to)
                }
                (header, _) => header,
            };
            Packet { destination, header, translated_from: None, ..packet }
        }
        None => packet,
    }
}

fn is_lo(packet: &Packet) -> bool {
    packet.interface.as_ref().is_some_and(|name| name.as_str() == "lo")
}

fn compare(ruleset: &Ruleset, packet: Packet, outcome: Outcome, tally: &mut Tally) -> Option<Disagreement> {
    let kernel = match outcome {
        Outcome::Decided(kernel) => kernel,
        Outcome::NotSent(Reason::Held) => {
            assert_ne!(packet.fragment, Fragment::Whole, "a whole packet is never held: {packet:?}");
            tally.held += 1;
            return None;
        }
        Outcome::NotSent(_) => {
            tally.not_sent += 1;
            return None;
        }
    };
    tally.decided += 1;
    tally.accepted += usize::from(kernel.fate == Fate::Accept);
    tally.untracked += usize::from(kernel.tracking == Some(Tracking::Untracked));
    // What conntrack says is taken from the kernel: the evaluator is told it, and asked what the rules make of it.
    let packet = Packet { state: kernel.state.unwrap_or(State::New), ..packet };
    let journey = evaluate(ruleset, &packet);
    let same = journey.fate == kernel.fate && kernel.tracking.is_none_or(|tracking| tracking == journey.tracking);
    (!same).then_some(Disagreement { evaluator: (journey.fate, journey.tracking), packet, kernel })
}

/// Makes a spec smaller as long as the two disagree, and tells of it.
///
/// Judges of mutations want to know only whether there is one: `FWC_DIFFERENTIAL_NO_SHRINK` leaves it as it is.
fn shrunk(mut tree: impl ValueTree<Value = String>, form: Form, seed: u64, count: usize) -> String {
    if std::env::var_os("FWC_DIFFERENTIAL_NO_SHRINK").is_some() {
        return format!("{form:?}, packet seed {seed}\n{}", tree.current());
    }
    let fails = |text: &str| differences(text, form, packets(text, seed, count)).0.into_iter().next();
    let mut last = (tree.current(), fails(&tree.current()));
    for _ in 0..40 {
        if last.1.is_some() && !tree.simplify() || last.1.is_none() && !tree.complicate() {
            break;
        }
        let now = (tree.current(), fails(&tree.current()));
        if now.1.is_some() {
            last = now;
        } else if !tree.complicate() {
            break;
        }
    }
    let all = packets(&last.0, seed, count);
    format!("{form:?}, packet seed {seed}\n{}\n{:#?}", last.0, fewest(&last.0, form, all))
}

/// As few of the packets as show a disagreement, with the last one found: often one alone, but one packet may change what another meets.
fn fewest(text: &str, form: Form, mut packets: Vec<Packet>) -> (Vec<Packet>, Option<Disagreement>) {
    let fails = |some: &[Packet]| differences(text, form, some.to_vec()).0.into_iter().next();
    let mut last = fails(&packets);
    let mut size = packets.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < packets.len() && packets.len() > 1 {
            let end = (at + size).min(packets.len());
            let rest = [&packets[..at], &packets[end..]].concat();
            match fails(&rest) {
                Some(found) => (packets, last) = (rest, Some(found)),
                None => at = end,
            }
        }
        size /= 2;
    }
    (packets, last)
}

/// Rounds of generated specs until `enough` says so.
fn rounds(seed: u64, forms: &[Form], count: usize, mut enough: impl FnMut(usize) -> bool) -> Tally {
    let bytes: Vec<u8> = (0..4).flat_map(|n: u64| (seed ^ n).to_le_bytes()).collect();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng);
    let specs = prop_oneof![
        4 => generate::spec(),
        1 => generate::quiet_spec(),
        1 => generate::nat_spec(),
        1 => generate::overlap_spec(),
        1 => generate::plain_spec(),
    ];
    let mut total = Tally::default();
    for round in 0.. {
        if enough(round) {
            break;
        }
        let form = forms[round % forms.len()];
        let tree = specs.new_tree(&mut runner).unwrap();
        let seed = seed.wrapping_add(round as u64);
        // The evaluator reads the same rules as the kernel gets. That these are the right ones, the contract says.
        let text = tree.current();
        assert_eq!(
            broken(&compile(&text)),
            Vec::<String>::new(),
            "seed {seed}, round {round}: not what is meant by\n{text}"
        );
        let (found, tally) = differences(&tree.current(), form, packets(&tree.current(), seed, count));
        if !found.is_empty() {
            panic!("seed {seed}, round {round}: {} disagreements\n{}", found.len(), shrunk(tree, form, seed, count));
        }
        total.decided += tally.decided;
        total.accepted += tally.accepted;
        total.untracked += tally.untracked;
        total.held += tally.held;
        total.not_sent += tally.not_sent;
    }
    total
}

fn seed() -> u64 {
    let text = std::env::var("FWC_DIFFERENTIAL_SEED").unwrap_or_default();
    if text.is_empty() { 1 } else { text.parse().expect("FWC_DIFFERENTIAL_SEED is a number") }
}

#[test]
fn kernel_and_evaluator_agree_over_netlink() {
    let total = rounds(seed(), &[Form::Netlink], 600, |round| round >= 32);
    println!("{total:?}");
    assert!(total.decided > 8_000 && total.accepted > 1_000 && total.untracked > 1_000, "too few: {total:?}");
    assert!(total.decided - total.accepted > 1_000, "too few are dropped: {total:?}");
}

/// Endpoints enough that raw and filter chains share their sets, and a tree of chains in iptables; generated specs are smaller.
#[test]
fn kernel_and_evaluator_agree_about_many_endpoints() {
    let service = |n: usize| {
        let (high, low) = (n / 250, n % 250 + 1);
        format!(
            "  s{n}: {{listen: [\"10.9.{high}.{low}:{0}\", \"[2001:db8:9:{high}::{low}]:{0}\"], protocol: [tcp, udp], stateless: true}}\n",
            1_000 + n * 7
        )
    };
    let services: String = (0..300).map(service).collect();
    let text = format!(
        "services:\n{services}  ssh: {{listen: \"*:22\", from: 198.51.100.0/24}}\nclients:\n  resolver: {{to: \"9.9.9.9:53\", \
         protocol: udp, stateless: true}}\n"
    );
    for form in Form::ALL {
        let (found, tally) = differences(&text, form, packets(&text, seed(), 1_500));
        assert!(found.is_empty(), "{form:?}: {:#?}", found.first());
        assert!(tally.accepted > 100 && tally.untracked > 100 && tally.decided - tally.accepted > 100, "{tally:?}");
    }
}

#[test]
fn kernel_and_evaluator_agree_over_iptables() {
    let total = rounds(seed() ^ 0x5555, &[Form::IptablesNft, Form::IptablesLegacy], 600, |round| round >= 12);
    println!("{total:?}");
    assert!(total.decided > 4_000 && total.accepted > 500 && total.untracked > 500, "too few: {total:?}");
}

#[test]
fn kernel_and_evaluator_agree_for_as_long_as_wanted() {
    let Ok(seconds) = std::env::var("FWC_DIFFERENTIAL_SECONDS") else { return };
    let end = Instant::now() + Duration::from_secs(seconds.parse().expect("FWC_DIFFERENTIAL_SECONDS is a number"));
    let mut last = 0;
    let total = rounds(seed(), &Form::ALL, 1_500, |round| {
        last = round;
        Instant::now() >= end
    });
    println!("{last} specs: {total:?}");
}
