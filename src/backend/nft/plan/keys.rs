//! The elements of a class, and the sets that hold them.

use std::borrow::Cow;
use std::iter::once;
use std::slice;

use super::addresses::suffix;
use super::classes::Class;
use super::entries::{Keyed, sides};
use super::sorted::{Base, Item, Kind, Restriction};
use super::{Planner, disjoint};
use crate::backend::nft::key_type::Field;
use crate::backend::nft::keys::{Key, Keys, Value};
use crate::backend::nft::program::{Direction, Elements, Selector, Set, SetId};
use crate::net::{AddrRange, Family, Interface, PortSet, Protocol};
use crate::policy::{AddressSets, Addresses, EntryId};
use crate::ruleset::{Action, Hook, Leg, Locality};

/// Which fields a key has besides the protocol and the server's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Shape {
    interface: bool,
    peer: Option<Family>,
    server: Option<Family>,
    peer_ports: bool,
}

/// The keys of one shape.
struct Shaped {
    shape: Shape,
    selectors: Vec<Selector>,
    /// Keys of single values.
    exact: Keys,
    /// Keys with a range among their values.
    ranges: Keys,
}

impl Shaped {
    fn new(shape: Shape, selectors: Vec<Selector>, count: usize) -> Self {
        let fields: Vec<Field> = selectors.iter().map(|&selector| field(selector)).collect();
        let mut exact = Keys::new(fields.clone(), false);
        exact.reserve(count);
        Shaped { shape, selectors, exact, ranges: Keys::new(fields, true) }
    }

    fn push(&mut self, key: &Key, owner: EntryId) {
        let keys = if key.is_single() { &mut self.exact } else { &mut self.ranges };
        keys.push(key, owner);
    }
}

