//! Which packets a rule could match, as far as families, protocols, addresses and ports tell. Conditions narrow down, and what these fields cannot
//! say does not, so the result never says less than the rule matches.

use std::fmt;

use crate::dump::{Condition, InterfacePattern, Keys, Selector, Side, Test, Value, Way};
use crate::net::{AddrRange, AddressSet, Family, RangeSet, Scalar};

/// Which packets a rule can match. A rule never matches more than this says, so two rules whose `NatMatch` have nothing in common surely touch
/// different packets. `None` is any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatMatch {
    /// IPv4 or IPv6 only.
    pub family: Option<Family>,
    /// Protocol numbers.
    pub protocol: Option<RangeSet<u8>>,
    /// Source addresses before this NAT.
    pub source: Option<AddressSet>,
    /// Destination addresses before this NAT.
    pub destination: Option<AddressSet>,
    /// Source ports, host byte order.
    pub source_ports: Option<RangeSet<u16>>,
    /// Destination ports, host byte order.
    pub destination_ports: Option<RangeSet<u16>>,
    /// Incoming interface: one of these.
    pub incoming: Option<Vec<InterfacePattern>>,
    /// Outgoing interface: one of these.
    pub outgoing: Option<Vec<InterfacePattern>>,
    /// Whether the rule matches nothing at present: it asks for something in an empty set, or for what excludes itself.
    pub never: bool,
    /// Whether every condition of the rule is in the fields above. If not, the rule matches less than they say.
    pub understood: bool,
}

impl NatMatch {
    /// Every packet.
    const ANY: NatMatch = NatMatch {
        family: None,
        protocol: None,
        source: None,
        destination: None,
        source_ports: None,
        destination_ports: None,
        incoming: None,
        outgoing: None,
        never: false,
        understood: true,
    };
    /// Of which nothing is known.
    const UNKNOWN: NatMatch = NatMatch { understood: false, ..NatMatch::ANY };

    /// What meets all conditions of a rule, in a chain for this family or for both.
    pub(super) fn of(family: Option<Family>, conditions: &[Condition]) -> Self {
        let start = NatMatch { family, ..NatMatch::ANY };
        conditions.iter().fold(start, |all, condition| all.and(asked(condition)))
    }

    /// What meets both.
    fn and(self, other: NatMatch) -> Self {
        let families_differ = self.family.zip(other.family).is_some_and(|(one, other)| one != other);
        // Of two conditions about one interface, one is in the fields.
        let same = |a: &Option<Vec<_>>, b: &Option<Vec<_>>| a.is_none() || b.is_none() || a == b;
        let interfaces = same(&self.incoming, &other.incoming) && same(&self.outgoing, &other.outgoing);
        NatMatch {
            family: self.family.or(other.family),
            protocol: both(self.protocol, other.protocol, RangeSet::intersection),
            source: both(self.source, other.source, AddressSet::intersection),
            destination: both(self.destination, other.destination, AddressSet::intersection),
            source_ports: both(self.source_ports, other.source_ports, RangeSet::intersection),
            destination_ports: both(self.destination_ports, other.destination_ports, RangeSet::intersection),
            incoming: self.incoming.or(other.incoming),
            outgoing: self.outgoing.or(other.outgoing),
            never: self.never || other.never || families_differ,
            understood: self.understood && other.understood && interfaces,
        }
    }

    /// What meets either.
    fn or(self, other: NatMatch) -> Self {
        if self.never {
            return other;
        }
        if other.never {
            return self;
        }
        // Two fields at once become a product that holds more than the two.
        let exact = self.fields().len() <= 1 && self.fields() == other.fields();
        let join = |mut all: Vec<_>, more: Vec<_>| {
            all.extend(more);
            all
        };
        NatMatch {
            family: self.family.filter(|family| other.family == Some(*family)),
            protocol: either(self.protocol, other.protocol, |a, b| a.union(&b)),
            source: either(self.source, other.source, |a, b| a.union(&b)),
            destination: either(self.destination, other.destination, |a, b| a.union(&b)),
            source_ports: either(self.source_ports, other.source_ports, |a, b| a.union(&b)),
            destination_ports: either(self.destination_ports, other.destination_ports, |a, b| a.union(&b)),
            incoming: either(self.incoming, other.incoming, join),
            outgoing: either(self.outgoing, other.outgoing, join),
            never: false,
            understood: self.understood && other.understood && exact,
        }
    }

