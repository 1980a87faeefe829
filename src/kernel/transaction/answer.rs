//! What the kernel answers to a batch.

use nix::errno::Errno;
use nix::libc;

use super::batch::ordinal;
use super::{ASKED, Rejection, Transaction, TransactionError};
use crate::kernel::element::guilty_element;
use crate::kernel::socket::Socket;
use crate::kernel::wire::{self, Attribute, HEADER, Message};

/// `NLM_F_CAPPED`: an error comes without a copy of the request.
const CAPPED: u16 = 0x100;
/// `NLM_F_ACK_TLVS`: attributes follow an error.
const ACK_ATTRIBUTES: u16 = 0x200;
const ERROR: u16 = libc::NLMSG_ERROR as u16;
/// `NLMSGERR_ATTR_MSG`: the kernel's words.
const ERROR_WORDS: u16 = 1;
/// `NLMSGERR_ATTR_OFFS`: where in the request the mistake is, in bytes from the message's header.
const ERROR_OFFSET: u16 = 2;

impl Transaction<'_> {
    /// Reads what the kernel said: whether it acknowledged the end, and its complaints in the order of the messages.
    pub(super) fn answers(&self, socket: &mut Socket) -> Result<(bool, Vec<Rejection>), TransactionError> {
        let (before, last) = (ordinal(self.range.start) - 1, ordinal(self.range.end));
        let mut acknowledged = false;
        let mut rejections = Vec::new();
        socket.drain(ASKED, |answer| {
            let status = answer.status().filter(|_| answer.kind == ERROR && (before..=last).contains(&answer.sequence));
            match status {
                Some(0) => acknowledged |= answer.sequence == last,
                Some(status) => {
                    let errno = Errno::from_raw(status.saturating_neg());
                    rejections.push(self.rejection(answer, errno));
                }
                None => {}
            }
            Ok(false)
        })?;
        rejections.sort_by_key(|rejection: &Rejection| rejection.part);
        Ok((acknowledged, rejections))
    }

    /// What an error means.
    fn rejection(&self, answer: &Message<'_>, errno: Errno) -> Rejection {
        let part = (answer.sequence as usize).checked_sub(1).filter(|at| self.range.contains(at));
        let extended = extended_answer(answer);
        let message = part
            .and_then(|part| self.messages.index.get(part))
            .and_then(|part| wire::messages(self.messages.bytes.get(part.offset..)?).next()?.ok());
        Rejection {
            errno,
            part,
            subject: part.and_then(|part| self.messages.index.get(part)).map(|part| part.subject.clone()),
            element: message.zip(extended.offset).and_then(|(message, offset)| guilty_element(&message, offset)),
            words: extended.words,
        }
    }
}

/// What the kernel's complaints mean for the transaction; none where it has none.
pub(super) fn failure(rejections: Vec<Rejection>) -> Option<TransactionError> {
    let whole = rejections.iter().find(|rejection| rejection.part.is_none()).map(|rejection| rejection.errno);
    match whole {
        _ if rejections.is_empty() => None,
        Some(Errno::ERESTART) => Some(TransactionError::Superseded),
        Some(Errno::EPERM) => Some(TransactionError::NotPermitted),
        _ => Some(TransactionError::Rejected(rejections)),
    }
}

/// What an error says beyond its number.
#[derive(Default)]
struct Extended {
    words: Option<String>,
    /// Bytes from the start of the message's header.
    offset: Option<usize>,
}

fn extended_answer(answer: &Message<'_>) -> Extended {
    let mut extended = Extended::default();
    if answer.flags & ACK_ATTRIBUTES == 0 {
        return extended;
    }
    // After the error number comes the header of the request, and all of the request unless it is capped.
    let request = answer.payload.get(4..).unwrap_or(&[]);
    let length = request.first_chunk().map_or(HEADER, |bytes| u32::from_ne_bytes(*bytes) as usize);
    let skipped = if answer.flags & CAPPED == 0 { length.max(HEADER).next_multiple_of(4) } else { HEADER };
    for Attribute { kind, value } in wire::attributes(request.get(skipped..).unwrap_or(&[])).flatten() {
        match kind {
            ERROR_WORDS => extended.words = Some(wire::text(value)),
            ERROR_OFFSET => extended.offset = value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes) as usize),
            _ => {}
        }
    }
    extended
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Linux 6.18 answered to a rule whose lookup names no set: errno, the request's header, the offset.
    #[test]
    fn extended_answers_are_read_capped_or_not() {
        let mut payload = (-libc::ENOENT).to_ne_bytes().to_vec();
        payload.extend([72u8, 0, 0, 0, 6, 10, 1, 12, 5, 0, 0, 0, 0, 0, 0, 0]);
        let mut whole = payload.clone();
        whole.resize(4 + 72, 0xee);
        let attributes = [8u8, 0, 2, 0, 44, 0, 0, 0, 7, 0, 1, 0, b'n', b'o', 0, 0];
        payload.extend(attributes);
        whole.extend(attributes);
        let answer = |flags, payload| Message { kind: ERROR, flags, sequence: 5, payload };
        for (flags, payload) in [(CAPPED | ACK_ATTRIBUTES, &payload), (ACK_ATTRIBUTES, &whole)] {
            let extended = extended_answer(&answer(flags, payload));
            assert_eq!((extended.offset, extended.words.as_deref()), (Some(44), Some("no")));
        }
        assert!(extended_answer(&answer(CAPPED, &payload)).offset.is_none());
    }
}
