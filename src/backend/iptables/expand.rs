//! From rules to lines of one family.
//!
//! iptables knows neither lists of addresses nor of interfaces, so a rule becomes one line for each combination. Ports of one entry and
//! address share a line. A list of peers that several lines need becomes a chain of its own; a long one an ipset.

use std::collections::HashMap;
use std::sync::Arc;

use super::address::Address;
use super::ipset::Ipsets;
use super::line::{Comment, Detail, Line, Link, MULTIPORT, Ports, Side, State, Target};
use super::lines::Lines;
use super::merge::{Merged, merge_ports, same_entry};
use super::text::Sheet;
use crate::net::{AddrRange, Family, PortSet, Protocol};
use crate::policy::{AddressSetId, Addresses};
use crate::ruleset::{Action, Hook, Leg, Origin, Payload, Rule, Ruleset, StateMatch};

/// Ranges of peers that are repeated in each line. More of them get a chain.
const REPEATED: usize = 3;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Makes the lines of one table and family.
pub(super) struct Expander<'a, A> {
    pub ruleset: &'a Ruleset,
    pub ipsets: &'a Ipsets<'a>,
    /// Where chains are written that are complete.
    pub sheet: Sheet<A>,
    helpers: HashMap<Helper, Arc<str>>,
}

/// A chain that several lines may jump to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Helper {
    /// Packets from these addresses meet the target.
    From(AddressSetId, Target),
    /// Packets to these.
    To(AddressSetId, Target),
    /// IPv6 fragments with an offset above 0 meet the target.
    LaterFragments(Target),
}

/// What stands once in each line: mostly one thing, which then needs no list on the heap. Never none.
enum Alternatives<T> {
    One([T; 1]),
    Several(Vec<T>),
}

impl<T> Alternatives<T> {
    fn one(only: T) -> Self {
        Alternatives::One([only])
    }

    fn all(&self) -> &[T] {
        match self {
            Alternatives::One(one) => one,
            Alternatives::Several(several) => several,
        }
    }
}

/// One side's addresses in the form in which lines hold them.
enum Form<'a, A> {
    /// One of these in each line.
    Sides(Alternatives<Side<'a, A>>),
    /// A chain behind the line.
    Chain(AddressSetId),
}

impl<'a, A> Form<'a, A> {
    fn one(side: Side<'a, A>) -> Self {
        Form::Sides(Alternatives::one(side))
    }
}

/// What a line asks of the header behind the addresses.
struct Shape<'m> {
    source_ports: Ports<'m>,
    destination_ports: Ports<'m>,
    detail: Detail,
}

impl<'a, A: Address> Expander<'a, A> {
    pub fn new(table: &str, ruleset: &'a Ruleset, ipsets: &'a Ipsets<'a>) -> Self {
        Expander { ruleset, ipsets, sheet: Sheet::new(table), helpers: HashMap::new() }
    }

    /// The lines of rules that stand side by side and have the same action.
    pub fn expand(&mut self, hook: Hook, rules: &'a [Rule], lines: &mut Lines<'a, A>) {
        let ruleset = self.ruleset;
        let meets = |rule: &&Rule| can_meet(rule, ruleset, A::FAMILY);
        for entry in rules.chunk_by(same_entry) {
            if let [rule] = entry {
                if meets(&rule) {
                    self.one(hook, &Merged::of(rule), lines);
                }
                continue;
            }
            for merged in merge_ports(entry.iter().filter(meets)) {
                self.one(hook, &merged, lines);
            }
        }
    }

    fn one(&mut self, hook: Hook, merged: &Merged<'a>, lines: &mut Lines<'a, A>) {
        let rule = merged.rule;
        let matching = &rule.matching;
        let leg = peers(rule);
        let source = self.form(&matching.source, leg == Some(Leg::Request));
        let destination = self.form(&matching.destination, leg == Some(Leg::Reply));
        let (Some(source), Some(destination)) = (source, destination) else { return };
        let mut target = Target::Do(rule.action);
        if let (Payload::LaterFragment(_), Family::V6) = (&matching.payload, A::FAMILY) {
            target = self.helper(Helper::LaterFragments(target));
        }
        let sources = self.sides(source, &mut target, Helper::From);
        let destinations = self.sides(destination, &mut target, Helper::To);
        let (protocol, comment) = (protocol(&matching.payload, A::FAMILY), comment(self.ruleset, rule.origin));
        let (shapes, states, links) = (shapes(merged, A::FAMILY), self.states(&matching.state), links(hook, rule));
        for &Shape { source_ports, destination_ports, detail } in shapes.all() {
            for &state in states.all() {
                for &interface in links.all() {
                    for &source in sources.all() {
                        for &destination in destinations.all() {
                            lines.push(&Line {
                                interface,
                                source,
                                destination,
                                locality: matching.locality,
                                protocol,
                                source_ports,
                                destination_ports,
                                detail,
                                state,
                                target: &target,
                                comment,
                            });
                        }
                    }
                }
            }
        }
    }

