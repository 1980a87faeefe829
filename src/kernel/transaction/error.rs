//! Why a transaction changed nothing.

use std::fmt;

use nix::errno::Errno;

use crate::kernel::KernelError;
use crate::kernel::messages::Subject;
use crate::kernel::wire::Malformed;

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
    /// Which message, as an index into [`Messages::index`](crate::kernel::messages::Messages::index); none when the batch as a whole is refused.
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
