//! What specs mean, by the evaluator: the examples' own assertions, and what must hold for every spec.

#[path = "support/generate.rs"]
mod generate;
mod support;

use std::net::IpAddr;

use fwc::compile::{Compiled, check};
use fwc::net::{Family, PacketHeader, Protocol, TcpFlags};
use fwc::packet::{Packet, evaluate};
use fwc::policy::{Addresses, Entry, Role, Server, Transport};
use fwc::spec::{Direction, Fate, State, Tracking};
use proptest::prelude::*;
use support::{compile, examples};

#[test]
fn the_examples_keep_their_promises() {
    let mut assertions = 0;
    for file in examples() {
        let outcome = check(&file);
        assert!(outcome.diagnostics.is_empty(), "{}: {:#?}", file.display(), outcome.diagnostics);
        let compiled = outcome.compiled.unwrap();
        for test in &compiled.policy.tests {
            let mut packet = Packet::new(test.packet.value, test.direction);
            packet.interface = test.interface.clone().map(|interface| interface.value);
            packet.state = test.state;
            let mut packets = vec![packet.clone()];
            if test.reply.is_some_and(|reply| reply.value) {
                packets.push(packet.mirrored());
            }
            for packet in packets {
                let journey = evaluate(compiled.ruleset(), &packet);
                let expected = (test.expect.map(|e| e.value), test.tracking.map(|t| t.value));
                let got = (expected.0.map(|_| journey.fate), expected.1.map(|_| journey.tracking));
                assert_eq!(expected, got, "{}: {packet:?} {:#?}", file.display(), journey.steps);
                assertions += 1;
            }
        }
    }
    assert!(assertions > 20, "only {assertions} assertions ran");
}

#[test]
fn nothing_looks_at_conntrack_when_nothing_needs_it() {
    let quiet =
        compile("policy: {output: drop}\nconntrack: disabled\nservices: {web: {listen: \"*:80\", stateless: true}}\n");
    assert!(!quiet.ruleset().tracks);
    let kept = compile("policy: {output: drop}\nservices: {web: {listen: \"*:80\"}}\n");
    assert!(kept.ruleset().tracks);
}

/// An address that an endpoint or a list of sources stands for.
fn some_address(compiled: &Compiled, addresses: Addresses, family: Family) -> Option<IpAddr> {
    match compiled.policy.sets.ranges(addresses, family) {
        None => Some(if family == Family::V4 { [198, 51, 100, 77].into() } else { "2001:db8:77::7".parse().unwrap() }),
        Some(ranges) => ranges.first().map(|range| range.first()),
    }
}

/// The first packet of a flow to a server endpoint, by somebody who may.
fn request(compiled: &Compiled, entry: &Entry, server: &Server, family: Family) -> Option<Packet> {
    let (from, direction) = match &entry.role {
        Role::Service { from, .. } => (*from, Direction::In),
        Role::Client { .. } => (Addresses::Any, Direction::Out),
        Role::Forward { from } => (*from, Direction::Forward),
    };
    let local_port = match &entry.role {
        Role::Client { local_ports } => local_ports.ranges()[0].0,
        _ => 40_000,
    };
    let header = match &server.transport {
        Transport::Plain(protocol) => PacketHeader::Plain(*protocol),
        Transport::Ports(Protocol::TCP, ports) => PacketHeader::Tcp(local_port, ports.ranges()[0].0, TcpFlags::SYN),
        Transport::Ports(protocol, ports) => PacketHeader::Ports(*protocol, local_port, ports.ranges()[0].0),
    };
    let interface = match &entry.role {
        Role::Service { interfaces, .. } => interfaces.first().cloned(),
        _ => None,
    };
    Some(Packet {
        source: some_address(compiled, from, family)?,
        destination: some_address(compiled, server.addresses, family)?,
        header,
        fragment: fwc::packet::Fragment::Whole,
        direction,
        interface,
        state: State::New,
        translated_from: None,
    })
}

fn each_flow(compiled: &Compiled, mut look: impl FnMut(&Entry, Packet)) {
    for entry in &compiled.policy.entries {
        for server in &entry.servers {
            for family in Family::BOTH {
                if server.transport.exists_in(family)
                    && let Some(packet) = request(compiled, entry, server, family)
                {
                    look(entry, packet);
                }
            }
        }
    }
}

fn blocked(compiled: &Compiled, packet: &Packet) -> bool {
    compiled.policy.block.is_some_and(|block| {
        [packet.source, packet.destination].iter().any(|&address| compiled.policy.sets.contains(block, address))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn both_legs_share_their_tracking_and_are_accepted(text in generate::spec()) {
        let compiled = compile(&text);
        each_flow(&compiled, |entry, packet| {
            if blocked(&compiled, &packet) {
                return;
            }
            let there = evaluate(compiled.ruleset(), &packet);
            let back = evaluate(compiled.ruleset(), &packet.mirrored());
            assert_eq!(there.tracking, back.tracking, "{text}\n{packet:?}");
            if entry.tracking == Tracking::Untracked {
                assert_eq!(there.tracking, Tracking::Untracked, "{text}\n{packet:?}");
            }
            assert_eq!(there.fate, Fate::Accept, "{text}\n{packet:?}");
            assert_eq!(back.fate, Fate::Accept, "{text}\n{packet:?}");
        });
    }

    #[test]
    fn no_reply_leg_opens_a_connection(text in generate::spec()) {
        let compiled = compile(&text);
        each_flow(&compiled, |_, packet| {
            let PacketHeader::Tcp(from, to, _) = packet.header else { return };
            let mut back = packet.mirrored();
            back.header = PacketHeader::Tcp(to, from, TcpFlags::SYN);
            back.state = State::New;
            let journey = evaluate(compiled.ruleset(), &back);
            if let Some(rule) = journey.steps.last().and_then(|step| step.decided_by) {
                let reply = matches!(rule.origin, fwc::ruleset::Origin::Entry(_, fwc::ruleset::Leg::Reply, _));
                assert!(!reply, "{text}\n{back:?}\n{rule:?}");
            }
        });
    }

    #[test]
    fn blocked_sources_get_nowhere(text in generate::spec()) {
        let compiled = compile(&text);
        each_flow(&compiled, |_, packet| {
            let Some(block) = compiled.policy.block else { return };
            if packet.direction != Direction::Out && compiled.policy.sets.contains(block, packet.source) {
                assert_eq!(evaluate(compiled.ruleset(), &packet).fate, Fate::Drop, "{text}\n{packet:?}");
            }
        });
    }

    #[test]
    fn nat_specs_compile(text in generate::nat_spec()) {
        assert!(compile(&text).ruleset().tracks);
    }
}
