//! Netlink messages and attributes as bytes (RFC 3549, `linux/netlink.h`): reading without trust, and writing requests.

use std::fmt;

/// Bytes of `struct nlmsghdr`.
pub const HEADER: usize = 16;
/// Bytes of `struct nfgenmsg`.
pub const NFGENMSG: usize = 4;
/// Bytes of `struct nlattr`.
const ATTRIBUTE_HEADER: usize = 4;
/// Bytes that most messages fit into.
const ROOM: usize = 128;
/// Clears `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const ATTRIBUTE_KIND: u16 = 0x3fff;
/// `NLA_F_NESTED`.
pub(super) const NESTED: u16 = 0x8000;

/// Bytes that are not what they claim to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// A message's length does not fit what is there.
    Message,
    /// An attribute's length does not fit what is there.
    Attribute,
    /// An attribute that must be there is missing or too short: its number.
    Missing(u16),
    /// An attribute that fwc does not know: the object and the number.
    Unknown(&'static str, u16),
    /// An expression that fwc does not know.
    Expression(String),
    /// Something belongs to an object that was not there before it.
    Orphan(String),
    /// A message type that does not belong here.
    Kind(u16),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Message => f.write_str("a message's length is wrong"),
            Malformed::Attribute => f.write_str("an attribute's length is wrong"),
            Malformed::Missing(kind) => write!(f, "attribute {kind} is missing or too short"),
            Malformed::Unknown(object, kind) => write!(f, "attribute {kind} of a {object} is not known"),
            Malformed::Expression(name) => write!(f, "the expression `{name}` is not known"),
            Malformed::Orphan(what) => write!(f, "{what} was not announced"),
            Malformed::Kind(kind) => write!(f, "message type {kind:#x} does not belong here"),
        }
    }
}

impl std::error::Error for Malformed {}

/// One netlink message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`: subsystem in the high byte, message in the low one.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// `nfgen_family` of a netfilter message.
    #[must_use]
    pub fn family(&self) -> u8 {
        self.payload.first().copied().unwrap_or(0)
    }

    /// The attributes of a netfilter message.
    #[must_use]
    pub fn attributes(&self) -> &'a [u8] {
        self.payload.get(NFGENMSG..).unwrap_or(&[])
    }

    /// The number at the start of the payload: the result of `NLMSG_ERROR` and `NLMSG_DONE`, a negative errno or 0.
    #[must_use]
    pub fn status(&self) -> Option<i32> {
        self.payload.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))
    }
}

/// Splits bytes into messages. Ends after the first that is malformed.
#[must_use]
pub fn messages(bytes: &[u8]) -> MessageIter<'_> {
    MessageIter { rest: bytes }
}

/// See [`messages`].
#[derive(Debug, Clone)]
pub struct MessageIter<'a> {
    rest: &'a [u8],
}

/// A number in host order at an offset.
#[must_use]
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

/// A number in host order at an offset.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// What is left after `length` bytes and the padding to a multiple of 4. The last one may come without its padding.
fn after(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(length.next_multiple_of(4)..).unwrap_or(&[])
}

impl<'a> Iterator for MessageIter<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.rest;
        if bytes.is_empty() {
            return None;
        }
        let message = (|| {
            let length = u32_at(bytes, 0)? as usize;
            let payload = bytes.get(HEADER..length)?;
            self.rest = after(bytes, length);
            Some(Message { kind: u16_at(bytes, 4)?, flags: u16_at(bytes, 6)?, sequence: u32_at(bytes, 8)?, payload })
        })();
        if message.is_none() {
            self.rest = &[];
        }
        Some(message.ok_or(Malformed::Message))
    }
}

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its number, without flags.
    pub kind: u16,
    /// Its value.
    pub value: &'a [u8],
}

/// Splits bytes into attributes. Ends after the first that is malformed.
#[must_use]
pub fn attributes(bytes: &[u8]) -> AttributeIter<'_> {
    AttributeIter { rest: bytes }
}