    /// The fields that say something, by number. Addresses say the family by themselves.
    fn fields(&self) -> Vec<u8> {
        let addresses = self.source.is_some() || self.destination.is_some();
        let all = [
            self.family.is_some() && !addresses,
            self.protocol.is_some(),
            self.source.is_some(),
            self.destination.is_some(),
            self.source_ports.is_some(),
            self.destination_ports.is_some(),
            self.incoming.is_some(),
            self.outgoing.is_some(),
        ];
        (0u8..).zip(all).filter(|(_, said)| *said).map(|(number, _)| number).collect()
    }

    fn addresses(side: Side, set: AddressSet) -> Self {
        let family = match (set.has(Family::V4), set.has(Family::V6)) {
            (true, false) => Some(Family::V4),
            (false, true) => Some(Family::V6),
            _ => None,
        };
        match side {
            Side::Source => NatMatch { family, source: Some(set), ..NatMatch::ANY },
            Side::Destination => NatMatch { family, destination: Some(set), ..NatMatch::ANY },
        }
    }

    fn ports(side: Side, ports: RangeSet<u16>) -> Self {
        match side {
            // That there is a port is said by the protocol.
            _ if ports.is_all() => NatMatch::ANY,
            Side::Source => NatMatch { source_ports: Some(ports), ..NatMatch::ANY },
            Side::Destination => NatMatch { destination_ports: Some(ports), ..NatMatch::ANY },
        }
    }

    fn interfaces(way: Way, names: Vec<InterfacePattern>) -> Self {
        match way {
            Way::In => NatMatch { incoming: Some(names), ..NatMatch::ANY },
            Way::Out => NatMatch { outgoing: Some(names), ..NatMatch::ANY },
        }
    }
}

fn both<T>(one: Option<T>, other: Option<T>, meet: impl Fn(&T, &T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(meet(&one, &other)),
        (one, other) => one.or(other),
    }
}

fn either<T>(one: Option<T>, other: Option<T>, join: impl Fn(T, T) -> T) -> Option<T> {
    one.zip(other).map(|(one, other)| join(one, other))
}

/// What meets a condition.
///
/// The negation of a set of keys, or of several conditions, is in no single field: it is left alone.
fn asked(Condition { negated, test }: &Condition) -> NatMatch {
    match (test, negated) {
        (Test::Family(family), false) => NatMatch { family: Some(*family), ..NatMatch::ANY },
        (Test::Family(family), true) => {
            NatMatch { family: Family::BOTH.into_iter().find(|other| other != family), ..NatMatch::ANY }
        }
        (Test::Address(side, set), false) => NatMatch::addresses(*side, (**set).clone()),
        (Test::Address(side, set), true) => NatMatch::addresses(*side, others(set)),
        (Test::Protocol(set), false) => NatMatch { protocol: Some(set.clone()), ..NatMatch::ANY },
        (Test::Protocol(set), true) => NatMatch { protocol: Some(set.complement()), ..NatMatch::ANY },
        (Test::Port(side, set), false) => NatMatch::ports(*side, set.clone()),
        (Test::Port(side, set), true) => NatMatch::ports(*side, set.complement()),
        (Test::Interface(way, names), false) => NatMatch::interfaces(*way, names.clone()),
        (Test::Keys(selectors, keys), false) => one_of_keys(selectors, keys),
        (Test::AnyOf(all), false) => all.iter().map(asked).reduce(NatMatch::or).unwrap_or(NatMatch::UNKNOWN),
        (Test::Never, false) => NatMatch { never: true, ..NatMatch::ANY },
        (Test::Never, true) => NatMatch::ANY,
        _ => NatMatch::UNKNOWN,
    }
}

/// The other addresses of the families of which the set has some: packets of another family meet neither the test nor its negation.
fn others(set: &AddressSet) -> AddressSet {
    AddressSet {
        v4: if set.v4.is_empty() { RangeSet::default() } else { set.v4.complement() },
        v6: if set.v6.is_empty() { RangeSet::default() } else { set.v6.complement() },
    }
}

