//! Messages one after another: `struct nlmsghdr` and what follows it.

use super::{HEADER, Malformed, NFGENMSG, after, u16_at, u32_at};

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