/// See [`attributes`].
#[derive(Debug, Clone)]
pub struct AttributeIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for AttributeIter<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.rest;
        if bytes.is_empty() {
            return None;
        }
        let attribute = (|| {
            let length = usize::from(u16_at(bytes, 0)?);
            let value = bytes.get(ATTRIBUTE_HEADER..length)?;
            self.rest = after(bytes, length);
            Some(Attribute { kind: u16_at(bytes, 2)? & ATTRIBUTE_KIND, value })
        })();
        if attribute.is_none() {
            self.rest = &[];
        }
        Some(attribute.ok_or(Malformed::Attribute))
    }
}

/// The attributes of one object by their number, the last of equal ones, up to number 31; nf_tables has none above.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>([Option<&'a [u8]>; 32]);

impl<'a> Fields<'a> {
    /// Sorts attributes by number.
    ///
    /// # Errors
    /// Malformed attributes.
    pub fn of(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = [None; 32];
        for attribute in attributes(bytes) {
            let attribute = attribute?;
            if let Some(slot) = fields.get_mut(usize::from(attribute.kind)) {
                *slot = Some(attribute.value);
            }
        }
        Ok(Fields(fields))
    }

    /// An attribute's value.
    #[must_use]
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.get(usize::from(kind)).copied().flatten()
    }

    /// An attribute's value as text.
    ///
    /// # Errors
    /// It is missing.
    pub fn text(&self, kind: u16) -> Result<String, Malformed> {
        self.get(kind).map(text).ok_or(Malformed::Missing(kind))
    }

    /// A number in network order of up to 8 bytes.
    #[must_use]
    pub fn number(&self, kind: u16) -> Option<u64> {
        self.get(kind).and_then(number)
    }
}

/// A string attribute, which may end in NUL.
#[must_use]
pub fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or(value)).into_owned()
}

/// A number in network order of 1 to 8 bytes.
#[must_use]
pub fn number(value: &[u8]) -> Option<u64> {
    (1..=8).contains(&value.len()).then(|| value.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

/// A number in network order of up to 16 bytes.
#[must_use]
pub fn big_endian(value: &[u8]) -> Option<u128> {
    (value.len() <= 16).then(|| value.iter().fold(0, |sum, &byte| sum << 8 | u128::from(byte)))
}

/// The value of one attribute in user data, which is a list of type (1 byte), length (1 byte), value: the way in which
/// nft keeps comments.
#[must_use]
pub fn user_data(mut bytes: &[u8], kind: u8) -> Option<&[u8]> {
    while let [found, length, rest @ ..] = bytes {
        let value = rest.get(..usize::from(*length))?;
        if *found == kind {
            return Some(value);
        }
        bytes = rest.get(usize::from(*length)..)?;
    }
    None
}

/// A message under construction. Attributes over 64 KiB cannot be written; what is too long is cut off, and the kernel
/// then refuses it.
#[derive(Debug, Clone)]
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// Starts a netfilter message of one family. `kind` has the subsystem in the high byte.
    #[must_use]
    pub fn netfilter(kind: u16, flags: u16, family: u8) -> Self {
        Self::with_header(kind, flags, &[family, 0, 0, 0])
    }

    /// Starts a message with any fixed header.
    #[must_use]
    pub fn with_header(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(ROOM);
        bytes.resize(HEADER, 0);
        patch(&mut bytes, 4, &kind.to_ne_bytes());
        patch(&mut bytes, 6, &flags.to_ne_bytes());
        bytes.extend_from_slice(header);
        Request { bytes }
    }

    /// Attributes alone, without a message around them.
    #[must_use]
    pub fn attributes() -> Self {
        Request { bytes: Vec::new() }
    }

    /// What has been written so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Sets more flags.
    #[must_use]
    pub fn flagged(mut self, flags: u16) -> Self {
        let all = u16_at(&self.bytes, 6).unwrap_or(0) | flags;
        patch(&mut self.bytes, 6, &all.to_ne_bytes());
        self
    }

    /// Appends an attribute.
    #[must_use]
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + ATTRIBUTE_HEADER).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend(value.iter().take(usize::from(length).saturating_sub(ATTRIBUTE_HEADER)));
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Appends attributes that are written already.
    #[must_use]
    pub fn with_raw(mut self, attributes: &[u8]) -> Self {
        self.bytes.extend_from_slice(attributes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Appends a string, with the NUL that the kernel wants.
    #[must_use]
    pub fn with_text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.with(kind, &bytes)
    }

    /// Appends a number in network order.
    #[must_use]
    pub fn with_be32(self, kind: u16, value: u32) -> Self {
        self.with(kind, &value.to_be_bytes())
    }

    /// Appends a nested attribute whose content `fill` writes.
    #[must_use]
    pub fn with_nested(self, kind: u16, fill: impl FnOnce(Request) -> Request) -> Self {
        let inner = fill(Request::attributes());
        self.with(kind | NESTED, &inner.bytes)
    }

    /// The bytes, with length and sequence number set.
    #[must_use]
    pub fn finish(&self, sequence: u32) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        patch(&mut bytes, 0, &length.to_ne_bytes());
        patch(&mut bytes, 8, &sequence.to_ne_bytes());
        bytes
    }
}

