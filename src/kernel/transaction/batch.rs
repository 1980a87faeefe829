//! The bytes of a batch: its begin, the messages with their numbers, its end.

use std::borrow::Cow;

use nix::libc;

use super::{Transaction, TransactionError};
use crate::kernel::nf_tables::{batch, message};
use crate::kernel::socket::Generation;
use crate::kernel::wire::{self, HEADER, Malformed, Request};

const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const ACK: u16 = libc::NLM_F_ACK as u16;
/// What a batch's begin and end say: the subsystem that it is for (`nfgen_family`, version, resource id in network order).
const NF_TABLES: [u8; 4] = [0, 0, 0, 10];
/// Bytes that the begin or the end of a batch takes, at most.
pub(super) const ENVELOPE: usize = 32;

impl<'a> Transaction<'a> {
    /// The bytes of the parts in range.
    fn slice(&self) -> &'a [u8] {
        let at = |part: usize| self.messages.index.get(part).map_or(self.messages.bytes.len(), |part| part.offset);
        self.messages.bytes.get(at(self.range.start)..at(self.range.end)).unwrap_or(&[])
    }

    /// The begin of the batch: it has the number before that of the first part.
    pub(super) fn begin(&self) -> Vec<u8> {
        let begin = Request::with_header(message::BATCH_BEGIN, REQUEST, &NF_TABLES);
        let begin = match self.decided_at {
            Some(Generation(id)) => begin.with_be32(batch::GENERATION, id),
            None => begin,
        };
        begin.finish(ordinal(self.range.start) - 1)
    }

    /// The end of the batch: it has the number after that of the last part.
    pub(super) fn end(&self) -> Vec<u8> {
        Request::with_header(message::BATCH_END, REQUEST | ACK, &NF_TABLES).finish(ordinal(self.range.end))
    }

    /// The messages, each with its [`ordinal`] as its sequence number. A large table's have theirs already, and need not be copied.
    pub(super) fn numbered(&self) -> Result<Cow<'a, [u8]>, TransactionError> {
        let parts = self.slice();
        let mut bytes = Cow::Borrowed(parts);
        let (mut place, mut at) = (self.range.start, 0);
        for found in wire::messages(parts) {
            let found = found.map_err(TransactionError::Encoding)?;
            if found.sequence != ordinal(place) {
                wire::patch(bytes.to_mut(), at + 8, &ordinal(place).to_ne_bytes());
            }
            place += 1;
            at += (HEADER + found.payload.len()).next_multiple_of(4);
        }
        if place == self.range.end && at == bytes.len() {
            Ok(bytes)
        } else {
            Err(TransactionError::Encoding(Malformed::Message))
        }
    }
}

/// The sequence number of a part in its batch, from 1 on.
pub(super) fn ordinal(part: usize) -> u32 {
    u32::try_from(part).unwrap_or(u32::MAX - 1).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::messages::{Messages, Part, Subject};

    #[test]
    fn messages_that_are_not_what_the_index_says_are_not_sent() {
        let part = |offset| Part { offset, subject: Subject { what: String::new(), place: None } };
        let bytes = Request::netfilter(message::NEW_TABLE, REQUEST, 1).finish(0);
        let mut messages = Messages { index: vec![part(0), part(bytes.len())], bytes: bytes.repeat(2) };
        assert!(Transaction::new(&messages).numbered().is_ok());
        messages.index.pop();
        let numbered = Transaction::new(&messages).numbered();
        assert!(matches!(numbered, Err(TransactionError::Encoding(_))), "{numbered:?}");
    }

    #[test]
    fn messages_are_copied_only_where_their_numbers_are_others() {
        let part = |offset| Part { offset, subject: Subject { what: String::new(), place: None } };
        let message = |number| Request::netfilter(message::NEW_TABLE, REQUEST, 1).finish(number);
        let mut messages =
            Messages { index: vec![part(0), part(message(1).len())], bytes: [message(1), message(2)].concat() };
        let second = Transaction::of_range(&messages, 1..2).numbered().unwrap();
        assert_eq!(second, message(2));
        assert!(matches!(Transaction::new(&messages).numbered(), Ok(Cow::Borrowed(_))));
        messages.bytes = message(7).repeat(2);
        let numbered = Transaction::new(&messages).numbered().unwrap();
        assert_eq!(numbered, [message(1), message(2)].concat());
    }
}