/// Each field is one of its values in any of the keys. Of several keys with several fields that is more than the keys hold.
fn one_of_keys(selectors: &[Selector], keys: &Keys) -> NatMatch {
    let never = keys.elements.is_empty();
    let exact = selectors.len() == 1 || keys.elements.len() == 1;
    let column = |(at, selector): (usize, &Selector)| {
        let values: Vec<&Value> = keys.elements.iter().filter_map(|element| element.get(at)).collect();
        field(*selector, &values)
    };
    let start = NatMatch { never, understood: exact || never, ..NatMatch::ANY };
    selectors.iter().enumerate().filter(|_| !never).map(column).fold(start, NatMatch::and)
}

fn field(selector: Selector, values: &[&Value]) -> NatMatch {
    let numbers = || {
        values.iter().filter_map(|value| match value {
            Value::Numbers(first, last) => Some((*first, *last)),
            Value::Interface(_) => None,
        })
    };
    let names = || {
        values.iter().filter_map(|value| match value {
            Value::Interface(name) => Some(name.clone()),
            Value::Numbers(..) => None,
        })
    };
    match selector {
        Selector::Address(Family::V4, side) => {
            NatMatch::addresses(side, numbers().map(|(a, b)| AddrRange::V4(clip(a), clip(b))).collect())
        }
        Selector::Address(Family::V6, side) => {
            NatMatch::addresses(side, numbers().map(|(a, b)| AddrRange::V6(a, b)).collect())
        }
        Selector::Protocol => NatMatch { protocol: Some(clipped(numbers())), ..NatMatch::ANY },
        Selector::Port(side) => NatMatch::ports(side, clipped(numbers())),
        Selector::Interface(way) => NatMatch::interfaces(way, names().collect()),
        Selector::OriginalDestination(_) => NatMatch::UNKNOWN,
    }
}

fn clipped<T: TryFrom<u128> + Scalar>(numbers: impl Iterator<Item = (u128, u128)>) -> RangeSet<T> {
    RangeSet::from_ranges(numbers.map(|(first, last)| (clip(first), clip(last))))
}

/// The number in a narrower type, whose largest value stands for all that do not fit.
fn clip<T: TryFrom<u128> + Scalar>(value: u128) -> T {
    T::try_from(value).unwrap_or(T::MAX)
}

/// At most this many ranges are written out.
const SHOWN: usize = 4;

fn ranges<T: fmt::Display>(items: impl Iterator<Item = T>) -> String {
    let all: Vec<String> = items.map(|item| item.to_string()).collect();
    match all.as_slice() {
        [one] => one.clone(),
        _ if all.len() > SHOWN => format!("{{ {}, … }}", all.get(..SHOWN).unwrap_or(&all).join(", ")),
        _ => format!("{{ {} }}", all.join(", ")),
    }
}

fn numbers<T: fmt::Display + PartialEq + Copy>(set: &[(T, T)]) -> String {
    ranges(set.iter().map(|(start, end)| if start == end { start.to_string() } else { format!("{start}-{end}") }))
}

