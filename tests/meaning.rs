//! What specs mean, by the evaluator: the examples' own assertions, and what must hold for every spec.

#[path = "support/generate.rs"]
mod generate;
mod support;

use std::net::IpAddr;

use fwc::compile::{Compiled, check};
use fwc::net::{Family, PacketHeader, Protocol, TcpFlags};
use fwc::packet::{Fragment, Packet, Translation, answer, assertion, evaluate, evaluate_as_is};
use fwc::policy::{Addresses, Entry, Role, Server, Transport};
use fwc::ruleset::Hook;
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
        for result in assertion::run(&compiled.policy, compiled.ruleset()) {
            assert!(result.passed(), "{}: {result:#?}", file.display());
            assertions += result.legs.len();
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

const NAT: &str = "
policy: {forward: drop}
services: {ssh: {listen: \"203.0.113.5:22\"}}
forward: {outbound: {to: \"*:80\", from: 10.0.0.0/8}}
nat:
  - masquerade: {out: eth0, from: 10.0.0.0/8}
  - snat: {out: eth1, to: 203.0.113.9}
  - dnat: {listen: \"203.0.113.5:8443\", to: \"10.0.0.8:443\"}
  - redirect: {listen: \"203.0.113.5:2222\", to: 22}
  - dnat: {listen: \"*:2223\", to: \"203.0.113.5:22\"}
";

fn packet(text: &str, direction: Direction) -> Packet {
    Packet::new(text.parse().unwrap(), direction)
}

fn hooks(compiled: &Compiled, packet: &Packet) -> Vec<Hook> {
    evaluate(compiled.ruleset(), packet).steps.iter().map(|step| step.hook).collect()
}

/// There and back: what arrives, and what the client gets.
fn translated(compiled: &Compiled, sent: &Packet) -> (Packet, Packet) {
    let there = evaluate(compiled.ruleset(), sent);
    assert_eq!((there.fate, there.tracking), (Fate::Accept, Tracking::Tracked), "{there:#?}");
    let (_, back) = answer(compiled.ruleset(), sent, &there);
    assert_eq!((back.fate, back.tracking), (Fate::Accept, Tracking::Tracked), "{back:#?}");
    (there.arrived, back.arrived)
}

#[test]
fn a_dnat_leads_through_forward_and_back_from_the_old_destination() {
    let nat = compile(NAT);
    let sent = packet("tcp 198.51.100.7:40000 > 203.0.113.5:8443", Direction::In);
    assert_eq!(hooks(&nat, &sent), [Hook::NatPrerouting, Hook::Forward, Hook::NatPostrouting]);
    let (there, back) = translated(&nat, &sent);
    assert_eq!(there.direction, Direction::Forward);
    assert_eq!(
        (there.destination, there.header),
        ("10.0.0.8".parse().unwrap(), PacketHeader::Tcp(40_000, 443, TcpFlags::SYN))
    );
    assert_eq!(there.translated_from, Some(("203.0.113.5".parse().unwrap(), Some(8443))));
    let seen = packet("tcp 203.0.113.5:8443 > 198.51.100.7:40000 syn,ack", Direction::Forward);
    assert_eq!((back.source, back.destination, back.header), (seen.source, seen.destination, seen.header));
}

#[test]
fn a_redirect_and_a_dnat_to_this_host_stay_here() {
    let nat = compile(NAT);
    for (port, dropped) in [(2222, 2221), (2223, 2224)] {
        let sent = packet(&format!("tcp 198.51.100.7:40000 > 203.0.113.5:{port}"), Direction::In);
        assert_eq!(hooks(&nat, &sent), [Hook::NatPrerouting, Hook::Input]);
        let (there, back) = translated(&nat, &sent);
        assert_eq!((there.direction, there.header), (Direction::In, PacketHeader::Tcp(40_000, 22, TcpFlags::SYN)));
        assert_eq!(back.header, PacketHeader::Tcp(port, 40_000, TcpFlags::SYN_ACK));
        let beside = packet(&format!("tcp 198.51.100.7:40000 > 203.0.113.5:{dropped}"), Direction::In);
        assert_eq!(evaluate(nat.ruleset(), &beside).fate, Fate::Drop);
    }
}

#[test]
fn only_new_packets_are_translated_by_rules() {
    let nat = compile(NAT);
    for state in [State::Established, State::Related, State::Invalid] {
        let sent = Packet { state, ..packet("tcp 198.51.100.7:40000 > 203.0.113.5:8443", Direction::In) };
        let journey = evaluate(nat.ruleset(), &sent);
        assert!(journey.steps.iter().all(|step| step.translation.is_none()), "{journey:#?}");
    }
}

#[test]
fn source_nat_asks_for_the_outgoing_interface() {
    let nat = compile(NAT);
    let out = |interface: Option<&str>| Packet {
        interface: interface.map(|name| name.parse().unwrap()),
        ..packet("tcp 203.0.113.5:40000 > 192.0.2.80:80", Direction::Out)
    };
    let post = |packet: &Packet| evaluate(nat.ruleset(), packet).steps.last().cloned().unwrap();
    let from = ("203.0.113.5".parse().unwrap(), Some(40_000));
    let to = Some(("203.0.113.9".parse().unwrap(), Some(40_000)));
    assert_eq!(post(&out(Some("eth1"))).translation, Some(Translation::Source { from, to }));
    assert_eq!(post(&out(Some("eth2"))).translation, None);
    let unknown = post(&out(None));
    assert_eq!((unknown.translation, unknown.depends.len()), (None, 1), "{unknown:#?}");
    let routed = packet("tcp 10.0.0.5:40000 > 192.0.2.80:80", Direction::Forward);
    assert_eq!(post(&routed).depends.len(), 2);

    let there = evaluate(nat.ruleset(), &out(Some("eth1")));
    let (set_out, back) = answer(nat.ruleset(), &out(Some("eth1")), &there);
    assert_eq!(set_out.destination, "203.0.113.9".parse::<IpAddr>().unwrap());
    assert_eq!((back.fate, back.arrived.destination), (Fate::Accept, "203.0.113.5".parse().unwrap()));
}

#[test]
fn over_lo_output_comes_first_and_decides_about_tracking() {
    let head = "nat_conflict: overlap\nservices: {web: {listen: \"203.0.113.5:80\", stateless: true}, ssh: {listen: \"*:22\"}}\n";
    let (all, some) = (compile(head.split_once('\n').unwrap().1), compile(head));
    for direction in [Direction::In, Direction::Out] {
        let lo = |port: u16| Packet {
            interface: "lo".parse().ok(),
            ..packet(&format!("tcp 203.0.113.5:40000 > 203.0.113.5:{port}"), direction)
        };
        let expected = [Hook::RawOutput, Hook::Output, Hook::RawPrerouting, Hook::Input];
        assert_eq!(hooks(&all, &lo(80)), expected);
        for (compiled, port, tracking) in [
            (&all, 80, Tracking::Untracked),
            (&all, 22, Tracking::Untracked),
            (&some, 80, Tracking::Untracked),
            (&some, 22, Tracking::Tracked),
        ] {
            let there = evaluate(compiled.ruleset(), &lo(port));
            let (_, back) = answer(compiled.ruleset(), &lo(port), &there);
            assert_eq!((there.tracking, back.tracking), (tracking, tracking), "{port} {there:#?}");
            assert_eq!((there.fate, back.fate), (Fate::Accept, Fate::Accept));
        }
    }
}

#[test]
fn prerouting_cannot_untrack_what_output_has_sent_to_conntrack() {
    // A client's replies are untracked in prerouting. Over lo, where NAT is let through, output has tracked them.
    let spec = compile(
        "nat_conflict: overlap\nclients: {dns: {to: \"*:53\", protocol: udp, stateless: true, local_ports: 40000-40009}}\n",
    );
    let reply = Packet {
        interface: "lo".parse().ok(),
        state: State::Established,
        ..packet("udp 203.0.113.5:53 > 203.0.113.5:40000", Direction::In)
    };
    assert_eq!(evaluate(spec.ruleset(), &reply).tracking, Tracking::Tracked);
    assert_eq!(evaluate_as_is(spec.ruleset(), &reply).tracking, Tracking::Untracked);
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
        fragment: Fragment::Whole,
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
            let (_, back) = answer(compiled.ruleset(), &packet, &there);
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

    #[test]
    fn what_is_translated_arrives_and_is_answered_by_its_old_name(
        text in generate::nat_spec(),
        port in proptest::sample::select(vec![53u16, 8000, 8005, 8080, 8443]),
    ) {
        let compiled = compile(&text);
        for sent in [
            packet(&format!("tcp 198.51.100.7:40000 > 203.0.113.5:{port}"), Direction::In),
            packet(&format!("udp [2001:db8:7::7]:40000 > [2001:db8::5]:{port}"), Direction::In),
        ] {
            let there = evaluate(compiled.ruleset(), &sent);
            let Some(from) = there.arrived.translated_from else { continue };
            assert_eq!(from, (sent.destination, Some(port)));
            assert_eq!(there.fate, Fate::Accept, "{text}\n{there:#?}");
            let (_, back) = answer(compiled.ruleset(), &sent, &there);
            assert_eq!(back.fate, Fate::Accept, "{text}\n{back:#?}");
            assert_eq!((back.arrived.source, back.arrived.destination), (sent.destination, sent.source));
        }
    }

    #[test]
    fn first_fragments_are_treated_as_whole_packets(text in generate::spec()) {
        let compiled = compile(&text);
        each_flow(&compiled, |_, packet| {
            let whole = evaluate(compiled.ruleset(), &packet);
            let first = evaluate(compiled.ruleset(), &Packet { fragment: Fragment::First, ..packet.clone() });
            assert_eq!((whole.fate, whole.tracking), (first.fate, first.tracking), "{text}\n{packet:?}");
        });
    }

    #[test]
    fn later_fragments_of_what_is_accepted_are_accepted(text in generate::spec()) {
        let compiled = compile(&text);
        each_flow(&compiled, |_, packet| {
            if !blocked(&compiled, &packet) && packet.interface.is_none() {
                let later = Packet { fragment: Fragment::Later, ..packet };
                assert_eq!(evaluate(compiled.ruleset(), &later).fate, Fate::Accept, "{text}\n{later:?}");
            }
        });
    }
}
