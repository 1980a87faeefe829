//! Rules of entries: taken together by what they ask for besides an endpoint.
//!
//! Rules that ask for the same are one class: one lookup of all their endpoints. Where there are many classes (a thousand services, each with
//! a `from` of its own), most of them give up their rule, and what they ask for becomes one more field of the key.

use std::collections::{BTreeMap, HashSet};

use super::{Draft, Planner, verdict};
use crate::backend::nft::program::{self, Condition, Selector, Side, Verdict};
use crate::net::{Family, Interface, PortSet, Protocol};
use crate::policy::{AddressSets, Addresses, EntryId};
use crate::ruleset::{Action, Leg, Locality, Origin, Payload, Rule, StateMatch};
use crate::source::Place;

/// What tells groups of rules apart however many entries there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Base {
    pub(super) action: Action,
    pub(super) section: &'static str,
    pub(super) leg: Leg,
    pub(super) tracked: bool,
    pub(super) locality: Locality,
    pub(super) guarded: bool,
    pub(super) kind: Kind,
    pub(super) family: Option<Family>,
}

/// What an endpoint has besides its address and protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Ports.
    Ports,
    /// Nothing.
    Plain,
    /// Nothing: of its packets, the fragments that are not the first.
    Fragments,
}

/// What a class asks for besides the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Restriction<'a> {
    pub(super) interfaces: &'a [Interface],
    pub(super) peer: &'a Addresses,
    pub(super) peer_ports: Option<&'a PortSet>,
    /// A set of server addresses that is too large to be multiplied by the ports.
    pub(super) server: &'a Addresses,
}

impl Restriction<'_> {
    pub(super) const NONE: Self =
        Restriction { interfaces: &[], peer: &Addresses::Any, peer_ports: None, server: &Addresses::Any };
}

/// A rule of an entry that can become elements: of the server's address, protocol and ports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    rule: &'a Rule,
    pub(super) entry: EntryId,
    leg: Leg,
    pub(super) protocol: Protocol,
    /// Whether its server's addresses are too many to be multiplied by its ports.
    crowded: bool,
}

/// Rules that one lookup decides.
pub(super) struct Class<'a> {
    pub(super) restriction: Restriction<'a>,
    /// Whether interfaces and peers of the items are fields of the key.
    pub(super) wide: bool,
    pub(super) items: Vec<Item<'a>>,
}

impl<'a> Item<'a> {
    fn of(rule: &'a Rule, sets: &AddressSets) -> Option<Self> {
        let Origin::Entry(entry, leg, _) = rule.origin else { return None };
        let protocol = match rule.matching.payload {
            Payload::Ports { protocol, .. } | Payload::Protocol(protocol) => protocol,
            // Each family has its own kind of fragment.
            Payload::LaterFragment(protocol) if rule.matching.family.is_some() => protocol,
            Payload::LaterFragment(_) | Payload::Any | Payload::Icmp(_) => return None,
        };
        let mut item = Item { rule, entry, leg, protocol, crowded: false };
        let has_endpoint = item.kind() != Kind::Ports || item.ports().is_some();
        let server = item.server();
        item.crowded = matches!(server, Addresses::Set(_)) && multiplied(sets, server, item.ports()) > MULTIPLIED;
        (has_endpoint && matches!(rule.matching.state, StateMatch::Any | StateMatch::New)).then_some(item)
    }

    /// Its base, but for its section.
    fn base(&self) -> Base {
        let matching = &self.rule.matching;
        Base {
            action: self.rule.action,
            section: "",
            leg: self.leg,
            tracked: matching.state == StateMatch::New,
            locality: matching.locality,
            guarded: self.is_guarded(),
            kind: self.kind(),
            family: matching.family,
        }
    }

    fn kind(&self) -> Kind {
        match self.rule.matching.payload {
            Payload::Ports { .. } => Kind::Ports,
            Payload::LaterFragment(_) => Kind::Fragments,
            Payload::Any | Payload::Protocol(_) | Payload::Icmp(_) => Kind::Plain,
        }
    }

    fn is_guarded(&self) -> bool {
        self.protocol == Protocol::TCP && matches!(self.rule.matching.payload, Payload::Ports { guarded: true, .. })
    }

    pub(super) fn restriction(&self) -> Restriction<'a> {
        let matching = &self.rule.matching;
        Restriction {
            interfaces: &matching.interfaces,
            peer: match self.leg {
                Leg::Request => &matching.source,
                Leg::Reply => &matching.destination,
            },
            peer_ports: self.ports_of(self.leg == Leg::Request),
            server: if self.crowded { self.server() } else { &Addresses::Any },
        }
    }

    fn server(&self) -> &'a Addresses {
        match self.leg {
            Leg::Request => &self.rule.matching.destination,
            Leg::Reply => &self.rule.matching.source,
        }
    }

    /// The server's addresses as a field of keys: any where the restriction has them.
    pub(super) fn keyed_server(&self) -> &'a Addresses {
        if self.crowded { &Addresses::Any } else { self.server() }
    }

    /// The server's.
    pub(super) fn ports(&self) -> Option<&'a PortSet> {
        self.ports_of(self.leg == Leg::Reply)
    }

    /// Those of the packet's source or destination.
    fn ports_of(&self, source: bool) -> Option<&'a PortSet> {
        match &self.rule.matching.payload {
            Payload::Ports { source: ports, .. } if source => ports.as_ref(),
            Payload::Ports { destination: ports, .. } => ports.as_ref(),
            _ => None,
        }
    }

    pub(super) fn place(&self) -> Option<Place> {
        match self.rule.origin {
            Origin::Entry(_, _, place) => Some(place),
            _ => None,
        }
    }
}

