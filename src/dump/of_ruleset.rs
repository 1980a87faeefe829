//! The rules of a spec in the model of dumps: rule by rule, nothing made fast.

use std::sync::Arc;

use super::{
    Base, Chain, ChainKind, Condition, Dump, Effect, Hook, InterfacePattern, Parts, Rule, Side, States, Test,
    Translation, TranslationKind, Varies, Verdict, Way,
};
use crate::net::{AddressSet, Family, PortSet, RangeSet};
use crate::policy::Addresses;
use crate::ruleset::{self, Action, Locality, Match, Origin, Payload, Ruleset, StateMatch};
use crate::source::Place;

/// Translates a ruleset. `whole` is the place of rules that no single token of the spec stands for.
#[must_use]
pub fn of_ruleset(ruleset: &Ruleset, whole: Place) -> Dump {
    let mut reader = Reader { ruleset, whole, sets: Vec::new() };
    let chains = ruleset.chains.iter().map(|chain| reader.chain(chain)).collect();
    Dump { chains, families: Family::BOTH.to_vec(), unread: Vec::new() }
}

struct Reader<'a> {
    ruleset: &'a Ruleset,
    whole: Place,
    /// What has been translated already: many rules share few sets, and equal sets should be one.
    sets: Vec<(Addresses, Arc<AddressSet>)>,
}

/// Hook, priority and kind of a chain, as the kernel is told.
fn base(hook: ruleset::Hook) -> (Hook, i32, ChainKind) {
    match hook {
        ruleset::Hook::RawPrerouting => (Hook::Prerouting, -300, ChainKind::Filter),
        ruleset::Hook::RawOutput => (Hook::Output, -300, ChainKind::Filter),
        ruleset::Hook::NatPrerouting => (Hook::Prerouting, -100, ChainKind::Nat),
        ruleset::Hook::Input => (Hook::Input, 0, ChainKind::Filter),
        ruleset::Hook::Forward => (Hook::Forward, 0, ChainKind::Filter),
        ruleset::Hook::Output => (Hook::Output, 0, ChainKind::Filter),
        ruleset::Hook::NatPostrouting => (Hook::Postrouting, 100, ChainKind::Nat),
    }
}

impl Reader<'_> {
    fn chain(&mut self, chain: &ruleset::Chain) -> Chain {
        let (hook, priority, kind) = base(chain.hook);
        let rules = chain.rules.iter().map(|rule| self.rule(chain.hook, rule)).collect();
        Chain {
            table: "spec".to_string(),
            family: None,
            name: format!("{:?}", chain.hook),
            base: Some(Base { hook, priority, kind, policy: chain.policy }),
            rules,
            place: self.whole,
        }
    }

    fn rule(&mut self, hook: ruleset::Hook, rule: &ruleset::Rule) -> Rule {
        let (effects, verdict) = match rule.action {
            Action::Accept => (Vec::new(), Verdict::Accept),
            Action::Drop => (Vec::new(), Verdict::Drop),
            Action::Notrack => (vec![Effect::Notrack], Verdict::Continue),
            Action::Masquerade => (Vec::new(), translate(TranslationKind::Masquerade, None, None)),
            Action::Snat(to) => (Vec::new(), translate(TranslationKind::Snat, Some(to), None)),
            Action::Dnat(to, port) => (Vec::new(), translate(TranslationKind::Dnat, Some(to), port)),
            Action::Redirect(port) => (Vec::new(), translate(TranslationKind::Redirect, None, Some(port))),
        };
        Rule {
            conditions: self.conditions(hook, &rule.matching),
            effects,
            verdict,
            place: place(rule.origin).unwrap_or(self.whole),
            comment: Some(self.comment(rule.origin)),
            position: None,
        }
    }

    fn conditions(&mut self, hook: ruleset::Hook, matching: &Match) -> Vec<Condition> {
        let mut all = Vec::new();
        all.extend(matching.family.map(|family| Condition::is(Test::Family(family))));
        if !matching.interfaces.is_empty() {
            let way = if hook.matches_outgoing() { Way::Out } else { Way::In };
            let names = matching.interfaces.iter().map(|name| InterfacePattern::exact(name.as_str())).collect();
            all.push(Condition::is(Test::Interface(way, names)));
        }
        for (side, addresses) in [(Side::Source, matching.source), (Side::Destination, matching.destination)] {
            let set = self.set(addresses);
            all.extend(set.map(|set| Condition::is(Test::Address(side, set))));
        }
        match matching.locality {
            Locality::Anywhere => {}
            Locality::Local => all.push(Condition::is(Test::Local(Side::Destination))),
            Locality::NotLocal => all.push(Condition::not(Test::Local(Side::Destination))),
        }
        payload(&matching.payload, matching.family, &mut all);
        self.state(&matching.state, &mut all);
        all
    }

    fn state(&mut self, asked: &StateMatch, all: &mut Vec<Condition>) {
        let new = States { new: true, ..States::default() };
        match asked {
            StateMatch::Any => {}
            StateMatch::New => all.push(Condition::is(Test::State(new))),
            StateMatch::EstablishedOrRelated => {
                let states = States { established: true, related: true, ..States::default() };
                all.push(Condition::is(Test::State(states)));
            }
            StateMatch::Translated { destination, ports } => {
                all.push(Condition::is(Test::State(new)));
                all.push(Condition::is(Test::Translated(Side::Destination)));
                let set = self.set(**destination);
                all.extend(set.map(|set| Condition::is(Test::OriginalDestination(set))));
                all.extend(ports.as_ref().map(|ports| Condition::is(Test::OriginalPort(numbers(ports)))));
            }
        }
    }

    /// `None` is any address.
    fn set(&mut self, addresses: Addresses) -> Option<Arc<AddressSet>> {
        match addresses {
            Addresses::Any => None,
            Addresses::Range(range) => Some(Arc::new([range].into_iter().collect())),
            Addresses::Set(id) => {
                if let Some((_, known)) = self.sets.iter().find(|(other, _)| *other == addresses) {
                    return Some(Arc::clone(known));
                }
                let set = Arc::new(self.ruleset.sets.get(id).clone());
                self.sets.push((addresses, Arc::clone(&set)));
                Some(set)
            }
        }
    }

    fn comment(&self, origin: Origin) -> Arc<str> {
        match origin {
            Origin::Loopback => "loopback".into(),
            Origin::IcmpError => "ICMP errors".into(),
            Origin::NeighbourDiscovery => "neighbour discovery".into(),
            Origin::MulticastListener => "multicast listener messages".into(),
            Origin::Dhcp => "DHCP".into(),
            Origin::Ping => "ping".into(),
            Origin::Established => "established and related".into(),
            Origin::Block => "block".into(),
            Origin::Entry(id, leg, _) => match self.ruleset.owners.get(id.0 as usize) {
                Some(owner) => format!("the {} of {}.{}", leg_name(leg), owner.section, owner.name).into(),
                None => "an entry".into(),
            },
            Origin::Nat(number, _) => format!("nat item {}", number + 1).into(),
        }
    }
}

