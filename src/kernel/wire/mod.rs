//! Netlink messages and attributes as bytes (RFC 3549, `linux/netlink.h`): reading without trust, and writing requests.

mod attribute;
mod malformed;
mod message;
mod request;
mod value;

pub use attribute::{Attribute, AttributeIter, Fields, attributes};
pub use malformed::Malformed;
pub use message::{Message, MessageIter, messages};
pub use request::Request;
pub(super) use request::patch;
pub(crate) use value::u32_at;
pub use value::{big_endian, number, text, u16_at, user_data};

/// Bytes of `struct nlmsghdr`.
pub const HEADER: usize = 16;
/// Bytes of `struct nfgenmsg`.
pub const NFGENMSG: usize = 4;
/// Bytes of `struct nlattr`.
const ATTRIBUTE_HEADER: usize = 4;
/// `NLA_F_NESTED`.
pub(super) const NESTED: u16 = 0x8000;

/// What is left after `length` bytes and the padding to a multiple of 4. The last one may come without its padding.
fn after(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(length.next_multiple_of(4)..).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_that_lie_end_the_reading() {
        for bytes in [&[0u8; 16][..], &[15, 0, 0, 0], &[17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[1]] {
            assert_eq!(messages(bytes).collect::<Vec<_>>(), [Err(Malformed::Message)], "{bytes:?}");
        }
        for bytes in [&[0u8; 4][..], &[3, 0, 1, 0], &[5, 0, 1, 0], &[4, 0, 1]] {
            assert_eq!(attributes(bytes).collect::<Vec<_>>(), [Err(Malformed::Attribute)], "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_it_panic_or_run_on(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(messages(&bytes).count() <= bytes.len() / HEADER + 1);
            prop_assert!(attributes(&bytes).count() <= bytes.len() / ATTRIBUTE_HEADER + 1);
            let _ = (user_data(&bytes, 0), Fields::of(&bytes), text(&bytes), number(&bytes));
        }
    }
}
