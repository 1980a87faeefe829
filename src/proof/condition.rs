//! Conditions of rules as sets of packets.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::bdd::{Result, Set};
use super::space::{Field, Space};
use crate::dump::{Condition, Hook, Keys, Selector, Side, States, Test, Value, Way};
use crate::net::{AddressSet, Family};

/// Where a condition is asked.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The hook.
    pub hook: Hook,
    /// Whether conntrack has had its turn (priority -200 in prerouting and output).
    pub after_conntrack: bool,
    /// The packets that are marked as untracked by now.
    pub untracked: Set,
    /// The packets that conntrack has looked at by now and does not follow by itself.
    pub never: Set,
}

impl Moment {
    fn knows(&self, way: Way) -> bool {
        match way {
            Way::In => matches!(self.hook, Hook::Prerouting | Hook::Input | Hook::Forward),
            Way::Out => matches!(self.hook, Hook::Forward | Hook::Output | Hook::Postrouting),
        }
    }
}

/// Divides conditions into those that ask for one value or range of a field, and the others.
fn single_values(list: &[Condition]) -> (Vec<(Selector, Value)>, Vec<&Condition>) {
    let (mut fields, mut others): (Vec<(Selector, Value)>, Vec<&Condition>) = (Vec::new(), Vec::new());
    for condition in list {
        match single_value(&condition.test).filter(|_| !condition.negated) {
            Some(field) if fields.iter().all(|(known, _)| *known != field.0) => fields.push(field),
            _ => others.push(condition),
        }
    }
    (fields, others)
}

fn single_value(test: &Test) -> Option<(Selector, Value)> {
    match test {
        Test::Address(side, set) => match (set.v4.ranges(), set.v6.ranges()) {
            ([(a, b)], []) => Some((Selector::Address(Family::V4, *side), Value::Numbers((*a).into(), (*b).into()))),
            ([], [(a, b)]) => Some((Selector::Address(Family::V6, *side), Value::Numbers(*a, *b))),
            _ => None,
        },
        Test::Port(side, ports) => match ports.ranges() {
            [(a, b)] => Some((Selector::Port(*side), Value::Numbers((*a).into(), (*b).into()))),
            _ => None,
        },
        Test::Protocol(protocols) => match protocols.ranges() {
            [(a, b)] => Some((Selector::Protocol, Value::Numbers((*a).into(), (*b).into()))),
            _ => None,
        },
        _ => None,
    }
}

/// Turns conditions into sets, and remembers what is asked often.
pub struct Conditions<'s> {
    space: &'s Space,
    /// Whether source and destination change places: what a rule says of a packet, asked of the packet that answers it.
    mirrored: bool,
    /// With the set itself, so that no other one takes its place in memory.
    addresses: RefCell<HashMap<(*const AddressSet, Field), Kept>>,
    keys: RefCell<HashMap<Looked, Set>>,
}

/// What lists of conditions have in common: the fields of which each asks for one value, and all else.
type Group<'c> = (Vec<Selector>, Vec<&'c Condition>);

/// A set of addresses, and the packets that have one of them.
type Kept = (Arc<AddressSet>, Set);

/// A set, and what is looked up in it.
type Looked = (Arc<Keys>, Vec<Selector>);

impl<'s> Conditions<'s> {
    /// For packets as they are, or for their mirror images.
    #[must_use]
    pub fn new(space: &'s Space, mirrored: bool) -> Self {
        Conditions { space, mirrored, addresses: RefCell::default(), keys: RefCell::default() }
    }

    /// The packets that meet all of the conditions.
    pub fn all(&self, conditions: &[Condition], moment: &Moment) -> Result<Set> {
        let mut met = self.space.engine.all();
        // The last bits first: diagrams grow from below.
        for condition in conditions.iter().rev() {
            met = met.and(&self.one(condition, moment)?)?;
        }
        Ok(met)
    }