/// Overwrites bytes at a place that is known to be there; out of range it does nothing.
pub(super) fn patch(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(slot) = bytes.get_mut(at..at + value.len()) {
        slot.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_can_be_read() {
        let bytes = Request::netfilter(0x0a03, 0x301, 1)
            .with_text(1, "fwc")
            .with_nested(4, |hook| hook.with_be32(1, 3).with_be32(2, 7))
            .finish(9);
        let all: Vec<_> = messages(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!((all.len(), all[0].kind, all[0].flags, all[0].sequence, all[0].family()), (1, 0x0a03, 0x301, 9, 1));
        let fields = Fields::of(all[0].attributes()).unwrap();
        assert_eq!(fields.text(1).unwrap(), "fwc");
        let hook = Fields::of(fields.get(4).unwrap()).unwrap();
        assert_eq!((hook.number(1), hook.number(2), hook.number(3)), (Some(3), Some(7), None));
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        for bytes in [&[0u8; 16][..], &[15, 0, 0, 0], &[17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[1]] {
            assert_eq!(messages(bytes).collect::<Vec<_>>(), [Err(Malformed::Message)], "{bytes:?}");
        }
        for bytes in [&[0u8; 4][..], &[3, 0, 1, 0], &[5, 0, 1, 0], &[4, 0, 1]] {
            assert_eq!(attributes(bytes).collect::<Vec<_>>(), [Err(Malformed::Attribute)], "{bytes:?}");
        }
    }

    #[test]
    fn user_data_finds_its_type() {
        let data = [2, 1, 9, 0, 3, b'w', b'e', b'b'];
        assert_eq!(user_data(&data, 0), Some(&b"web"[..]));
        assert_eq!(user_data(&data, 1), None);
        assert_eq!(user_data(&data[..6], 0), None);
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_it_panic_or_run_on(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(messages(&bytes).count() <= bytes.len() / HEADER + 1);
            prop_assert!(attributes(&bytes).count() <= bytes.len() / ATTRIBUTE_HEADER + 1);
            let _ = (user_data(&bytes, 0), Fields::of(&bytes), text(&bytes), number(&bytes));
        }

        #[test]
        fn attributes_survive_the_way(values in proptest::collection::vec((0u16..30, proptest::collection::vec(any::<u8>(), 0..40)), 0..9)) {
            let request = values.iter().fold(Request::netfilter(0, 0, 0), |r, (kind, value)| r.with(*kind, value));
            let bytes = request.finish(0);
            let read: Vec<_> = messages(&bytes).next().map(|m| attributes(m.unwrap().attributes()).map(|a| a.map(|a| (a.kind, a.value.to_vec()))).collect::<Result<_, _>>().unwrap()).unwrap();
            prop_assert_eq!(read, values);
        }
    }
}
