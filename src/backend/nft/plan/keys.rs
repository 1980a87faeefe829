//! The elements of a class, and the sets that hold them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::addresses::suffix;
use super::entries::{Base, Class, Item, Keyed, Kind, sides};
use super::{Planner, disjoint};
use crate::backend::nft::program::{Direction, Element, Elements, Field, Selector, Set, SetId, Value};
use crate::net::{AddrRange, Family, Interface, PortSet, Protocol};
use crate::policy::Addresses;
use crate::ruleset::{Action, Hook, Leg, Locality};

/// Which fields a key has besides the protocol and the server's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Shape {
    interface: bool,
    peer: Option<Family>,
    server: Option<Family>,
    peer_ports: bool,
}

impl Planner<'_> {
    /// The class's endpoints as sets, with the family of the rules that look them up.
    pub(super) fn keyed(&mut self, hook: Hook, base: Base, class: &Class<'_>) -> Vec<Keyed> {
        let mut shapes: BTreeMap<Shape, Vec<Element>> = BTreeMap::new();
        for item in &class.items {
            self.elements(base, class, item, &mut shapes);
        }
        let mut keyed = Vec::new();
        for (shape, elements) in shapes {
            let selectors = selectors(hook, base, shape);
            let (exact, ranges): (Vec<Element>, Vec<Element>) =
                elements.into_iter().partition(|element| element.key.iter().all(Value::is_single));
            let layers =
                [(false, once(exact))].into_iter().chain(disjoint::layers(ranges).into_iter().map(|l| (true, l)));
            for (interval, elements) in layers.filter(|(_, elements)| !elements.is_empty()) {
                let wish = self.wish(base, class, shape, interval);
                let place = match class.items.as_slice() {
                    [only] => Some(only.place),
                    _ => None,
                };
                let key = selectors.iter().map(|&selector| field(selector)).collect();
                let counted = base.action == Action::Accept;
                let elements = Elements::Keys(elements);
                let set = self.shared(&wish, Set { name: String::new(), key, interval, counted, elements, place });
                for family in self.rule_families(base, class, shape) {
                    keyed.push(Keyed { set, selectors: selectors.clone(), counted, family });
                }
            }
        }
        keyed
    }

    /// The families that a set's rules are for.
    fn rule_families(&self, base: Base, class: &Class<'_>, shape: Shape) -> Vec<Option<Family>> {
        let asked = &class.restriction;
        if let Some(family) = shape.server.or(shape.peer).or(base.family) {
            return vec![Some(family)];
        }
        if asked.peer == Addresses::Any && asked.server == Addresses::Any {
            return vec![None];
        }
        let sets = &self.ruleset.sets;
        let both = |family: &Family| sets.has(asked.peer, *family) && sets.has(asked.server, *family);
        Family::BOTH.into_iter().filter(both).map(Some).collect()
    }

    /// Multiplies an item out.
    fn elements(&self, base: Base, class: &Class<'_>, item: &Item<'_>, shapes: &mut BTreeMap<Shape, Vec<Element>>) {
        let sets = &self.ruleset.sets;
        let peer = if class.wide { item.restriction.peer } else { Addresses::Any };
        let interfaces: &[Interface] = if class.wide { item.restriction.interfaces } else { &[] };
        let peer_ports = if class.wide { item.restriction.peer_ports } else { None };
        let any = item.server == Addresses::Any && peer == Addresses::Any;
        let families: &[Option<Family>] = if any { &[None] } else { &[Some(Family::V4), Some(Family::V6)] };
        for &family in families {
            let fits = |family| {
                base.family.is_none_or(|only| only == family)
                    && sets.has(class.restriction.peer, family)
                    && sets.has(class.restriction.server, family)
                    && item.protocol.exists_in(family)
            };
            if !family.map_or_else(|| Family::BOTH.into_iter().any(fits), fits) {
                continue;
            }
            let ranges = |addresses| family.and_then(|family| sets.ranges(addresses, family));
            let (peers, servers) = (ranges(peer), ranges(item.server));
            let shape = Shape {
                interface: !interfaces.is_empty(),
                peer: family.filter(|_| peers.is_some()),
                server: family.filter(|_| servers.is_some()),
                peer_ports: peer_ports.is_some(),
            };
            let columns = Columns {
                interfaces: Some(interfaces).filter(|list| !list.is_empty()),
                peers: peers.as_deref(),
                servers: servers.as_deref(),
                protocol: item.protocol,
                peer_ports: peer_ports.map(PortSet::ranges),
                ports: item.ports.map(PortSet::ranges),
            };
            let comment = self.comment(item.entry);
            columns.multiply(&comment, shapes.entry(shape).or_default());
        }
    }

    /// A set; the same one again where its content is known and nobody counts.
    fn shared(&mut self, wish: &str, mut set: Set) -> SetId {
        if set.counted {
            set.name = self.names.unique(wish);
            return self.add(set);
        }
        let known = self.shared.entry((set.key.clone(), set.elements.len())).or_default();
        let same = |id: &&SetId| {
            let other = self.sets.get(id.0);
            other.is_some_and(|other| other.interval == set.interval && other.elements == set.elements)
        };
        if let Some(&same) = known.iter().find(same) {
            return same;
        }
        known.push(SetId(self.sets.len()));
        set.name = self.names.unique(wish);
        self.add(set)
    }

    /// What a person would call the set.
    fn wish(&self, base: Base, class: &Class<'_>, shape: Shape, interval: bool) -> String {
        let one = base.section.strip_suffix('s').unwrap_or(base.section);
        let mut name = match (base.action, base.tracked, base.leg) {
            (Action::Accept, true, _) => format!("tracked_{}", base.section),
            (Action::Accept, false, Leg::Request) => format!("{one}_requests"),
            (Action::Accept, false, Leg::Reply) => format!("{one}_replies"),
            _ => format!("stateless_{}", base.section),
        };
        match base.kind {
            Kind::Ports => {}
            Kind::Plain => name.push_str("_portless"),
            Kind::Fragments => name.push_str("_fragments"),
        }
        if base.locality == Locality::Local && base.section == "services" && shape.server.is_some() {
            name.push_str("_local");
        }
        if class.wide {
            for (there, word) in
                [(shape.interface, "interface"), (shape.peer.is_some(), "peer"), (shape.peer_ports, "port")]
            {
                if there {
                    name = format!("{name}_by_{word}");
                }
            }
        } else {
            name.push_str(&self.asked(base, class));
        }
        if interval {
            name.push_str("_ranges");
        }
        name + suffix(shape.server.or(shape.peer).or(base.family))
    }

    /// What a class asks for, as part of a name.
    fn asked(&self, base: Base, class: &Class<'_>) -> String {
        let asked = &class.restriction;
        let peer_word = if base.leg == Leg::Request { "from" } else { "to" };
        let mut text = String::new();
        let sets = &self.ruleset.sets;
        for (word, addresses) in [(peer_word, asked.peer), ("at", asked.server)] {
            match addresses {
                Addresses::Any => {}
                // A list that an entry has for itself bears the entry's name.
                Addresses::Set(id) => match sets.label(id).strip_suffix("-from") {
                    Some(entry) => text += &format!("_{entry}"),
                    None => text += &format!("_{word}_{}", sets.label(id)),
                },
                Addresses::Range(range) => text += &format!("_{word}_{range}"),
            }
        }
        match asked.interfaces {
            [] => {}
            [only] => text += &format!("_on_{only}"),
            [first, ..] => text += &format!("_on_{first}_and_others"),
        }
        text
    }
}

