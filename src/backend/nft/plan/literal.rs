//! Rules that stay rules.

use super::addresses::Where;
use super::{Planner, verdict};
use crate::backend::nft::program::{self, Condition, ConntrackState, Direction, Side};
use crate::net::{Family, Interface, Name, Protocol};
use crate::policy::Addresses;
use crate::ruleset::{Action, Hook, Locality, Match, Origin, Payload, Rule, StateMatch};

impl Planner<'_> {
    /// A rule written out: as several where it speaks of both families, or of more than one rule can say.
    pub(super) fn literal(&mut self, hook: Hook, rule: &Rule) -> Vec<program::Rule> {
        let counter = matches!(rule.origin, Origin::Block | Origin::Entry(..) | Origin::Nat(..));
        let comment = Some(self.reason(rule.origin));
        let place = match rule.origin {
            Origin::Entry(_, _, place) | Origin::Nat(_, place) => Some(place),
            _ => None,
        };
        let verdict = verdict(rule.action);
        self.conditions(hook, rule)
            .into_iter()
            .map(|conditions| program::Rule {
                conditions,
                counter,
                verdict: verdict.clone(),
                comment: comment.clone(),
                place,
            })
            .collect()
    }

    fn reason(&self, origin: Origin) -> String {
        let known = match origin {
            Origin::Loopback => "loopback",
            Origin::IcmpError => "icmp errors",
            Origin::NeighbourDiscovery => "neighbour discovery",
            Origin::MulticastListener => "multicast listener",
            Origin::Dhcp => "dhcp",
            Origin::Ping => "ping",
            Origin::Established => "established",
            Origin::Block => "block",
            Origin::Entry(id, ..) => self.owners.name(id).map_or("", Name::as_str),
            Origin::Nat(number, _) => return format!("fwc: nat {}", number + 1),
        };
        format!("fwc: {known}")
    }

    /// The conditions of each rule that is needed.
    fn conditions(&mut self, hook: Hook, rule: &Rule) -> Vec<Vec<Condition>> {
        let matching = &rule.matching;
        let mut rules = Vec::new();
        for family in families(matching, rule.action) {
            let ways = |planner: &mut Self, at, addresses| match family {
                Some(family) => planner.ways(at, addresses, family),
                None => vec![None],
            };
            let sources = ways(self, Where::Header(Side::Source), matching.source);
            let destinations = ways(self, Where::Header(Side::Destination), matching.destination);
            let states = match &matching.state {
                StateMatch::Translated { destination, ports } => {
                    let ranges = ports.as_ref().map_or(&[][..], |ports| ports.ranges());
                    let before = ways(self, Where::Original, **destination);
                    translated(&payload(&matching.payload, family), &before, ranges)
                }
                StateMatch::Any => vec![Vec::new()],
                StateMatch::New => vec![vec![Condition::State(ConntrackState::New)]],
                StateMatch::EstablishedOrRelated => {
                    vec![vec![Condition::State(ConntrackState::EstablishedOrRelated)]]
                }
            };
            for source in &sources {
                for destination in &destinations {
                    for state in &states {
                        let addresses = [source, destination].into_iter().flatten().cloned();
                        rules.push(assemble(hook, rule, family, addresses.collect(), state));
                    }
                }
            }
        }
        rules
    }
}

/// The families that need a rule each; `None` is one rule for both.
fn families(matching: &Match, action: Action) -> Vec<Option<Family>> {
    let target = match action {
        Action::Snat(to) | Action::Dnat(to, _) => Some(Family::of(to)),
        _ => None,
    };
    let header = matches!(matching.payload, Payload::Icmp(_) | Payload::LaterFragment(_));
    let original =
        matches!(&matching.state, StateMatch::Translated { destination, .. } if **destination != Addresses::Any);
    let any = matching.source == Addresses::Any && matching.destination == Addresses::Any;
    if any && !header && !original && matching.family.is_none() && target.is_none() {
        return vec![None];
    }
    let allowed = |wanted: Option<Family>, family| wanted.is_none_or(|only| only == family);
    Family::BOTH
        .into_iter()
        .filter(|&family| allowed(matching.family, family) && allowed(target, family))
        .map(Some)
        .collect()
}