    /// The sides that lines hold. Where the addresses are a chain's, the lines jump there, and the target is behind it.
    fn sides(
        &mut self,
        form: Form<'a, A>,
        target: &mut Target,
        helper: fn(AddressSetId, Target) -> Helper,
    ) -> Alternatives<Side<'a, A>> {
        match form {
            Form::Sides(sides) => sides,
            Form::Chain(id) => {
                *target = self.helper(helper(id, target.clone()));
                Alternatives::one(Side::Any)
            }
        }
    }

    /// `None` where no address is of this family. Peers are the same in many lines: a list of them gets a chain.
    fn form(&self, addresses: &Addresses, is_peers: bool) -> Option<Form<'a, A>> {
        let id = match addresses {
            Addresses::Any => return Some(Form::one(Side::Any)),
            Addresses::Range(range) => {
                let span = A::ends(range)?;
                let all = span == (A::MIN, A::MAX);
                return Some(Form::one(if all { Side::Any } else { Side::Range(span) }));
            }
            Addresses::Set(id) => *id,
        };
        if let Some(name) = self.ipsets.name(id, A::FAMILY) {
            return Some(Form::one(Side::Ipset(name)));
        }
        let ranges = A::of(self.ruleset.sets.get(id));
        match ranges.ranges() {
            [] => None,
            _ if ranges.is_all() => Some(Form::one(Side::Any)),
            ranges if is_peers && ranges.len() > REPEATED => Some(Form::Chain(id)),
            ranges => {
                let sides = ranges.iter().copied().map(Side::Range);
                Some(Form::Sides(Alternatives::Several(sides.collect())))
            }
        }
    }

    fn helper(&mut self, helper: Helper) -> Target {
        if let Some(name) = self.helpers.get(&helper) {
            return Target::Jump(Arc::clone(name));
        }
        let ruleset = self.ruleset;
        let sets = &ruleset.sets;
        let ranges = |id| A::of(sets.get(id)).ranges().iter().copied().map(Side::Range);
        let (stem, lines): (_, Vec<Line<A>>) = match &helper {
            Helper::From(id, target) => {
                let line = |source| Line { source, ..Line::new(target) };
                (format!("fwc-src-{}", sets.label(*id)), ranges(*id).map(line).collect())
            }
            Helper::To(id, target) => {
                let line = |destination| Line { destination, ..Line::new(target) };
                (format!("fwc-dst-{}", sets.label(*id)), ranges(*id).map(line).collect())
            }
            Helper::LaterFragments(target) => {
                // `frag` can ask for the first fragment, but not for any other.
                let first = Line { detail: Detail::FirstFragment, ..Line::new(&Target::Return) };
                ("fwc-later-fragments".to_string(), vec![first, Line::new(target)])
            }
        };
        let name = self.sheet.names.unique(&stem, "");
        self.sheet.add(name.as_bytes());
        lines.iter().for_each(|line| self.sheet.rules.rule(&name, line));
        self.helpers.insert(helper, Arc::clone(&name));
        Target::Jump(name)
    }

    fn states(&self, state: &StateMatch) -> Alternatives<State> {
        match state {
            StateMatch::Any => Alternatives::one(State::Any),
            StateMatch::New => Alternatives::one(State::New),
            StateMatch::EstablishedOrRelated => Alternatives::one(State::EstablishedOrRelated),
            StateMatch::Translated { destination, ports } => {
                let ports: Vec<Option<(u16, u16)>> = match ports {
                    None => vec![None],
                    Some(ports) => ports.ranges().iter().copied().map(Some).collect(),
                };
                let prefixes: Vec<_> = match self.ruleset.sets.ranges(**destination, A::FAMILY) {
                    None => vec![None],
                    Some(ranges) => ranges.iter().flat_map(AddrRange::prefixes).map(Some).collect(),
                };
                let with = |prefix| ports.iter().map(move |&ports| State::Translated(prefix, ports));
                Alternatives::Several(prefixes.into_iter().flat_map(with).collect())
            }
        }
    }
}

/// Whether a packet of this family can match at all.
pub(super) fn can_meet(rule: &Rule, ruleset: &Ruleset, family: Family) -> bool {
    let here = |addresses: &Addresses| match addresses {
        Addresses::Any => true,
        Addresses::Range(range) => range.family() == family,
        Addresses::Set(id) => ruleset.sets.get(*id).has(family),
    };
    let protocol = match &rule.matching.payload {
        Payload::Protocol(protocol) | Payload::LaterFragment(protocol) | Payload::Ports { protocol, .. } => {
            Some(*protocol)
        }
        Payload::Any | Payload::Icmp(_) => None,
    };
    let to = match rule.action {
        Action::Snat(to) | Action::Dnat(to, _) => Some(Family::of(to)),
        Action::Accept | Action::Drop | Action::Notrack | Action::Masquerade | Action::Redirect(_) => None,
    };
    rule.matching.family.is_none_or(|only| only == family)
        && protocol.is_none_or(|protocol| protocol.exists_in(family))
        && to.is_none_or(|to| to == family)
        && here(&rule.matching.source)
        && here(&rule.matching.destination)
}

