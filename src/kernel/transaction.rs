//! One nf_tables transaction: begin, messages, end, sent as one datagram.
//!
//! A first datagram without the batch's end would be thrown away by the kernel without an error, so a batch that does not fit is never
//! sent. The kernel answers while it is being sent to: when [`Transaction::commit`] has read its socket dry, everything has been said.
//! An acknowledgement of the end is the proof of a commit. Kernels before 6.10 never give one, and it is lost when the receive buffer is full; then
//! the generation says whether anything was committed, and reading back (see [`super::table`]) says what.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;

use super::KernelError;
use super::element::guilty_element;
use super::messages::{ANEW, Messages, Subject};
use super::nf_tables::{batch, message};
use super::socket::{Generation, Socket};
use super::wire::{self, Attribute, HEADER, Malformed, Message, Request};

const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const ACK: u16 = libc::NLM_F_ACK as u16;
/// What a batch's begin and end say: the subsystem that it is for (`nfgen_family`, version, resource id in network order).
const NF_TABLES: [u8; 4] = [0, 0, 0, 10];
const ASKED: &str = "load the transaction";
/// `NLM_F_CAPPED`: an error comes without a copy of the request.
const CAPPED: u16 = 0x100;
/// `NLM_F_ACK_TLVS`: attributes follow an error.
const ACK_ATTRIBUTES: u16 = 0x200;
const ERROR: u16 = libc::NLMSG_ERROR as u16;
/// `NLMSGERR_ATTR_MSG`: the kernel's words.
const ERROR_WORDS: u16 = 1;
/// `NLMSGERR_ATTR_OFFS`: where in the request the mistake is, in bytes from the message's header.
const ERROR_OFFSET: u16 = 2;

/// A transaction that has not been sent.
///
/// It turns into a [`Committed`] or an error, so that nothing unsent can be taken for something loaded.
#[derive(Debug, Clone)]
#[must_use = "a transaction does nothing until it is committed"]
pub struct Transaction<'a> {
    messages: &'a Messages,
    /// Which parts of the index; all of them but for [`super::parts`].
    range: Range<usize>,
    decided_at: Option<Generation>,
}

/// How a batch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// With its end: it is carried out.
    Commit,
    /// Without: it is only looked at.
    Abort,
}

/// The kernel took a transaction. What it holds now is for reading back to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The ruleset's generation afterwards.
    pub generation: Generation,
    /// Whether the kernel acknowledged the batch. If not, the raised generation is the only sign, and somebody else may have raised it.
    pub acknowledged: bool,
    /// Whether the generation is the one that this transaction made, so that nobody has changed the ruleset since.
    pub is_last: bool,
    /// Bytes of the datagram.
    pub bytes: usize,
    /// How long the one send took: the kernel carries the transaction out while it is being sent to.
    pub took: Duration,
}

/// A datagram that the kernel did not complain about.
struct Sent {
    acknowledged: bool,
    bytes: usize,
    took: Duration,
}

/// Bytes that the begin or the end of a batch takes, at most.
const ENVELOPE: usize = 32;

/// Why a transaction changed nothing.
#[derive(Debug, Clone)]
pub enum TransactionError {
    /// The kernel found mistakes. The first one is the cause, others may follow from it.
    Rejected(Vec<Rejection>),
    /// The process lacks `CAP_NET_ADMIN` in the user namespace of the network namespace.
    NotPermitted,
    /// The ruleset is not the one that was decided about: look again, decide again, try again.
    Superseded,
    /// The batch does not fit into one datagram.
    TooLarge {
        /// Bytes of the batch.
        needed: usize,
        /// Bytes that the socket takes. As root of the host there is no limit below 1 GiB; otherwise it is twice net.core.wmem_max.
        limit: usize,
    },
    /// The kernel said nothing and the ruleset's generation is the one before.
    Unconfirmed,
    /// The messages are not what their index says: a mistake in fwc.
    Encoding(Malformed),
    /// The conversation with the kernel failed.
    Kernel(KernelError),
}

/// One mistake that the kernel found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The kernel's reason.
    pub errno: Errno,
    /// Which message, as an index into [`Messages::index`]; none when the batch as a whole is refused.
    pub part: Option<usize>,
    /// What that message is about.
    pub subject: Option<Subject>,
    /// The key of the set element that is wrong, in hexadecimal, where the kernel points at one.
    pub element: Option<String>,
    /// The kernel's own words, where it has any.
    pub words: Option<String>,
}