fn assemble(
    hook: Hook,
    rule: &Rule,
    family: Option<Family>,
    addresses: Vec<Condition>,
    state: &[Condition],
) -> Vec<Condition> {
    let matching = &rule.matching;
    let mut conditions: Vec<Condition> = interfaces(hook, &matching.interfaces).into_iter().collect();
    let front = conditions.len();
    conditions.extend(addresses);
    // What a translated flow was before stands between its protocol and its ports: see `translated`.
    if !matches!(matching.state, StateMatch::Translated { .. }) {
        conditions.extend(payload(&matching.payload, family));
    }
    conditions.extend(locality(matching.locality));
    conditions.extend_from_slice(state);
    let original = conditions.iter().any(is_original);
    if let Some(family) = family
        && !original
        && !conditions.iter().any(|condition| condition.family().is_some())
    {
        conditions.insert(front, Condition::Family(family));
    }
    conditions
}

fn is_original(condition: &Condition) -> bool {
    use crate::backend::nft::program::Selector;
    match condition {
        Condition::OriginalDestination(_) => true,
        Condition::In(selectors, _) => matches!(selectors.as_slice(), [Selector::OriginalDestination(_)]),
        _ => false,
    }
}

/// A new flow that was translated. There is no set of original ports that nft could list, so each range is a rule.
fn translated(payload: &[Condition], before: &[Option<Condition>], ranges: &[(u16, u16)]) -> Vec<Vec<Condition>> {
    let mut all = Vec::new();
    for destination in before {
        let mut start = vec![Condition::State(ConntrackState::New), Condition::Translated];
        start.extend_from_slice(payload);
        start.extend(destination.clone());
        if ranges.is_empty() {
            all.push(start.clone());
        }
        for &(first, last) in ranges {
            let mut rule = start.clone();
            rule.push(Condition::OriginalPorts(first, last));
            all.push(rule);
        }
    }
    all
}

/// The interfaces of a rule in this hook.
pub(super) fn interfaces(hook: Hook, names: &[Interface]) -> Option<Condition> {
    let direction = if hook.matches_outgoing() { Direction::Out } else { Direction::In };
    match names {
        [] => None,
        [only] if only.as_str() == "lo" => Some(Condition::Loopback(direction)),
        _ => {
            let mut names = names.to_vec();
            names.sort();
            names.dedup();
            Some(Condition::Interfaces(direction, names))
        }
    }
}

/// Whose the destination is.
pub(super) fn locality(locality: Locality) -> Option<Condition> {
    match locality {
        Locality::Anywhere => None,
        Locality::Local => Some(Condition::LocalDestination(true)),
        Locality::NotLocal => Some(Condition::LocalDestination(false)),
    }
}

fn payload(payload: &Payload, family: Option<Family>) -> Vec<Condition> {
    match payload {
        Payload::Any => Vec::new(),
        Payload::Protocol(protocol) => vec![Condition::Protocol(*protocol)],
        Payload::Ports { protocol, source, destination, guarded } => {
            let port = |side, ports: &Option<crate::net::PortSet>| {
                ports.as_ref().map(|ports| Condition::Ports(Some(*protocol), side, ports.ranges().to_vec()))
            };
            let mut conditions: Vec<Condition> =
                port(Side::Source, source).into_iter().chain(port(Side::Destination, destination)).collect();
            if conditions.is_empty() {
                conditions.push(Condition::Protocol(*protocol));
            }
            if *guarded && *protocol == Protocol::TCP {
                conditions.push(Condition::BareSyn(false));
            }
            conditions
        }
        Payload::Icmp(types) => family.map(|family| Condition::Icmp(family, types.to_vec())).into_iter().collect(),
        Payload::LaterFragment(protocol) => {
            let fragment = family.map(Condition::LaterFragment);
            fragment.into_iter().chain([Condition::Protocol(*protocol)]).collect()
        }
    }
}