/// Up to this many classes each have a rule of their own.
const CLASSES: usize = 8;
/// Where there are more, a class keeps its rule if it would take this many elements more without.
const WORTH_A_RULE: usize = 32;
/// Elements that one rule of an entry may become.
const MULTIPLIED: usize = 1024;

impl Planner<'_> {
    /// The items among rules, and the rules that are none.
    pub(super) fn items<'r>(&self, rules: &[&'r Rule]) -> (Vec<Item<'r>>, Vec<&'r Rule>) {
        let (mut items, mut others) = (Vec::with_capacity(rules.len()), Vec::new());
        for &rule in rules {
            match Item::of(rule, self.policy_sets) {
                Some(item) => items.push(item),
                None => others.push(rule),
            }
        }
        (items, others)
    }

    /// Sets and rules for the items of one stage.
    pub(super) fn entries(&mut self, draft: &mut Draft, items: Vec<Item<'_>>) {
        let mut guarded = Vec::new();
        for (base, items) in self.bases(items) {
            let mut rules = Vec::new();
            for class in classes(self.policy_sets, items) {
                rules.extend(self.class(draft.hook, base, &class));
            }
            let target = if base.guarded { &mut guarded } else { &mut draft.rules };
            target.extend(rules);
        }
        if !guarded.is_empty() {
            self.guard(draft, guarded);
        }
    }

    /// Items with the same base, in the order in which they came.
    fn bases<'i>(&self, items: Vec<Item<'i>>) -> Vec<(Base, Vec<Item<'i>>)> {
        // The guard looks at TCP alone, so replies of other protocols may stand behind it: then they share the sets of TCP's.
        let guarded = |leg| items.iter().any(|item| item.leg == leg && item.is_guarded());
        let guarded = (guarded(Leg::Request), guarded(Leg::Reply));
        grouped(items, |item| {
            let mut base = item.base();
            base.section = self.owners.section(item.entry);
            let reply_of_any = match base.leg {
                Leg::Request => guarded.0,
                Leg::Reply => guarded.1,
            };
            base.guarded |= reply_of_any && base.kind == Kind::Ports && !base.tracked;
            base
        })
    }

    /// A chain for replies: TCP connection requests leave it at once.
    fn guard(&mut self, draft: &mut Draft, accepting: Vec<program::Rule>) {
        let wish = match draft.hook {
            crate::ruleset::Hook::Input => "client_replies",
            crate::ruleset::Hook::Forward => "forward_replies",
            _ => "service_replies",
        };
        let name = self.chain_names.unique(wish);
        let mut rules = vec![plain(vec![Condition::BareSyn(true)], Verdict::Return, Some("fwc: no reply"))];
        rules.extend(accepting);
        draft.regular.push(program::Chain { name: name.clone(), base: None, rules });
        draft.rules.push(plain(Vec::new(), Verdict::Jump(name), None));
    }

    /// The rules of one class: one for each shape of its keys, family and kind of set.
    fn class(&mut self, hook: crate::ruleset::Hook, base: Base, class: &Class<'_>) -> Vec<program::Rule> {
        let mut rules = Vec::new();
        for keyed in self.keyed(hook, base, class) {
            let place = match class.items.as_slice() {
                [only] => only.place(),
                _ => None,
            };
            let lookup = Condition::In(keyed.selectors.clone(), keyed.set);
            for conditions in self.before_lookup(hook, base, &class.restriction, keyed.family) {
                let mut conditions = conditions;
                let local = super::literal::locality(base.locality);
                // A counting lookup comes last, so that it counts what is accepted and nothing else; one that does not count is cheaper than
                // a look into the routing table.
                if keyed.counted {
                    conditions.extend(local);
                    conditions.push(lookup.clone());
                } else {
                    conditions.push(lookup.clone());
                    conditions.extend(local);
                }
                if let Some(family) = keyed.family
                    && !conditions.iter().any(|condition| condition.family().is_some())
                {
                    conditions.insert(0, Condition::Family(family));
                }
                let verdict = verdict(base.action);
                rules.push(program::Rule { conditions, counter: false, verdict, comment: None, place });
            }
        }
        rules
    }

    /// What a class asks for, as conditions: several ways where addresses stand in two sets.
    fn before_lookup(
        &mut self,
        hook: crate::ruleset::Hook,
        base: Base,
        restriction: &Restriction<'_>,
        family: Option<Family>,
    ) -> Vec<Vec<Condition>> {
        use super::addresses::Where;
        let (server, peer) = sides(base.leg);
        let ways = |planner: &mut Self, side, addresses| match family {
            Some(family) => planner.ways(Where::Header(side), addresses, family),
            None => vec![None],
        };
        let servers = ways(self, server, *restriction.server);
        let peers = ways(self, peer, *restriction.peer);
        let mut all = Vec::new();
        for (server_way, peer_way) in servers.iter().flat_map(|s| peers.iter().map(move |p| (s, p))) {
            let mut conditions: Vec<Condition> =
                super::literal::interfaces(hook, restriction.interfaces).into_iter().collect();
            if base.tracked {
                conditions.push(Condition::State(program::ConntrackState::New));
            }
            if let (Kind::Fragments, Some(family)) = (base.kind, family) {
                conditions.push(Condition::LaterFragment(family));
            }
            conditions.extend([peer_way, server_way].into_iter().flatten().cloned());
            if let Some(ports) = restriction.peer_ports {
                conditions.push(Condition::Ports(None, peer, ports.ranges().to_vec()));
            }
            all.push(conditions);
        }
        all
    }
}