/// The values that each field of an item's keys takes. A field that is not there is `None`.
struct Columns<'a> {
    interfaces: Option<&'a [Interface]>,
    peers: Option<&'a [AddrRange]>,
    servers: Option<&'a [AddrRange]>,
    protocol: Protocol,
    peer_ports: Option<&'a [(u16, u16)]>,
    ports: Option<&'a [(u16, u16)]>,
}

impl Columns<'_> {
    /// Appends an element for each combination.
    fn multiply(&self, comment: &Arc<str>, to: &mut Vec<Element>) {
        let there = [
            self.interfaces.is_some(),
            self.peers.is_some(),
            self.servers.is_some(),
            true,
            self.peer_ports.is_some(),
            self.ports.is_some(),
        ];
        let fields = there.into_iter().filter(|there| *there).count();
        for interface in each(self.interfaces) {
            for peer in each(self.peers) {
                for server in each(self.servers) {
                    for peer_port in each(self.peer_ports) {
                        for port in each(self.ports) {
                            let mut key = Vec::with_capacity(fields);
                            key.extend(interface.map(|name| Value::Interface(name.clone())));
                            key.extend(peer.map(|range| Value::Addresses(*range)));
                            key.extend(server.map(|range| Value::Addresses(*range)));
                            key.push(Value::Protocol(self.protocol));
                            key.extend(peer_port.map(|(first, last)| Value::Ports(*first, *last)));
                            key.extend(port.map(|(first, last)| Value::Ports(*first, *last)));
                            to.push(Element { key, comment: Arc::clone(comment) });
                        }
                    }
                }
            }
        }
    }
}

/// The values of a column; one without a value where there is no column.
fn each<T>(column: Option<&[T]>) -> impl Iterator<Item = Option<&T>> {
    let absent = column.is_none().then_some(None);
    absent.into_iter().chain(column.into_iter().flatten().map(Some))
}

fn selectors(hook: Hook, base: Base, shape: Shape) -> Vec<Selector> {
    let (server, peer) = sides(base.leg);
    let direction = if hook.matches_outgoing() { Direction::Out } else { Direction::In };
    let all = [
        shape.interface.then_some(Selector::Interface(direction)),
        shape.peer.map(|family| Selector::Address(family, peer)),
        shape.server.map(|family| Selector::Address(family, server)),
        Some(Selector::Protocol),
        shape.peer_ports.then_some(Selector::Port(peer)),
        (base.kind == Kind::Ports).then_some(Selector::Port(server)),
    ];
    all.into_iter().flatten().collect()
}

fn field(selector: Selector) -> Field {
    match selector {
        Selector::Interface(_) => Field::Interface,
        Selector::Address(family, _) | Selector::OriginalDestination(family) => Field::Address(family),
        Selector::Protocol => Field::Protocol,
        Selector::Port(_) => Field::Port,
    }
}

/// Equal keys once: the first entry has the count.
fn once(mut elements: Vec<Element>) -> Vec<Element> {
    let mut seen: HashSet<&[Value]> = HashSet::with_capacity(elements.len());
    let mut first = elements.iter().map(|element| seen.insert(&element.key)).collect::<Vec<bool>>().into_iter();
    elements.retain(|_| first.next().unwrap_or(true));
    elements
}
