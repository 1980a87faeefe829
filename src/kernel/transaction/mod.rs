//! One nf_tables transaction: begin, messages, end, sent as one datagram.
//!
//! A first datagram without the batch's end would be thrown away by the kernel without an error, so a batch that does not fit is never
//! sent. The kernel answers while it is being sent to: when [`Transaction::commit`] has read its socket dry, everything has been said.
//! An acknowledgement of the end is the proof of a commit. Kernels before 6.10 never give one, and it is lost when the receive buffer is full; then
//! the generation says whether anything was committed, and reading back (see [`super::table`]) says what.

mod answer;
mod batch;
mod error;

use std::ops::Range;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::KernelError;
use super::messages::{ANEW, Messages};
use super::socket::{Generation, Socket};

pub use error::{Rejection, TransactionError};

const ASKED: &str = "load the transaction";

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
        let needed = self.messages.bytes.len() + 2 * batch::ENVELOPE;
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
        answer::failure(rejections).map_or(Ok(Sent { acknowledged, bytes: needed, took }), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::messages::{Part, Subject};
    use crate::kernel::nf_tables::message;
    use crate::kernel::wire::Request;
    use nix::libc;

    #[test]
    fn the_kernel_itself_refuses_a_generation_that_is_over() {
        // A thread of its own goes into the private namespace.
        std::thread::spawn(|| {
            crate::kernel::namespace::sandbox().unwrap();
            let mut socket = Socket::open().unwrap();
            let bytes = Request::netfilter(message::NEW_TABLE, (libc::NLM_F_REQUEST | libc::NLM_F_CREATE) as u16, 1);
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
}
