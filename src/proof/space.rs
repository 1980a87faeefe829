//! The space of all packets: which bits stand for what.
//!
//! Every header field that rules compare has bits of its own; addresses and ports are numbered by class (see `partition`). What conntrack says
//! and which interfaces a packet passes are fields like any other. A question that is not understood gets a bit of its own too: it may be
//! answered either way.

use std::cell::RefCell;
use std::collections::HashMap;

use super::bdd::{Bits, Engine, Member, Result, Set};
use super::names::Names;
use super::partition::Partition;
use super::survey::Survey;
use crate::dump::{InterfacePattern, Parts, Side, States, Way};
use crate::net::{AddressSet, Family, RangeSet};

/// A field whose values are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// An address.
    Address(Side),
    /// A port.
    Port(Side),
    /// The destination before a translation.
    OriginalAddress,
    /// The destination port before a translation.
    OriginalPort,
    /// The protocol's number.
    Protocol,
    /// The type of an ICMP or ICMPv6 message.
    IcmpType,
    /// Its code.
    IcmpCode,
}

/// See the module.
pub struct Space {
    /// Makes the sets.
    pub engine: Engine,
    v4: Partition,
    v6: Partition,
    ports: Partition,
    names: Names,
    layout: Layout,
    intervals: RefCell<HashMap<(Bits, usize, usize), Set>>,
    opaque: RefCell<HashMap<String, (Bits, Set)>>,
    occurrences: RefCell<u32>,
}

/// The bits of each field. Their order decides how large the diagrams become: what has few values comes first, so that the sets of endpoints
/// below are shared by all of them, and an endpoint's address and port stand together.
#[derive(Debug, Clone, Copy)]
struct Layout {
    family: Bits,
    part: Bits,
    protocol: Bits,
    destination: Bits,
    destination_port: Bits,
    source: Bits,
    source_port: Bits,
    icmp_type: Bits,
    icmp_code: Bits,
    flags: Bits,
    incoming: Bits,
    outgoing: Bits,
    local_destination: Bits,
    local_source: Bits,
    state: Bits,
    translated_destination: Bits,
    translated_source: Bits,
    original: Bits,
    original_port: Bits,
    came_untracked: Bits,
}

/// Protocols with ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];
const TCP: u8 = 6;

/// The number of a protocol that carries error messages of a family.
#[must_use]
pub fn icmp(family: Family) -> u8 {
    match family {
        Family::V4 => 1,
        Family::V6 => 58,
    }
}

impl Space {
    /// A space in which everything that the survey has seen can be told apart.
    pub fn of(survey: &Survey) -> Result<Space> {
        Space::with(Engine::new(), survey)
    }

    /// The same, with an engine of one's own.
    pub fn with(engine: Engine, survey: &Survey) -> Result<Space> {
        let (v4, v6) = (Partition::of(&survey.v4, u32::MAX.into()), Partition::of(&survey.v6, u128::MAX));
        let ports = Partition::of(&survey.ports, u16::MAX.into());
        let names = Names::of(&survey.interfaces);
        let (address, port, name) = (v4.bits().max(v6.bits()), ports.bits(), names.bits());
        let layout = Layout {
            family: engine.add(1)?,
            part: engine.add(2)?,
            protocol: engine.add(8)?,
            state: engine.add(2)?,
            translated_destination: engine.add(1)?,
            translated_source: engine.add(1)?,
            came_untracked: engine.add(1)?,
            local_destination: engine.add(1)?,
            local_source: engine.add(1)?,
            flags: engine.add(8)?,
            icmp_type: engine.add(8)?,
            icmp_code: engine.add(8)?,
            incoming: engine.add(name)?,
            outgoing: engine.add(name)?,
            destination: engine.add(address)?,
            destination_port: engine.add(port)?,
            source: engine.add(address)?,
            source_port: engine.add(port)?,
            original: engine.add(address)?,
            original_port: engine.add(port)?,
        };
        let (intervals, opaque) = (RefCell::default(), RefCell::default());
        Ok(Space { engine, v4, v6, ports, names, layout, intervals, opaque, occurrences: RefCell::new(0) })
    }