fn leg_name(leg: ruleset::Leg) -> &'static str {
    match leg {
        ruleset::Leg::Request => "request leg",
        ruleset::Leg::Reply => "reply leg",
    }
}

fn place(origin: Origin) -> Option<Place> {
    match origin {
        Origin::Entry(_, _, place) | Origin::Nat(_, place) => Some(place),
        _ => None,
    }
}

fn translate(kind: TranslationKind, address: Option<std::net::IpAddr>, port: Option<u16>) -> Verdict {
    Verdict::Translate(Translation {
        kind,
        address: address.map(|address| (address, address)),
        ports: port.map(|port| (port, port)),
        varies: Varies::default(),
    })
}

fn numbers(ports: &PortSet) -> RangeSet<u16> {
    RangeSet::from_ranges(ports.ranges().iter().copied())
}

fn payload(asked: &Payload, family: Option<Family>, all: &mut Vec<Condition>) {
    match asked {
        Payload::Any => {}
        Payload::Protocol(protocol) => all.push(Condition::is(Test::Protocol(RangeSet::single(protocol.number())))),
        Payload::LaterFragment(protocol) => {
            all.push(Condition::is(Test::Protocol(RangeSet::single(protocol.number()))));
            all.push(Condition::is(Test::Fragment(Parts::LATER)));
        }
        Payload::Icmp(types) => {
            let types = RangeSet::from_ranges(types.iter().map(|&kind| (kind, kind)));
            // The rule's family is set (`Payload::Icmp`).
            if let Some(family) = family {
                all.push(Condition::is(Test::Icmp(family, types, RangeSet::all())));
            }
        }
        Payload::Ports { protocol, source, destination, guarded } => {
            all.push(Condition::is(Test::Protocol(RangeSet::single(protocol.number()))));
            let any = source.is_none() && destination.is_none();
            if any {
                // A later fragment has no ports, whatever they are.
                all.push(Condition::is(Test::Port(Side::Destination, RangeSet::all())));
            }
            let side = |side, ports: &PortSet| Condition::is(Test::Port(side, numbers(ports)));
            all.extend(source.as_ref().map(|ports| side(Side::Source, ports)));
            all.extend(destination.as_ref().map(|ports| side(Side::Destination, ports)));
            if *guarded && *protocol == crate::net::Protocol::TCP {
                all.push(Condition::not(Test::TcpFlags { mask: SYN | ACK, value: SYN }));
            }
        }
    }
}

const SYN: u8 = 2;
const ACK: u8 = 16;
