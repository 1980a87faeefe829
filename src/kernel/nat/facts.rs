//! What is known of a rule's conditions while it is read. Conditions narrow down, and what is not understood does not, so
//! the result never says less than the rule matches.

use super::{InterfacePattern, NatMatch};
use crate::net::{AddrRange, AddressSet, Family, RangeSet};

/// A field of a packet's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Protocol,
    Source,
    Destination,
    SourcePort,
    DestinationPort,
}

/// Values of one field, as numbers in host order.
pub(super) type Values = RangeSet<u128>;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub family: Option<Family>,
    protocol: Option<Values>,
    source: Option<Values>,
    destination: Option<Values>,
    source_ports: Option<Values>,
    destination_ports: Option<Values>,
    pub incoming: Option<InterfacePattern>,
    pub outgoing: Option<InterfacePattern>,
    pub understood: bool,
}

impl Facts {
    pub fn new(family: Option<Family>) -> Self {
        Facts {
            family,
            protocol: None,
            source: None,
            destination: None,
            source_ports: None,
            destination_ports: None,
            incoming: None,
            outgoing: None,
            understood: true,
        }
    }

    /// The field has one of these values. Addresses are of the known family.
    pub fn narrow(&mut self, field: Field, values: &Values) {
        let slot = match field {
            Field::Protocol => &mut self.protocol,
            Field::Source => &mut self.source,
            Field::Destination => &mut self.destination,
            Field::SourcePort => &mut self.source_ports,
            Field::DestinationPort => &mut self.destination_ports,
        };
        *slot = Some(slot.as_ref().map_or_else(|| values.clone(), |known| known.intersection(values)));
    }

    /// Where `value` and the field agree in the bits of `mask`; `width` is the field's in bits. A mask that is not a
    /// prefix's is taken for the prefix that it starts with.
    pub fn narrow_bits(&mut self, field: Field, width: u32, value: u128, mask: u128, inverted: bool) {
        let all = if width >= 128 { u128::MAX } else { (1 << width) - 1 };
        let ones = (mask << (128 - width.clamp(1, 128))).leading_ones().min(width);
        let host = all.checked_shr(ones).unwrap_or(0);
        let whole = mask & all == all & !host;
        self.understood &= whole;
        let first = value & all & !host;
        let values = Values::range(first, first | host);
        match (inverted, whole) {
            (false, _) => self.narrow(field, &values),
            (true, true) => self.narrow(field, &values.complement().intersection(&Values::range(0, all))),
            (true, false) => {}
        }
    }

    pub fn finish(self) -> NatMatch {
        let family = self.family;
        let addresses = |values: Option<Values>| -> Option<AddressSet> {
            let (family, values) = (family?, values?);
            let range = |&(start, end): &(u128, u128)| match family {
                Family::V4 => AddrRange::V4(clip(start), clip(end)),
                Family::V6 => AddrRange::V6(start, end),
            };
            Some(values.ranges().iter().map(range).collect())
        };
        NatMatch {
            family,
            protocol: self
                .protocol
                .map(|values| RangeSet::from_ranges(values.ranges().iter().map(|r| (clip(r.0), clip(r.1))))),
            source: addresses(self.source),
            destination: addresses(self.destination),
            source_ports: self.source_ports.map(|values| ports(&values)),
            destination_ports: self.destination_ports.map(|values| ports(&values)),
            incoming: self.incoming,
            outgoing: self.outgoing,
            understood: self.understood,
        }
    }
}

fn ports(values: &Values) -> RangeSet<u16> {
    RangeSet::from_ranges(values.ranges().iter().map(|range| (clip(range.0), clip(range.1))))
}

/// The number in a narrower type, whose largest value stands for all that do not fit.
fn clip<T: TryFrom<u128> + crate::net::Scalar>(value: u128) -> T {
    T::try_from(value).unwrap_or(T::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(width: u32, value: u128, mask: u128, inverted: bool) -> (Option<Values>, bool) {
        let mut facts = Facts::new(Some(Family::V4));
        facts.narrow_bits(Field::Destination, width, value, mask, inverted);
        (facts.destination, facts.understood)
    }

    #[test]
    fn masks_become_ranges() {
        let some = |range: (u128, u128)| Some(Values::range(range.0, range.1));
        assert_eq!(destination(32, 0x0a00_0001, 0xff00_0000, false), (some((0x0a00_0000, 0x0aff_ffff)), true));
        assert_eq!(destination(32, 0x0a00_0001, 0xffff_ffff, false), (some((0x0a00_0001, 0x0a00_0001)), true));
        assert_eq!(destination(32, 0, 0, false), (some((0, 0xffff_ffff)), true));
        assert_eq!(destination(32, 0x0a00_0001, 0xff00_0001, false), (some((0x0a00_0000, 0x0aff_ffff)), false));
        assert_eq!(destination(32, 0x0a00_0001, 0xff00_0001, true), (None, false));
        assert_eq!(destination(32, 0, 0x8000_0000, true), (some((0x8000_0000, 0xffff_ffff)), true));
        assert_eq!(destination(128, 7, u128::MAX, false), (some((7, 7)), true));
    }
}