impl Planner<'_> {
    /// The class's endpoints as sets, with the family of the rules that look them up.
    pub(super) fn keyed(&mut self, hook: Hook, class: &Class<'_>) -> Vec<Keyed> {
        let mut shapes: Vec<Shaped> = Vec::new();
        for (asked, items) in &class.parts {
            let asked = if class.wide { &asked.restriction } else { Restriction::NONE };
            items.iter().for_each(|item| self.elements(hook, class, asked, item, &mut shapes));
        }
        shapes.sort_by_key(|shaped| shaped.shape);
        let (place, counted) = (class.place(), class.base.action == Action::Accept);
        let mut keyed = Vec::new();
        for Shaped { shape, selectors, exact, ranges } in shapes {
            let layers = disjoint::layers(&ranges);
            for (interval, keys) in once((false, exact.once())).chain(layers.into_iter().map(|layer| (true, layer))) {
                if keys.is_empty() {
                    continue;
                }
                let wish = self.wish(class, shape, interval);
                let elements = Elements::Keys(keys);
                let set = self.shared(&wish, Set { name: String::new(), interval, counted, elements, place });
                for family in self.rule_families(class, shape) {
                    keyed.push(Keyed { set, selectors: selectors.clone(), counted, family });
                }
            }
        }
        keyed
    }

    /// The families that a set's rules are for.
    fn rule_families(&self, class: &Class<'_>, shape: Shape) -> Vec<Option<Family>> {
        let asked = class.restriction();
        if let Some(family) = shape.server.or(shape.peer).or(class.base.family) {
            return vec![Some(family)];
        }
        if asked.peer == Addresses::Any && asked.server == Addresses::Any {
            return vec![None];
        }
        let sets = self.policy_sets;
        let both = |family: &Family| sets.has(asked.peer, *family) && sets.has(asked.server, *family);
        Family::BOTH.into_iter().filter(both).map(Some).collect()
    }

    /// Multiplies an item out, with what it asks for besides as fields of the key.
    fn elements(&self, hook: Hook, class: &Class<'_>, asked: &Restriction, item: &Item, shapes: &mut Vec<Shaped>) {
        let (sets, base, rule) = (self.policy_sets, class.base, class.restriction());
        let any = item.server == Addresses::Any && asked.peer == Addresses::Any;
        let families: &[Option<Family>] = if any { &[None] } else { &[Some(Family::V4), Some(Family::V6)] };
        for &family in families {
            let fits = |family| {
                base.family.is_none_or(|only| only == family)
                    && sets.has(rule.peer, family)
                    && sets.has(rule.server, family)
                    && item.protocol.exists_in(family)
            };
            if !family.map_or_else(|| Family::BOTH.into_iter().any(fits), fits) {
                continue;
            }
            let ranges = |addresses| family.and_then(|family| ranges(sets, addresses, family));
            let (peers, servers) = (ranges(&asked.peer), ranges(&item.server));
            if [&peers, &servers].into_iter().flatten().any(|ranges| ranges.is_empty()) {
                continue;
            }
            let shape = Shape {
                interface: !asked.interfaces.is_empty(),
                peer: family.filter(|_| peers.is_some()),
                server: family.filter(|_| servers.is_some()),
                peer_ports: asked.peer_ports.is_some(),
            };
            let columns = Columns {
                interfaces: Some(&*asked.interfaces).filter(|list| !list.is_empty()),
                peers: peers.as_deref(),
                servers: servers.as_deref(),
                protocol: item.protocol,
                peer_ports: asked.peer_ports.as_ref().map(PortSet::ranges),
                ports: item.ports.as_ref().map(PortSet::ranges),
            };
            let known = shapes.iter().position(|shaped| shaped.shape == shape).unwrap_or_else(|| {
                shapes.push(Shaped::new(shape, selectors(hook, base, shape), class.len()));
                shapes.len() - 1
            });
            if let Some(shaped) = shapes.get_mut(known) {
                columns.multiply(item.entry, shaped);
            }
        }
    }

    /// A set; the same one again where its content is known and nobody counts.
    fn shared(&mut self, wish: &str, mut set: Set) -> SetId {
        if set.counted {
            set.name = self.names.unique(wish);
            return self.add(set);
        }
        let known = self.shared.entry((set.key().to_vec(), set.elements.len())).or_default();
        let name = |entry| self.owners.name(entry);
        let same = |id: &&SetId| {
            let other = self.sets.get(id.0);
            other.is_some_and(|other| other.elements.is_same(&set.elements, name))
        };
        if let Some(&same) = known.iter().find(same) {
            return same;
        }
        known.push(SetId(self.sets.len()));
        set.name = self.names.unique(wish);
        self.add(set)
    }

    /// What a person would call the set.
    fn wish(&self, class: &Class<'_>, shape: Shape, interval: bool) -> String {
        let (base, section) = (class.base, self.owners.word(class.base.section));
        let one = section.strip_suffix('s').unwrap_or(section);
        let mut name = match (base.action, base.tracked, base.leg) {
            (Action::Accept, true, _) => format!("tracked_{section}"),
            (Action::Accept, false, Leg::Request) => format!("{one}_requests"),
            (Action::Accept, false, Leg::Reply) => format!("{one}_replies"),
            _ => format!("stateless_{section}"),
        };
        match base.kind {
            Kind::Ports => {}
            Kind::Plain => name.push_str("_portless"),
            Kind::Fragments => name.push_str("_fragments"),
        }
        if base.locality == Locality::Local && section == "services" && shape.server.is_some() {
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
            name.push_str(&self.asked(class));
        }
        if interval {
            name.push_str("_ranges");
        }
        name + suffix(shape.server.or(shape.peer).or(base.family))
    }

    /// What a class asks for, as part of a name.
    fn asked(&self, class: &Class<'_>) -> String {
        let asked = class.restriction();
        let peer_word = if class.base.leg == Leg::Request { "from" } else { "to" };
        let mut text = String::new();
        let sets = self.policy_sets;
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
        match &*asked.interfaces {
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
    fn multiply(&self, owner: EntryId, to: &mut Shaped) {
        let is_alone = to.selectors.len() == 1;
        let addresses = |range: &AddrRange| Value::Addresses(*range);
        let ports = |&(first, last): &(u16, u16)| Value::Ports(first, last);
        let mut key = Key::EMPTY;
        for interface in each(self.interfaces) {
            let at = key.put(0, interface.map(|name| Value::Interface(name.as_str())), is_alone);
            for peer in each(self.peers) {
                let at = key.put(at, peer.map(addresses), is_alone);
                for server in each(self.servers) {
                    let at = key.put(at, server.map(addresses), is_alone);
                    let at = key.put(at, Some(Value::Protocol(self.protocol)), is_alone);
                    for peer_port in each(self.peer_ports) {
                        let at = key.put(at, peer_port.map(ports), is_alone);
                        for port in each(self.ports) {
                            key.put(at, port.map(ports), is_alone);
                            to.push(&key, owner);
                        }
                    }
                }
            }
        }
    }
}

/// The values of a column; one that is none where there is no column.
fn each<T>(column: Option<&[T]>) -> impl Iterator<Item = Option<&T>> {
    (0..column.map_or(1, <[T]>::len)).map(move |at| column?.get(at))
}

/// The ranges of one family; `None` is every address.
fn ranges<'a>(sets: &AddressSets, addresses: &'a Addresses, family: Family) -> Option<Cow<'a, [AddrRange]>> {
    match addresses {
        Addresses::Range(range) if range.family() == family => Some(Cow::Borrowed(slice::from_ref(range))),
        Addresses::Range(_) => Some(Cow::Borrowed(&[])),
        Addresses::Set(_) => sets.ranges(*addresses, family).map(Cow::Owned),
        Addresses::Any => None,
    }
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