impl fmt::Display for NatMatch {
    /// In nft's words, each part with a blank behind it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interfaces = |all: &Vec<InterfacePattern>| ranges(all.iter().map(|pattern| format!("\"{pattern}\"")));
        let mut part = |word: &str, text: Option<String>| text.map_or(Ok(()), |text| write!(f, "{word} {text} "));
        part("iifname", self.incoming.as_ref().map(interfaces))?;
        part("oifname", self.outgoing.as_ref().map(interfaces))?;
        let addresses = |set: &AddressSet| ranges(Family::BOTH.iter().flat_map(|family| set.ranges(*family)));
        part("saddr", self.source.as_ref().map(addresses))?;
        part("daddr", self.destination.as_ref().map(addresses))?;
        let protocol = |set: &RangeSet<u8>| match set.as_single() {
            Some(6) => "tcp".to_string(),
            Some(17) => "udp".to_string(),
            _ => numbers(set.ranges()),
        };
        part("meta l4proto", self.protocol.as_ref().map(protocol))?;
        part("sport", self.source_ports.as_ref().map(|set| numbers(set.ranges())))?;
        part("dport", self.destination_ports.as_ref().map(|set| numbers(set.ranges())))?;
        if self.never {
            f.write_str("never ")?;
        }
        if self.understood { Ok(()) } else { f.write_str("… ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn set(text: &[&str]) -> AddressSet {
        text.iter().map(|one| one.parse::<AddrRange>().unwrap()).collect()
    }

    fn source(text: &[&str]) -> Test {
        Test::Address(Side::Source, Arc::new(set(text)))
    }

    fn port(number: u16) -> Test {
        Test::Port(Side::Destination, RangeSet::single(number))
    }

    fn of(conditions: &[Condition]) -> NatMatch {
        NatMatch::of(None, conditions)
    }

    #[test]
    fn a_negation_keeps_to_the_families_of_its_set() {
        let found = of(&[Condition::not(source(&["10.0.0.0/8"]))]);
        assert_eq!(found.source, Some(set(&["0.0.0.0-9.255.255.255", "11.0.0.0-255.255.255.255"])));
        assert_eq!((found.family, found.understood), (Some(Family::V4), true));
        let found = of(&[Condition::not(Test::Family(Family::V4))]);
        assert_eq!(found.family, Some(Family::V6));
        assert!(of(&[Condition::is(Test::Family(Family::V4)), Condition::is(source(&["2001:db8::/32"]))]).never);
    }

    #[test]
    fn alternatives_narrow_what_all_of_them_narrow() {
        let any = |all: Vec<Test>| Condition::is(Test::AnyOf(all.into_iter().map(Condition::is).collect()));
        let found = of(&[any(vec![source(&["10.0.0.1"]), source(&["2001:db8::1"])])]);
        assert_eq!((found.source, found.family), (Some(set(&["10.0.0.1", "2001:db8::1"])), None));
        assert!(found.understood);
        let found = of(&[any(vec![source(&["10.0.0.1"]), port(80)])]);
        assert_eq!((found.source, found.destination_ports, found.understood), (None, None, false));
        let found = of(&[any(vec![source(&["10.0.0.1"]), Test::Never])]);
        assert_eq!((found.source, found.understood), (Some(set(&["10.0.0.1"])), true));
        let turned = Condition::not(Test::AnyOf(vec![Condition::is(source(&["10.0.0.1"]))]));
        assert_eq!(of(&[turned]), NatMatch::UNKNOWN);
    }

    #[test]
    fn keys_narrow_each_field_to_its_values() {
        let selectors = vec![Selector::Address(Family::V4, Side::Source), Selector::Port(Side::Destination)];
        let element = |address: u128, port: u128| vec![Value::Numbers(address, address), Value::Numbers(port, port)];
        let keys = |elements: Vec<Vec<Value>>| Test::Keys(selectors.clone(), Arc::new(Keys { elements }));
        let one = of(&[Condition::is(keys(vec![element(0x0a00_0001, 80)]))]);
        assert_eq!((one.source, one.destination_ports), (Some(set(&["10.0.0.1"])), Some(RangeSet::single(80))));
        assert!(one.understood);
        let two = of(&[Condition::is(keys(vec![element(0x0a00_0001, 80), element(0x0a00_0002, 81)]))]);
        assert_eq!(two.destination_ports, Some(RangeSet::range(80, 81)));
        assert!(!two.understood);
        assert!(of(&[Condition::is(keys(Vec::new()))]).never);
        assert_eq!(of(&[Condition::not(keys(vec![element(0x0a00_0001, 80)]))]), NatMatch::UNKNOWN);
    }

    #[test]
    fn what_no_field_says_makes_it_match_less() {
        let opaque = Test::Opaque { text: "mark".into(), volatile: true };
        for test in [opaque, Test::Local(Side::Destination), Test::TcpFlags { mask: 2, value: 2 }] {
            let found = of(&[Condition::is(port(80)), Condition::is(test)]);
            assert_eq!((found.destination_ports, found.understood), (Some(RangeSet::single(80)), false));
        }
        let interface = |name: &str| Test::Interface(Way::In, vec![InterfacePattern::exact(name)]);
        assert_eq!(of(&[Condition::not(interface("eth0"))]), NatMatch::UNKNOWN);
        let two = of(&[Condition::is(interface("eth0")), Condition::is(interface("eth1"))]);
        assert_eq!((two.incoming, two.understood), (Some(vec![InterfacePattern::exact("eth0")]), false));
        assert!(of(&[Condition::is(Test::Never), Condition::is(port(80))]).never);
    }
}
