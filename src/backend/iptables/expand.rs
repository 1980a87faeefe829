//! From rules to lines of one family.
//!
//! iptables knows neither lists of addresses nor of interfaces, so a rule becomes one line for each combination. Ports of one entry and
//! address share a line. A list of peers that several lines need becomes a chain of its own; a long one an ipset.

use std::collections::HashMap;
use std::sync::Arc;

use super::ipset::{Ipsets, is_everything};
use super::line::{Comment, Detail, Line, Link, MULTIPORT, Ports, Side, State, Target, UserChain};
use super::merge::{Merged, merge_ports};
use super::names::Names;
use super::text::Writer;
use crate::net::{AddrRange, Family, Interface, PortSet, Protocol};
use crate::policy::{AddressSetId, Addresses};
use crate::ruleset::{Action, Hook, Leg, Origin, Payload, Rule, Ruleset, StateMatch};

/// Ranges of peers that are repeated in each line. More of them get a chain.
const REPEATED: usize = 3;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Makes the lines of one table.
pub(super) struct Expander<'a, 's> {
    pub ruleset: &'a Ruleset,
    pub family: Family,
    pub ipsets: &'s Ipsets,
    /// Names of the table's chains.
    pub names: Names,
    /// Chains of the table, callers before callees.
    pub chains: Vec<UserChain>,
    /// Writes the chains that are complete.
    pub writer: Writer,
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
enum Form {
    /// One of these in each line.
    Sides(Alternatives<Side>),
    /// A chain behind the line.
    Chain(AddressSetId),
}

impl Form {
    fn one(side: Side) -> Self {
        Form::Sides(Alternatives::one(side))
    }
}

impl<'a, 's> Expander<'a, 's> {
    pub fn new(ruleset: &'a Ruleset, family: Family, names: Names, ipsets: &'s Ipsets) -> Self {
        let writer = Writer { text: String::new(), family };
        Expander { ruleset, family, ipsets, names, chains: Vec::new(), writer, helpers: HashMap::new() }
    }

