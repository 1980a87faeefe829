//! One packet out of a set: the values of its fields, and those that examples have.

use super::{Field, Space};
use crate::dump::{Side, Way};
use crate::net::Family;
use crate::proof::bdd::{Member, Result, Set};

impl Space {
    /// Packets with an address that examples use: the peer's, or this host's.
    pub(in crate::proof) fn usual_address(&self, side: Side, family: Family, outgoing: bool) -> Result<Set> {
        let value = match (family, (side == Side::Source) != outgoing) {
            (Family::V4, true) => 0xc633_6407,
            (Family::V4, false) => 0xcb00_7105,
            (Family::V6, _) => 0x2001_0db8_0000_0000_0000_0000_0000_0007,
        };
        self.family(family)?.and(&self.range(Field::Address(side), family, (value, value))?)
    }

    /// The same for ports.
    pub(in crate::proof) fn usual_port(&self, side: Side) -> Result<Set> {
        let value = if side == Side::Source { 40_000 } else { 80 };
        self.range(Field::Port(side), Family::V4, (value, value))
    }

    /// The values that a member's field may have: first and last.
    #[must_use]
    pub fn values(&self, member: &Member, field: Field, family: Family) -> (u128, u128) {
        let number = member.number(self.layout.bits(field));
        match self.partition(field, family) {
            Some(partition) => partition.values(number),
            None => (number as u128, number as u128),
        }
    }

    /// The name of a member's interface; `None`: any that no rule names.
    #[must_use]
    pub fn name(&self, member: &Member, way: Way) -> Option<String> {
        self.names.name(member.number(self.layout.interface(way)))
    }

    /// The flags of a member.
    #[must_use]
    pub fn flag_bits(&self, member: &Member) -> u8 {
        u8::try_from(member.number(self.layout.flags)).unwrap_or(0)
    }
}