    fn bits(&self, field: Field) -> Bits {
        match field {
            Field::Address(Side::Source) => self.layout.source,
            Field::Address(Side::Destination) => self.layout.destination,
            Field::Port(Side::Source) => self.layout.source_port,
            Field::Port(Side::Destination) => self.layout.destination_port,
            Field::OriginalAddress => self.layout.original,
            Field::OriginalPort => self.layout.original_port,
            Field::Protocol => self.layout.protocol,
            Field::IcmpType => self.layout.icmp_type,
            Field::IcmpCode => self.layout.icmp_code,
        }
    }

    /// How the values of a field are divided; `None`: each value is a class of its own.
    fn partition(&self, field: Field, family: Family) -> Option<&Partition> {
        match (field, family) {
            (Field::Address(_) | Field::OriginalAddress, Family::V4) => Some(&self.v4),
            (Field::Address(_) | Field::OriginalAddress, Family::V6) => Some(&self.v6),
            (Field::Port(_) | Field::OriginalPort, _) => Some(&self.ports),
            _ => None,
        }
    }

    /// First and last class of a range. The last class also stands for the numbers behind it, so that every number stands for a class.
    pub(super) fn classes(&self, field: Field, family: Family, range: (u128, u128)) -> (usize, usize) {
        let Some(partition) = self.partition(field, family) else {
            let small = |value: u128| usize::try_from(value).unwrap_or(usize::MAX);
            return (small(range.0), small(range.1));
        };
        let (first, last) = partition.classes(range);
        let end = if last + 1 == partition.len() { (1 << self.bits(field).count) - 1 } else { last };
        (first, end)
    }

    /// Packets with the field in one interval and in the set beside it. The intervals are of one family, sorted and apart from each other.
    pub(super) fn choose(&self, field: Field, intervals: &[(usize, usize, Set)]) -> Result<Set> {
        self.engine.choose(self.bits(field), intervals)
    }

    /// Packets with the field in a range; nothing is said about the packet having the field, nor about its family.
    pub(super) fn range(&self, field: Field, family: Family, range: (u128, u128)) -> Result<Set> {
        let bits = self.bits(field);
        let (first, last) = self.classes(field, family, range);
        if let Some(known) = self.intervals.borrow().get(&(bits, first, last)) {
            return Ok(known.clone());
        }
        let made = self.engine.choose(bits, &[(first, last, self.engine.all())])?;
        self.intervals.borrow_mut().insert((bits, first, last), made.clone());
        Ok(made)
    }

    fn ranges(&self, field: Field, family: Family, ranges: impl Iterator<Item = (u128, u128)>) -> Result<Set> {
        let intervals: Vec<(usize, usize, Set)> = ranges
            .map(|range| {
                let (first, last) = self.classes(field, family, range);
                (first, last, self.engine.all())
            })
            .collect();
        match intervals.as_slice() {
            [(first, last, _)] if self.intervals.borrow().contains_key(&(self.bits(field), *first, *last)) => {
                let known = self.intervals.borrow().get(&(self.bits(field), *first, *last)).cloned();
                Ok(known.unwrap_or_else(|| self.engine.none()))
            }
            [(first, last, _)] => {
                let made = self.engine.choose(self.bits(field), &intervals)?;
                self.intervals.borrow_mut().insert((self.bits(field), *first, *last), made.clone());
                Ok(made)
            }
            _ => self.engine.choose(self.bits(field), &intervals),
        }
    }

    /// Packets of a family.
    pub fn family(&self, family: Family) -> Result<Set> {
        let v6 = self.engine.bit(self.layout.family, 0)?;
        if family == Family::V6 { Ok(v6) } else { v6.not() }
    }

    /// Packets with an address in the set.
    pub fn address(&self, field: Field, set: &AddressSet) -> Result<Set> {
        let mut all = Vec::new();
        if !set.v4.is_empty() {
            let ranges = set.v4.ranges().iter().map(|&(first, last)| (first.into(), last.into()));
            all.push(self.family(Family::V4)?.and(&self.ranges(field, Family::V4, ranges)?)?);
        }
        if !set.v6.is_empty() {
            let ranges = self.ranges(field, Family::V6, set.v6.ranges().iter().copied())?;
            all.push(self.family(Family::V6)?.and(&ranges)?);
        }
        self.engine.any(all)
    }