    /// The lines of rules that stand side by side and have the same action.
    pub fn expand(&mut self, hook: Hook, rules: &'a [Rule]) -> Vec<Line<'a>> {
        let rules: Vec<&Rule> = rules.iter().filter(|rule| can_meet(rule, self.ruleset, self.family)).collect();
        let mut lines = Vec::with_capacity(rules.len());
        for merged in merge_ports(&rules) {
            self.one(hook, &merged, &mut lines);
        }
        lines
    }

    fn one(&mut self, hook: Hook, merged: &Merged<'a>, lines: &mut Vec<Line<'a>>) {
        let rule = merged.rule;
        let matching = &rule.matching;
        let (mut source, mut destination) = (self.written_out(matching.source), self.written_out(matching.destination));
        match peers(rule) {
            Some(Leg::Request) => source = self.peers(matching.source, source),
            Some(Leg::Reply) => destination = self.peers(matching.destination, destination),
            None => {}
        }
        let (Some(source), Some(destination)) = (source, destination) else { return };
        let mut target = Target::Do(rule.action);
        if let (Payload::LaterFragment(_), Family::V6) = (&matching.payload, self.family) {
            target = self.helper(Helper::LaterFragments(target));
        }
        let (source, target) = self.behind(source, target, Helper::From);
        let (destination, target) = self.behind(destination, target, Helper::To);
        let base = Line {
            locality: matching.locality,
            comment: comment(self.ruleset, rule.origin),
            protocol: protocol(&matching.payload, self.family),
            ..Line::new(target)
        };
        let (states, links) = (self.states(&matching.state), links(hook, &matching.interfaces));
        for payload in payloads(merged, self.family, base).all() {
            for state in states.all() {
                for &interface in links.all() {
                    let line = Line { interface, state: state.clone(), ..payload.clone() };
                    product(line, source.all(), destination.all(), lines);
                }
            }
        }
    }

    /// The sides that lines hold, and the target behind them.
    fn behind(
        &mut self,
        form: Form,
        target: Target,
        helper: fn(AddressSetId, Target) -> Helper,
    ) -> (Alternatives<Side>, Target) {
        match form {
            Form::Sides(sides) => (sides, target),
            Form::Chain(id) => {
                let target = self.helper(helper(id, target));
                (Alternatives::one(Side::Any), target)
            }
        }
    }

    /// `None` where no address is of this family.
    fn written_out(&mut self, addresses: Addresses) -> Option<Form> {
        let sets = &self.ruleset.sets;
        let id = match addresses {
            Addresses::Any => return Some(Form::one(Side::Any)),
            Addresses::Range(range) if is_everything(&range) => return Some(Form::one(Side::Any)),
            Addresses::Range(range) => {
                return (range.family() == self.family).then(|| Form::one(Side::Range(range)));
            }
            Addresses::Set(id) => id,
        };
        if let Some(name) = self.ipsets.name(id, self.family) {
            return Some(Form::one(Side::Ipset(name)));
        }
        let ranges: Vec<AddrRange> = sets.get(id).ranges(self.family).collect();
        if ranges.iter().any(is_everything) {
            return Some(Form::one(Side::Any));
        }
        if ranges.is_empty() {
            return None;
        }
        Some(Form::Sides(Alternatives::Several(ranges.into_iter().map(Side::Range).collect())))
    }

    /// Peers are the same in many lines: a list of them gets a chain.
    fn peers(&self, addresses: Addresses, form: Option<Form>) -> Option<Form> {
        match (addresses, form) {
            (Addresses::Set(id), Some(Form::Sides(sides))) if sides.all().len() > REPEATED => Some(Form::Chain(id)),
            (_, form) => form,
        }
    }

    fn helper(&mut self, helper: Helper) -> Target {
        if let Some(name) = self.helpers.get(&helper) {
            return Target::Jump(Arc::clone(name));
        }
        let sets = &self.ruleset.sets;
        let (stem, lines) = match &helper {
            Helper::From(id, target) => {
                let line = |range| Line { source: Side::Range(range), ..Line::new(target.clone()) };
                (format!("fwc-src-{}", sets.label(*id)), sets.get(*id).ranges(self.family).map(line).collect())
            }
            Helper::To(id, target) => {
                let line = |range| Line { destination: Side::Range(range), ..Line::new(target.clone()) };
                (format!("fwc-dst-{}", sets.label(*id)), sets.get(*id).ranges(self.family).map(line).collect())
            }
            Helper::LaterFragments(target) => {
                // `frag` can ask for the first fragment, but not for any other.
                let first = Line { detail: Detail::FirstFragment, ..Line::new(Target::Return) };
                ("fwc-later-fragments".to_string(), vec![first, Line::new(target.clone())])
            }
        };
        let name = self.names.unique(&stem, "");
        self.add_chain(Arc::clone(&name), &lines);
        self.helpers.insert(helper, Arc::clone(&name));
        Target::Jump(name)
    }

    /// Adds a chain that is complete.
    pub fn add_chain(&mut self, name: Arc<str>, lines: &[Line]) {
        let rules = self.writer.chain(&name, lines);
        self.chains.push(UserChain { name, rules });
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
                let prefixes: Vec<_> = match self.ruleset.sets.ranges(**destination, self.family) {
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
    let here = |addresses| ruleset.sets.has(addresses, family);
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
        && here(rule.matching.source)
        && here(rule.matching.destination)
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

/// The line, once for each header that the rule matches.
fn payloads<'a>(merged: &Merged<'a>, family: Family, base: Line<'a>) -> Alternatives<Line<'a>> {
    let with = |detail| Line { detail, ..base.clone() };
    match &merged.rule.matching.payload {
        Payload::Any | Payload::Protocol(_) => Alternatives::one(base),
        Payload::Icmp(types) => Alternatives::Several(types.iter().map(|&kind| with(Detail::Icmp(kind))).collect()),
        Payload::LaterFragment(_) if family == Family::V4 => Alternatives::one(with(Detail::LaterFragment)),
        Payload::LaterFragment(_) => Alternatives::one(with(Detail::Fragment)),
        Payload::Ports { protocol, source, destination, guarded } => {
            let detail = ports_detail(*protocol, source.as_ref(), destination.as_ref(), *guarded);
            let line = |(source_ports, destination_ports): (&Ports, &Ports)| {
                let (source_ports, destination_ports) = (source_ports.clone(), destination_ports.clone());
                Line { source_ports, destination_ports, detail, ..base.clone() }
            };
            match (slots(&merged.source_ports), slots(&merged.destination_ports)) {
                (Alternatives::One([source]), Alternatives::One([destination])) => {
                    Alternatives::one(line((&source, &destination)))
                }
                (source, destination) => {
                    let pairs =
                        source.all().iter().flat_map(|one| destination.all().iter().map(move |other| (one, other)));
                    Alternatives::Several(pairs.map(line).collect())
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
fn slots(ports: &[(u16, u16)]) -> Alternatives<Ports> {
    match ports {
        [] => return Alternatives::one(Ports::Any),
        [one] => return Alternatives::one(Ports::one(*one)),
        _ => {}
    }
    let (mut lists, mut list, mut used) = (Vec::new(), Vec::new(), 0);
    for &(start, end) in ports {
        let needed = if start == end { 1 } else { 2 };
        if used + needed > MULTIPORT {
            lists.push(Ports::List(std::mem::take(&mut list).into()));
            used = 0;
        }
        used += needed;
        list.push((start, end));
    }
    lists.push(match list.as_slice() {
        [one] => Ports::one(*one),
        _ => Ports::List(list.into()),
    });
    Alternatives::Several(lists)
}

fn links(hook: Hook, interfaces: &[Interface]) -> Alternatives<Option<Link<'_>>> {
    if interfaces.is_empty() {
        return Alternatives::one(None);
    }
    let link = |name| if hook.matches_outgoing() { Link::Out(name) } else { Link::In(name) };
    Alternatives::Several(interfaces.iter().map(|name| Some(link(name))).collect())
}

fn product<'a>(mut line: Line<'a>, sources: &[Side], destinations: &[Side], lines: &mut Vec<Line<'a>>) {
    if let ([source], [destination]) = (sources, destinations) {
        (line.source, line.destination) = (source.clone(), destination.clone());
        lines.push(line);
        return;
    }
    for source in sources {
        for destination in destinations {
            let (source, destination) = (source.clone(), destination.clone());
            lines.push(Line { source, destination, ..line.clone() });
        }
    }
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