    /// The packets that meet all conditions of at least one of the lists.
    ///
    /// Lists that ask for single values of the same fields, as the rules of a thousand services do, are taken together like the elements of a set.
    pub fn any<'c>(&self, lists: impl Iterator<Item = &'c [Condition]>, moment: &Moment) -> Result<Set> {
        let mut groups: HashMap<Group<'_>, Vec<Vec<Value>>> = HashMap::new();
        for list in lists {
            let (fields, others) = single_values(list);
            let (selectors, values) = fields.into_iter().unzip();
            groups.entry((selectors, others)).or_default().push(values);
        }
        let mut sets = Vec::new();
        for ((selectors, others), elements) in groups {
            let others: Vec<Set> = others.into_iter().map(|one| self.one(one, moment)).collect::<Result<_>>()?;
            let mut met = self.space.engine.every(&others)?;
            if !selectors.is_empty() {
                let has: Vec<Set> = selectors.iter().map(|&one| self.has(one, moment)).collect::<Result<_>>()?;
                met = met.and(&self.space.engine.every(&has)?)?.and(&self.ordered(&selectors, &elements)?)?;
            }
            sets.push(met);
        }
        self.space.engine.any(sets)
    }

    fn side(&self, side: Side) -> Side {
        match (self.mirrored, side) {
            (false, side) => side,
            (true, Side::Source) => Side::Destination,
            (true, Side::Destination) => Side::Source,
        }
    }

    fn one(&self, condition: &Condition, moment: &Moment) -> Result<Set> {
        let met = self.met(&condition.test, moment)?;
        if condition.negated { self.asked(&condition.test, moment)?.minus(&met) } else { Ok(met) }
    }

    /// The packets that a test can be asked of.
    fn asked(&self, test: &Test, moment: &Moment) -> Result<Set> {
        let space = self.space;
        let all = space.engine.all();
        let tracked = |all: Set| all.minus(&moment.untracked);
        match test {
            Test::Address(_, set) => self.has_family(set),
            Test::OriginalDestination(set) => tracked(self.has_family(set)?),
            Test::OriginalPort(_) => tracked(all),
            Test::Port(..) => space.has_ports(),
            Test::Icmp(family, ..) => space.has_icmp(*family),
            Test::TcpFlags { .. } => space.has_flags(),
            Test::Keys(selectors, _) => {
                let asked: Result<Vec<Set>> = selectors.iter().map(|selector| self.has(*selector, moment)).collect();
                space.engine.every(&asked?)
            }
            Test::Family(_)
            | Test::Interface(..)
            | Test::Local(_)
            | Test::Protocol(_)
            | Test::Fragment(_)
            | Test::State(_)
            | Test::Translated(_)
            | Test::AnyOf(_)
            | Test::Never
            | Test::Opaque { .. } => Ok(all),
        }
    }

    fn has_family(&self, set: &AddressSet) -> Result<Set> {
        let families = Family::BOTH.into_iter().filter(|&family| set.has(family));
        let sets: Result<Vec<Set>> = families.map(|family| self.space.family(family)).collect();
        self.space.engine.any(sets?)
    }

    /// The packets that have a field.
    fn has(&self, selector: Selector, moment: &Moment) -> Result<Set> {
        match selector {
            Selector::Address(family, _) => self.space.family(family),
            Selector::OriginalDestination(family) => self.space.family(family)?.minus(&moment.untracked),
            Selector::Port(_) => self.space.has_ports(),
            Selector::Protocol | Selector::Interface(_) => Ok(self.space.engine.all()),
        }
    }

    fn met(&self, test: &Test, moment: &Moment) -> Result<Set> {
        let space = self.space;
        match test {
            Test::Family(family) => space.family(*family),
            Test::Address(side, set) => self.address(Field::Address(self.side(*side)), set),
            Test::OriginalDestination(set) => self.address(Field::OriginalAddress, set)?.minus(&moment.untracked),
            Test::OriginalPort(ports) => space.original_port(ports)?.minus(&moment.untracked),
            Test::Local(side) => space.local(self.side(*side)),
            Test::Protocol(protocols) => space.protocol(protocols),
            Test::Port(side, ports) => space.port(self.side(*side), ports),
            Test::Icmp(family, types, codes) => space.icmp(*family, types, codes),
            Test::TcpFlags { mask, value } => space.flags(*mask, *value),
            Test::Interface(way, patterns) if moment.knows(*way) => space.interface(*way, patterns),
            // Where there is no interface, the kernel compares with an empty name (`nft_meta_store_ifname`, `ip_packet_match`).
            Test::Interface(_, patterns) if patterns.iter().any(|pattern| pattern.matches("")) => {
                Ok(space.engine.all())
            }
            Test::Interface(..) | Test::Never => Ok(space.engine.none()),
            Test::Fragment(parts) => space.parts(*parts),
            Test::State(states) => self.state(*states, moment),
            Test::Translated(side) => space.translated(*side)?.minus(&moment.untracked),
            Test::Keys(selectors, keys) => self.keys(selectors, keys, moment),
            Test::AnyOf(all) => {
                let sets: Result<Vec<Set>> = all.iter().map(|condition| self.one(condition, moment)).collect();
                space.engine.any(sets?)
            }
            Test::Opaque { text, volatile: false } => space.opaque(text),
            Test::Opaque { text, volatile: true } => space.volatile(text),
        }
    }

    fn address(&self, field: Field, set: &Arc<AddressSet>) -> Result<Set> {
        let key = (Arc::as_ptr(set), field);
        if let Some((_, known)) = self.addresses.borrow().get(&key) {
            return Ok(known.clone());
        }
        let made = self.space.address(field, set)?;
        if set.v4.ranges().len() + set.v6.ranges().len() > 1 {
            self.addresses.borrow_mut().insert(key, (Arc::clone(set), made.clone()));
        }
        Ok(made)
    }

    /// Before conntrack has had its turn, a packet that is not marked counts as invalid (`nft_ct_get_eval`, `conntrack_mt`).
    fn state(&self, states: States, moment: &Moment) -> Result<Set> {
        let space = self.space;
        let said = match (moment.after_conntrack, states.invalid) {
            (true, _) => space.state(states)?,
            (false, true) => space.engine.all(),
            (false, false) => space.engine.none(),
        };
        let untracked = moment.untracked.or(&moment.never)?;
        let tracked = said.minus(&untracked)?;
        if states.untracked { tracked.or(&untracked) } else { Ok(tracked) }
    }

    fn keys(&self, selectors: &[Selector], keys: &Arc<Keys>, moment: &Moment) -> Result<Set> {
        let absent = |selector: &Selector| matches!(selector, Selector::Interface(way) if !moment.knows(*way));
        if let Some(at) = selectors.iter().position(absent) {
            return self.nameless(selectors, at, keys, moment);
        }
        let has: Result<Vec<Set>> = selectors.iter().map(|selector| self.has(*selector, moment)).collect();
        let has = self.space.engine.every(&has?)?;
        if has.is_empty() {
            return Ok(has);
        }
        let known = self.keys.borrow().get(&(Arc::clone(keys), selectors.to_vec())).cloned();
        let found = match known {
            Some(known) => known,
            None => {
                let made = self.ordered(selectors, &keys.elements)?;
                self.keys.borrow_mut().insert((Arc::clone(keys), selectors.to_vec()), made.clone());
                made
            }
        };
        found.and(&has)
    }

    /// A lookup in a hook that has no such interface: the kernel looks for an empty name.
    fn nameless(&self, selectors: &[Selector], at: usize, keys: &Keys, moment: &Moment) -> Result<Set> {
        let without = |element: &Vec<Value>| {
            let mut rest = element.clone();
            let is_met = at < rest.len() && matches!(rest.remove(at), Value::Interface(pattern) if pattern.matches(""));
            is_met.then_some(rest)
        };
        let elements: Vec<Vec<Value>> = keys.elements.iter().filter_map(without).collect();
        let mut selectors = selectors.to_vec();
        selectors.remove(at);
        match (elements.is_empty(), selectors.is_empty()) {
            (true, _) => Ok(self.space.engine.none()),
            (false, true) => Ok(self.space.engine.all()),
            (false, false) => self.keys(&selectors, &Arc::new(Keys { elements }), moment),
        }
    }

    /// The packets whose fields are those of one of the elements.
    fn ordered(&self, selectors: &[Selector], elements: &[Vec<Value>]) -> Result<Set> {
        let mut order: Vec<usize> = (0..selectors.len()).collect();
        order.sort_by_key(|&at| selectors.get(at).map(|&selector| self.rank(selector)));
        let pick = |element: &Vec<Value>| order.iter().filter_map(|&at| element.get(at).cloned()).collect::<Vec<_>>();
        let sorted: Vec<Selector> = order.iter().filter_map(|&at| selectors.get(at).copied()).collect();
        let mut elements: Vec<Vec<Value>> = elements.iter().map(pick).collect();
        elements.sort_unstable();
        self.elements(&sorted, elements.iter().map(Vec::as_slice).collect())
    }

    /// The same for sorted fields and elements: field by field, elements that begin alike taken together.
    fn elements(&self, selectors: &[Selector], elements: Vec<&[Value]>) -> Result<Set> {
        let Some((&selector, rest)) = selectors.split_first() else { return Ok(self.space.engine.all()) };
        let mut branches: Vec<(&Value, Set)> = Vec::new();
        for group in elements.chunk_by(|a, b| a.first() == b.first()) {
            let Some(first) = group.first().and_then(|element| element.first()) else { continue };
            let tails = group.iter().filter_map(|element| element.get(1..)).collect();
            branches.push((first, self.elements(rest, tails)?));
        }
        let apart = branches.windows(2).all(|pair| match pair {
            [(Value::Numbers(_, last), _), (Value::Numbers(first, _), _)] => last < first,
            _ => false,
        });
        let (field, family) = match self.field(selector) {
            Some(known) if apart => known,
            _ => return self.branches(selector, &branches),
        };
        let intervals: Vec<(usize, usize, Set)> = branches
            .into_iter()
            .filter_map(|(value, set)| match value {
                Value::Numbers(first, last) => {
                    let (first, last) = self.space.classes(field, family, (*first, *last));
                    Some((first, last, set))
                }
                Value::Interface(_) => None,
            })
            .collect();
        self.space.choose(field, &intervals)
    }

    /// The same, for values that overlap or are no numbers.
    fn branches(&self, selector: Selector, branches: &[(&Value, Set)]) -> Result<Set> {
        let sets = branches.iter().map(|(value, set)| match (value, self.field(selector), selector) {
            (Value::Numbers(first, last), Some((field, family)), _) => {
                self.space.range(field, family, (*first, *last))?.and(set)
            }
            (Value::Interface(pattern), _, Selector::Interface(way)) => {
                self.space.interface(way, std::slice::from_ref(pattern))?.and(set)
            }
            _ => Ok(self.space.engine.none()),
        });
        let sets: Result<Vec<Set>> = sets.collect();
        self.space.engine.any(sets?)
    }

    /// The field of a selector, if it is a number, and its family where it matters.
    fn field(&self, selector: Selector) -> Option<(Field, Family)> {
        Some(match selector {
            Selector::Address(family, side) => (Field::Address(self.side(side)), family),
            Selector::OriginalDestination(family) => (Field::OriginalAddress, family),
            Selector::Protocol => (Field::Protocol, Family::V4),
            Selector::Port(side) => (Field::Port(self.side(side)), Family::V4),
            Selector::Interface(_) => return None,
        })
    }

    /// Puts the fields of a key in the order in which diagrams decide about them.
    fn rank(&self, selector: Selector) -> u8 {
        match selector {
            Selector::Protocol => 0,
            Selector::Address(_, side) => {
                if self.side(side) == Side::Destination {
                    1
                } else {
                    3
                }
            }
            Selector::Port(side) => {
                if self.side(side) == Side::Destination {
                    2
                } else {
                    4
                }
            }
            Selector::Interface(_) => 0,
            Selector::OriginalDestination(_) => 6,
        }
    }
}