/// The set that holds a class's keys of one shape, and who may be in it.
pub(super) struct Keyed {
    pub(super) set: program::SetId,
    pub(super) selectors: Vec<Selector>,
    pub(super) counted: bool,
    /// The family that the rule is for; `None` is both.
    pub(super) family: Option<Family>,
}

/// The sides of server and peer.
pub(super) fn sides(leg: Leg) -> (Side, Side) {
    match leg {
        Leg::Request => (Side::Destination, Side::Source),
        Leg::Reply => (Side::Source, Side::Destination),
    }
}

fn plain(conditions: Vec<Condition>, verdict: Verdict, comment: Option<&str>) -> program::Rule {
    program::Rule { conditions, counter: false, verdict, comment: comment.map(str::to_string), place: None }
}

/// Groups by key, groups and members in the order in which they came.
fn grouped<'i, K: Copy + Ord>(items: Vec<Item<'i>>, key: impl Fn(&Item<'i>) -> K) -> Vec<(K, Vec<Item<'i>>)> {
    let mut groups: Vec<(K, Vec<Item<'i>>)> = Vec::new();
    let mut known: BTreeMap<K, usize> = BTreeMap::new();
    // Neighbours mostly belong together: then nothing has to be looked up.
    let mut last = 0;
    for item in items {
        let key = key(&item);
        if groups.get(last).is_none_or(|(other, _)| *other != key) {
            last = *known.entry(key).or_insert_with(|| {
                groups.push((key, Vec::new()));
                groups.len() - 1
            });
        }
        if let Some((_, members)) = groups.get_mut(last) {
            members.push(item);
        }
    }
    groups
}

/// The classes of items with one base.
fn classes<'a>(sets: &AddressSets, items: Vec<Item<'a>>) -> Vec<Class<'a>> {
    let groups = grouped(items, Item::restriction);
    let narrow = |(restriction, items)| Class { restriction, wide: false, items };
    if groups.len() <= CLASSES {
        return groups.into_iter().map(narrow).collect();
    }
    // The classes that would grow most keep their rule.
    let growth: Vec<Option<usize>> = groups.iter().map(|(_, items)| growth(sets, items)).collect();
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|&at| growth.get(at).copied().flatten().map(std::cmp::Reverse));
    let joining: HashSet<usize> = order
        .into_iter()
        .enumerate()
        .filter(|&(rank, at)| {
            growth.get(at).copied().flatten().is_some_and(|more| more < WORTH_A_RULE || rank >= CLASSES)
        })
        .map(|(_, at)| at)
        .collect();
    let (mut classes, mut wide) = (Vec::new(), Vec::new());
    for (at, (restriction, items)) in groups.into_iter().enumerate() {
        if joining.contains(&at) {
            wide.extend(items);
        } else {
            classes.push(narrow((restriction, items)));
        }
    }
    classes.push(Class { restriction: Restriction::NONE, wide: true, items: wide });
    classes
}

/// How many elements more a class takes when what it asks for is multiplied out. `None`: too many, it must keep its rule.
fn growth(sets: &AddressSets, items: &[Item<'_>]) -> Option<usize> {
    let mut more = 0usize;
    for item in items {
        if item.crowded {
            return None;
        }
        let asked = item.restriction();
        let own = multiplied(sets, item.server(), item.ports());
        let all = own.saturating_mul(asked.interfaces.len().max(1)).saturating_mul(multiplied(
            sets,
            asked.peer,
            asked.peer_ports,
        ));
        if all > MULTIPLIED.max(own) {
            return None;
        }
        more = more.saturating_add(all - own);
    }
    Some(more)
}

/// Elements that addresses and ports make together.
fn multiplied(sets: &AddressSets, addresses: &Addresses, ports: Option<&PortSet>) -> usize {
    let addresses = match *addresses {
        Addresses::Any | Addresses::Range(_) => 1,
        Addresses::Set(id) => sets.get(id).v4.ranges().len() + sets.get(id).v6.ranges().len(),
    };
    addresses.saturating_mul(ports.map_or(1, |ports| ports.ranges().len()))
}