/// The leg whose source (request) or destination (reply) is the peers' side.
fn peers(rule: &Rule) -> Option<Leg> {
    match rule.origin {
        Origin::Entry(_, leg, _) => Some(leg),
        _ => None,
    }
}

fn protocol(payload: &Payload, family: Family) -> Option<u8> {
    match payload {
        Payload::Any => None,
        Payload::Protocol(protocol) | Payload::LaterFragment(protocol) | Payload::Ports { protocol, .. } => {
            Some(protocol.number())
        }
        Payload::Icmp(_) if family == Family::V4 => Some(ICMP),
        Payload::Icmp(_) => Some(ICMPV6),
    }
}

/// The headers that the rule matches, one for each line.
fn shapes<'m>(merged: &'m Merged, family: Family) -> Alternatives<Shape<'m>> {
    let without_ports = |detail| Shape { source_ports: &[], destination_ports: &[], detail };
    match &merged.rule.matching.payload {
        Payload::Any | Payload::Protocol(_) => Alternatives::one(without_ports(Detail::None)),
        Payload::Icmp(types) => {
            Alternatives::Several(types.iter().map(|&kind| without_ports(Detail::Icmp(kind))).collect())
        }
        Payload::LaterFragment(_) if family == Family::V4 => Alternatives::one(without_ports(Detail::LaterFragment)),
        Payload::LaterFragment(_) => Alternatives::one(without_ports(Detail::Fragment)),
        Payload::Ports { protocol, source, destination, guarded } => {
            let detail = ports_detail(*protocol, source.as_ref(), destination.as_ref(), *guarded);
            let shape = |source_ports, destination_ports| Shape { source_ports, destination_ports, detail };
            match (slots(&merged.source_ports), slots(&merged.destination_ports)) {
                (Alternatives::One([source]), Alternatives::One([destination])) => {
                    Alternatives::one(shape(source, destination))
                }
                (sources, destinations) => {
                    let with = |&one| destinations.all().iter().map(move |&other| shape(one, other));
                    Alternatives::Several(sources.all().iter().flat_map(with).collect())
                }
            }
        }
    }
}

fn ports_detail(protocol: Protocol, source: Option<&PortSet>, destination: Option<&PortSet>, guarded: bool) -> Detail {
    if guarded && protocol == Protocol::TCP {
        Detail::Guarded
    } else if source.is_none() && destination.is_none() {
        Detail::HasPorts
    } else {
        Detail::None
    }
}

/// Ports in lists that `multiport` can hold. No ports at all is one list: any.
fn slots(ports: &[(u16, u16)]) -> Alternatives<Ports<'_>> {
    if ports.len() <= 1 {
        return Alternatives::one(ports);
    }
    let (mut lists, mut rest, mut used) = (Vec::new(), ports, 0);
    let mut count = 0;
    for &(start, end) in ports {
        let needed = if start == end { 1 } else { 2 };
        if used + needed > MULTIPORT {
            let (list, others) = rest.split_at_checked(count).unwrap_or((rest, &[]));
            lists.push(list);
            (rest, used, count) = (others, 0, 0);
        }
        used += needed;
        count += 1;
    }
    lists.push(rest);
    Alternatives::Several(lists)
}

fn links(hook: Hook, rule: &Rule) -> Alternatives<Option<Link<'_>>> {
    let interfaces = &rule.matching.interfaces;
    if interfaces.is_empty() {
        return Alternatives::one(None);
    }
    let link = |name| if hook.matches_outgoing() { Link::Out(name) } else { Link::In(name) };
    Alternatives::Several(interfaces.iter().map(|name| Some(link(name))).collect())
}

fn comment(ruleset: &Ruleset, origin: Origin) -> Comment<'_> {
    match origin {
        Origin::Loopback => Comment::Words("loopback"),
        Origin::IcmpError => Comment::Words("icmp errors"),
        Origin::NeighbourDiscovery => Comment::Words("neighbour discovery"),
        Origin::MulticastListener => Comment::Words("multicast listener"),
        Origin::Dhcp => Comment::Words("dhcp"),
        Origin::Ping => Comment::Words("ping"),
        Origin::Established => Comment::Words("established"),
        Origin::Block => Comment::Words("block"),
        Origin::Entry(id, _, _) => match ruleset.owners.get(id.0 as usize) {
            Some(owner) => Comment::Entry(&owner.name),
            None => Comment::None,
        },
        Origin::Nat(number, _) => Comment::Nat(number + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_ports_are_as_long_as_multiport_takes() {
        // A range takes two places of fifteen.
        let ports: Vec<(u16, u16)> = (0..40).map(|n| (n * 10, if n % 3 == 0 { n * 10 + 5 } else { n * 10 })).collect();
        let lists = slots(&ports);
        assert_eq!(lists.all().concat(), ports);
        let places = |list: &Ports| list.iter().map(|port| if port.0 == port.1 { 1 } else { 2 }).sum();
        let places: Vec<usize> = lists.all().iter().map(places).collect();
        assert_eq!(places, [15, 15, 14, 10]);
        assert_eq!(slots(&[]).all(), [&[]]);
    }
}
