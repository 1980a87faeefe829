//! What the addresses of both families have in common. All that makes rules is compiled once for each family, so that IPv4 makes do with numbers
//! of 32 bits.

use std::io::Write;
use std::net::Ipv6Addr;

use super::digits::dotted;
use crate::net::{AddrRange, AddressSet, Family, RangeSet, Scalar};

/// Both ends included.
pub(super) type Span<A> = (A, A);

/// An address as a number; also a port, where lines are told apart.
pub(super) trait Address: Scalar + From<u16> + 'static {
    const FAMILY: Family;
    const BITS: u32;

    /// The ends of a range of this family.
    fn ends(range: &AddrRange) -> Option<Span<Self>>;

    /// The addresses of this family.
    fn of(set: &AddressSet) -> &RangeSet<Self>;

    /// Bits of the smallest prefix that holds a span, and that prefix.
    fn prefix(span: Span<Self>) -> (u32, Span<Self>);

    /// `MAX - self`: so that the greatest comes first.
    fn reversed(self) -> Self;

    /// A number that is a port.
    fn port(self) -> u16;

    fn write(self, text: &mut Vec<u8>);
}

/// The length of the prefix that a span is, if it is one.
pub(super) fn as_prefix<A: Address>(span: Span<A>) -> Option<u32> {
    let (length, prefix) = A::prefix(span);
    (prefix == span).then_some(length)
}

macro_rules! numbers {
    ($number:ty, $family:ident, $set:ident) => {
        const FAMILY: Family = Family::$family;
        const BITS: u32 = <$number>::BITS;

        fn ends(range: &AddrRange) -> Option<Span<Self>> {
            match *range {
                AddrRange::$family(first, last) => Some((first, last)),
                _ => None,
            }
        }

        fn of(set: &AddressSet) -> &RangeSet<Self> {
            &set.$set
        }

        fn prefix((first, last): Span<Self>) -> (u32, Span<Self>) {
            let length = (first ^ last).leading_zeros();
            let free = <$number>::MAX.checked_shr(length).unwrap_or(0);
            (length, (first & !free, last | free))
        }

        fn reversed(self) -> Self {
            <$number>::MAX - self
        }

        fn port(self) -> u16 {
            self as u16
        }
    };
}

impl Address for u32 {
    numbers!(u32, V4, v4);

    fn write(self, text: &mut Vec<u8>) {
        dotted(text, self.to_be_bytes());
    }
}

impl Address for u128 {
    numbers!(u128, V6, v6);

    fn write(self, text: &mut Vec<u8>) {
        // Writing to memory cannot fail.
        let _ = write!(text, "{}", Ipv6Addr::from_bits(self));
    }
}