    /// Packets with one of these protocols.
    pub fn protocol(&self, protocols: &RangeSet<u8>) -> Result<Set> {
        self.ranges(Field::Protocol, Family::V4, wide(protocols))
    }

    /// Packets that have ports: of a protocol with ports, and no later fragment.
    pub fn has_ports(&self) -> Result<Set> {
        let protocols = RangeSet::from_ranges(WITH_PORTS.map(|number| (number, number)));
        self.protocol(&protocols)?.minus(&self.parts(Parts::LATER)?)
    }

    /// Packets that have one of these ports.
    pub fn port(&self, side: Side, ports: &RangeSet<u16>) -> Result<Set> {
        self.ranges(Field::Port(side), Family::V4, wide(ports))?.and(&self.has_ports()?)
    }

    /// Packets whose destination port, before a translation, was one of these.
    pub fn original_port(&self, ports: &RangeSet<u16>) -> Result<Set> {
        self.ranges(Field::OriginalPort, Family::V4, wide(ports))
    }

    /// ICMP messages of a family, of these types and codes.
    pub fn icmp(&self, family: Family, types: &RangeSet<u8>, codes: &RangeSet<u8>) -> Result<Set> {
        let asked = [
            self.ranges(Field::IcmpType, family, wide(types))?,
            self.ranges(Field::IcmpCode, family, wide(codes))?,
            self.has_icmp(family)?,
        ];
        self.engine.every(&asked)
    }

    /// ICMP messages of a family that have their header.
    pub fn has_icmp(&self, family: Family) -> Result<Set> {
        let protocol = self.protocol(&RangeSet::single(icmp(family)))?;
        protocol.and(&self.family(family)?)?.minus(&self.parts(Parts::LATER)?)
    }

    /// TCP packets that have their header.
    pub fn has_flags(&self) -> Result<Set> {
        self.protocol(&RangeSet::single(TCP))?.minus(&self.parts(Parts::LATER)?)
    }

    /// TCP packets of whose flags those in `mask` are exactly `value`.
    pub fn flags(&self, mask: u8, value: u8) -> Result<Set> {
        if value & !mask != 0 {
            return Ok(self.engine.none());
        }
        let mut set = self.has_flags()?;
        for at in (0..8).filter(|at| mask >> (7 - at) & 1 == 1) {
            let bit = self.engine.bit(self.layout.flags, at)?;
            set = if value >> (7 - at) & 1 == 1 { set.and(&bit)? } else { set.minus(&bit)? };
        }
        Ok(set)
    }

    /// Packets of these parts. Numbers: whole 0, first 1, later 2 and 3.
    pub fn parts(&self, parts: Parts) -> Result<Set> {
        let wanted = [(parts.whole, 0, 0), (parts.first, 1, 1), (parts.later, 2, 3)];
        let intervals: Vec<_> = wanted
            .into_iter()
            .filter(|(wanted, ..)| *wanted)
            .map(|(_, first, last)| (first, last, self.engine.all()))
            .collect();
        self.engine.choose(self.layout.part, &intervals)
    }

    /// Packets whose interface is one of these.
    pub fn interface(&self, way: Way, patterns: &[InterfacePattern]) -> Result<Set> {
        let bits = match way {
            Way::In => self.layout.incoming,
            Way::Out => self.layout.outgoing,
        };
        let intervals: Vec<_> =
            self.names.classes(patterns).into_iter().map(|(first, last)| (first, last, self.engine.all())).collect();
        self.engine.choose(bits, &intervals)
    }

    /// Every interface that a rule names.
    #[must_use]
    pub fn named(&self) -> Vec<InterfacePattern> {
        self.names.named()
    }

    /// Packets with an address that examples use: the peer's, or this host's.
    pub(super) fn usual_address(&self, side: Side, family: Family, outgoing: bool) -> Result<Set> {
        let value = match (family, (side == Side::Source) != outgoing) {
            (Family::V4, true) => 0xc633_6407,
            (Family::V4, false) => 0xcb00_7105,
            (Family::V6, _) => 0x2001_0db8_0000_0000_0000_0000_0000_0007,
        };
        self.family(family)?.and(&self.range(Field::Address(side), family, (value, value))?)
    }

