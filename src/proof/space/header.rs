//! Packets by their headers.

use super::{Field, Space};
use crate::dump::{Parts, Side};
use crate::net::{AddressSet, Family, Protocol, RangeSet, Scalar};
use crate::proof::bdd::{Result, Set};

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
    /// Packets of a family.
    pub fn family(&self, family: Family) -> Result<Set> {
        let v6 = self.engine.bit(self.layout.family, 0)?;
        if family == Family::V6 { Ok(v6) } else { v6.not() }
    }

    /// Packets with an address in the set.
    pub fn address(&self, field: Field, set: &AddressSet) -> Result<Set> {
        let mut all = Vec::new();
        if !set.v4.is_empty() {
            let ranges = self.ranges(field, Family::V4, wide(&set.v4))?;
            all.push(self.family(Family::V4)?.and(&ranges)?);
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
        let protocols = RangeSet::from_ranges(Protocol::WITH_PORTS.map(|number| (number, number)));
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
        let numbers = wanted.into_iter().filter(|(wanted, ..)| *wanted).map(|(_, first, last)| (first, last));
        self.among(self.layout.part, numbers)
    }
}

fn wide<T: Copy + Into<u128> + Scalar>(set: &RangeSet<T>) -> impl Iterator<Item = (u128, u128)> + '_ {
    set.ranges().iter().map(|&(first, last)| (first.into(), last.into()))
}