impl From<KernelError> for TransactionError {
    fn from(error: KernelError) -> Self {
        TransactionError::Kernel(error)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Some(subject) => write!(f, "{}", subject.what)?,
            None => f.write_str("the transaction")?,
        }
        if let Some(element) = &self.element {
            write!(f, ", element {element}")?;
        }
        write!(f, ": {}", self.errno.desc())?;
        match &self.words {
            Some(words) => write!(f, " ({words})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransactionError::Rejected(rejections) => {
                f.write_str("the kernel refused the transaction")?;
                rejections.first().map_or(Ok(()), |first| write!(f, ": {first}"))
            }
            TransactionError::NotPermitted => f.write_str("loading rules needs the capability CAP_NET_ADMIN"),
            TransactionError::Superseded => f.write_str("the ruleset changed between the decision and the load"),
            TransactionError::TooLarge { needed, limit } => {
                write!(f, "the transaction of {needed} bytes does not fit into a datagram of {limit} bytes")
            }
            TransactionError::Unconfirmed => f.write_str("the kernel neither took nor refused the transaction"),
            TransactionError::Encoding(why) => write!(f, "the transaction is not well-formed: {why}"),
            TransactionError::Kernel(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TransactionError {}

impl<'a> Transaction<'a> {
    /// A transaction of all messages.
    pub fn new(messages: &'a Messages) -> Self {
        Transaction { messages, range: 0..messages.index.len(), decided_at: None }
    }

    /// A transaction for a ruleset that has no table: nothing is deleted. The kernel gives what was deleted free only when all readers of rules are
    /// done, and whoever closes the socket waits for that (`nft_rcv_nl_event`), mostly 10 ms and more.
    pub fn onto_nothing(messages: &'a Messages) -> Self {
        Self::of_range(messages, ANEW..messages.index.len())
    }

    /// A transaction of some of the messages.
    pub(super) fn of_range(messages: &'a Messages, range: Range<usize>) -> Self {
        Transaction { messages, range, decided_at: None }
    }

    /// Commits only if the ruleset is still the one of this generation.
    pub fn decided_at(mut self, generation: Generation) -> Self {
        self.decided_at = Some(generation);
        self
    }

    /// Sends the transaction and finds out what became of it.
    ///
    /// # Errors
    /// Nothing was changed, and why.
    pub fn commit(self, socket: &mut Socket) -> Result<Committed, TransactionError> {
        let before = socket.generation()?;
        if self.decided_at.is_some_and(|decided_at| decided_at != before) {
            return Err(TransactionError::Superseded);
        }
        let Sent { acknowledged, bytes, took } = self.send(socket, Ending::Commit)?;
        let generation = socket.generation()?;
        if acknowledged || generation != before {
            let is_last = acknowledged && generation == before.next();
            Ok(Committed { generation, acknowledged, is_last, bytes, took })
        } else {
            Err(TransactionError::Unconfirmed)
        }
    }

    /// Has the kernel look at the transaction without carrying it out: a batch without its end is checked and thrown away.
    ///
    /// # Errors
    /// What the kernel would refuse.
    pub fn validate(self, socket: &mut Socket) -> Result<(), TransactionError> {
        self.send(socket, Ending::Abort).map(|_| ())
    }

    /// Whether the socket takes it: what is loaded by what differs must be possible to load as a whole too, at the next boot or by a rollback.
    ///
    /// # Errors
    /// [`TransactionError::TooLarge`], or the socket cannot be asked.
    pub fn fits(&self, socket: &mut Socket) -> Result<(), TransactionError> {
        let needed = self.messages.bytes.len() + 2 * ENVELOPE;
        let limit = socket.make_room(needed)?;
        if needed > limit { Err(TransactionError::TooLarge { needed, limit }) } else { Ok(()) }
    }

    /// Sends the batch as one datagram.
    fn send(&self, socket: &mut Socket, ending: Ending) -> Result<Sent, TransactionError> {
        let messages = self.numbered()?;
        let begin = self.begin();
        let end = if ending == Ending::Commit { self.end() } else { Vec::new() };
        let needed = begin.len() + messages.len() + end.len();
        let limit = socket.make_room(needed)?;
        let too_large = TransactionError::TooLarge { needed, limit };
        if needed > limit {
            return Err(too_large);
        }
        // Nothing that was said before may be taken for an answer.
        socket.drain(ASKED, |_| Ok(false))?;
        let start = Instant::now();
        socket.send(&[&begin, &messages, &end]).map_err(|errno| match errno {
            Errno::EMSGSIZE => too_large,
            errno => KernelError::Call { doing: "send the transaction", errno }.into(),
        })?;
        let took = start.elapsed();
        let (acknowledged, rejections) = self.answers(socket)?;
        Self::failure(rejections).map_or(Ok(Sent { acknowledged, bytes: needed, took }), Err)
    }

    fn failure(rejections: Vec<Rejection>) -> Option<TransactionError> {
        let whole = rejections.iter().find(|rejection| rejection.part.is_none()).map(|rejection| rejection.errno);
        match whole {
            _ if rejections.is_empty() => None,
            Some(Errno::ERESTART) => Some(TransactionError::Superseded),
            Some(Errno::EPERM) => Some(TransactionError::NotPermitted),
            _ => Some(TransactionError::Rejected(rejections)),
        }
    }

    /// The bytes of the parts in range.
    fn slice(&self) -> &'a [u8] {
        let at = |part: usize| self.messages.index.get(part).map_or(self.messages.bytes.len(), |part| part.offset);
        self.messages.bytes.get(at(self.range.start)..at(self.range.end)).unwrap_or(&[])
    }

    /// The begin of the batch: it has the number before that of the first part.
    fn begin(&self) -> Vec<u8> {
        let begin = Request::with_header(message::BATCH_BEGIN, REQUEST, &NF_TABLES);
        let begin = match self.decided_at {
            Some(Generation(id)) => begin.with_be32(batch::GENERATION, id),
            None => begin,
        };
        begin.finish(ordinal(self.range.start) - 1)
    }

    /// The end of the batch: it has the number after that of the last part.
    fn end(&self) -> Vec<u8> {
        Request::with_header(message::BATCH_END, REQUEST | ACK, &NF_TABLES).finish(ordinal(self.range.end))
    }

    /// The messages, each with its [`ordinal`] as its sequence number. A large table's have theirs already, and need not be copied.
    fn numbered(&self) -> Result<Cow<'a, [u8]>, TransactionError> {
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

    /// Reads what the kernel said: whether it acknowledged the end, and its complaints in the order of the messages.
    fn answers(&self, socket: &mut Socket) -> Result<(bool, Vec<Rejection>), TransactionError> {
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

/// The sequence number of a part in its batch, from 1 on.
fn ordinal(part: usize) -> u32 {
    u32::try_from(part).unwrap_or(u32::MAX - 1).saturating_add(1)
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
    use crate::kernel::messages::Part;

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

    #[test]
    fn the_kernel_itself_refuses_a_generation_that_is_over() {
        // A thread of its own goes into the private namespace.
        std::thread::spawn(|| {
            crate::kernel::namespace::sandbox().unwrap();
            let mut socket = Socket::open().unwrap();
            let bytes = Request::netfilter(message::NEW_TABLE, REQUEST | libc::NLM_F_CREATE as u16, 1);
            let bytes = bytes.with_text(1, "fwc").finish(0);
            let part = Part { offset: 0, subject: Subject { what: "the table".into(), place: None } };
            let messages = Messages { bytes, index: vec![part] };
            let stale = socket.generation().unwrap();
            Transaction::new(&messages).commit(&mut socket).unwrap();
            let now = socket.generation().unwrap();
            // `send` does not look at the generation first, as a change may come after the look.
            let sent = Transaction::new(&messages).decided_at(stale).send(&mut socket, Ending::Commit);
            let sent = sent.map(|sent| sent.acknowledged);
            assert!(matches!(sent, Err(TransactionError::Superseded)), "{sent:?}");
            assert_eq!(socket.generation().unwrap(), now);
            assert!(
                Transaction::new(&messages).decided_at(now).send(&mut socket, Ending::Commit).unwrap().acknowledged
            );
        })
        .join()
        .unwrap();
    }

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