    /// The same for ports.
    pub(super) fn usual_port(&self, side: Side) -> Result<Set> {
        let value = if side == Side::Source { 40_000 } else { 80 };
        self.range(Field::Port(side), Family::V4, (value, value))
    }

    /// Packets with an address of this host on this side.
    pub fn local(&self, side: Side) -> Result<Set> {
        match side {
            Side::Source => self.engine.bit(self.layout.local_source, 0),
            Side::Destination => self.engine.bit(self.layout.local_destination, 0),
        }
    }

    /// Packets of which conntrack, where it looks, says one of these; `untracked` is not its word.
    pub fn state(&self, states: States) -> Result<Set> {
        let said = [states.new, states.established, states.related, states.invalid];
        let intervals: Vec<_> =
            (0..).zip(said).filter(|said| said.1).map(|said| (said.0, said.0, self.engine.all())).collect();
        self.engine.choose(self.layout.state, &intervals)
    }

    /// Packets of flows that have been translated.
    pub fn translated(&self, side: Side) -> Result<Set> {
        match side {
            Side::Source => self.engine.bit(self.layout.translated_source, 0),
            Side::Destination => self.engine.bit(self.layout.translated_destination, 0),
        }
    }

    /// Packets over loopback that had been marked as untracked when they were sent.
    pub fn came_untracked(&self) -> Result<Set> {
        self.engine.bit(self.layout.came_untracked, 0)
    }

    /// Packets for which a question that is not understood is answered with yes.
    pub fn opaque(&self, text: &str) -> Result<Set> {
        if let Some((_, known)) = self.opaque.borrow().get(text) {
            return Ok(known.clone());
        }
        let bits = self.engine.add(1)?;
        let made = self.engine.bit(bits, 0)?;
        self.opaque.borrow_mut().insert(text.to_string(), (bits, made.clone()));
        Ok(made)
    }

    /// The same for one whose answer may be another each time it is asked.
    pub fn volatile(&self, text: &str) -> Result<Set> {
        let number = {
            let mut count = self.occurrences.borrow_mut();
            *count += 1;
            *count
        };
        self.opaque(&format!("{text} (asked {number})"))
    }

    /// Those that are in a set however the questions that are not understood are answered.
    pub fn surely(&self, set: &Set) -> Result<Set> {
        let questions: Vec<Set> = self.opaque.borrow().values().map(|(_, question)| question.clone()).collect();
        set.whatever(&self.engine.every(&questions)?)
    }

    /// The questions, not understood, that are answered with yes for a member.
    #[must_use]
    pub fn answered(&self, member: &Member) -> Vec<String> {
        let opaque = self.opaque.borrow();
        let yes = opaque.iter().filter(|(_, (_, set))| set.has(member)).map(|(text, _)| text.clone());
        let mut all: Vec<String> = yes.collect();
        all.sort_unstable();
        all
    }

    /// The values that a member's field may have: first and last.
    #[must_use]
    pub fn values(&self, member: &Member, field: Field, family: Family) -> (u128, u128) {
        let number = member.number(self.bits(field));
        match self.partition(field, family) {
            Some(partition) => partition.values(number),
            None => (number as u128, number as u128),
        }
    }

    /// The name of a member's interface; `None`: any that no rule names.
    #[must_use]
    pub fn name(&self, member: &Member, way: Way) -> Option<String> {
        let bits = match way {
            Way::In => self.layout.incoming,
            Way::Out => self.layout.outgoing,
        };
        self.names.name(member.number(bits))
    }

    /// The flags of a member.
    #[must_use]
    pub fn flag_bits(&self, member: &Member) -> u8 {
        u8::try_from(member.number(self.layout.flags)).unwrap_or(0)
    }
}

fn wide<T: Copy + Into<u128> + crate::net::Scalar>(set: &RangeSet<T>) -> impl Iterator<Item = (u128, u128)> + '_ {
    set.ranges().iter().map(|&(first, last)| (first.into(), last.into()))
}
