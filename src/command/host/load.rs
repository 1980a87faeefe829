//! Loading: one transaction, decided on one generation of the ruleset, read back and compared.

use std::time::Duration;

use nix::errno::Errno;

use super::kernel_failure;
use crate::backend::{Header, nft};
use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{concurrent_change, host_failure, kernel_refused, loaded_differs, not_permitted};
use crate::kernel::messages::Messages;
use crate::kernel::socket::{Generation, Socket};
use crate::kernel::table::{self, Expected, Loaded, VerifyError};
use crate::kernel::transaction::{Committed, Rejection, Transaction, TransactionError};
use crate::state::remembered::Kept;

/// The program of a spec and its messages, ready to be sent.
pub(crate) struct Prepared {
    pub(crate) program: nft::Program,
    pub(crate) messages: Messages,
    expected: Expected,
}

impl Prepared {
    /// What the table will be, as its signature says.
    pub(crate) fn identity(&self) -> String {
        self.expected.identity().to_string()
    }
}

/// The program of a spec, signed with what it will be once it is loaded.
pub(crate) fn program(compiled: &Compiled) -> nft::Program {
    prepare(compiled).map_or_else(|_| unsigned(compiled), |prepared| prepared.program)
}

/// The same without a signature: what it says of itself is no identity.
pub(crate) fn unsigned(compiled: &Compiled) -> nft::Program {
    nft::Program::of_policy(&compiled.policy, &header(compiled))
}

/// What the artifacts of a spec say of where they come from.
pub(crate) fn header(compiled: &Compiled) -> Header<'_> {
    Header { version: env!("CARGO_PKG_VERSION"), spec_hash: &compiled.hash }
}

/// Makes the messages. The table's signature carries the identity that the table will have, so that anybody can tell later whether it still has it.
pub(crate) fn prepare(compiled: &Compiled) -> Result<Prepared, Diagnostic> {
    let mut program = unsigned(compiled);
    let mut messages = nft::netlink::messages(&program);
    let mut expected = Expected::of(&messages).map_err(|why| {
        host_failure::report(format!("the transaction is not well-formed: {why}"), "please report this with the spec")
    })?;
    program.sign(&expected.identity().to_string());
    expected.signed(&program.signature);
    nft::netlink::resign(&mut messages, &program);
    Ok(Prepared { program, messages, expected })
}

/// Has the kernel look at the transaction, and changes nothing.
pub(crate) fn validate(prepared: &Prepared, socket: &mut Socket) -> Result<(), TransactionError> {
    Transaction::new(&prepared.messages).validate(socket)
}

/// What went to the kernel.
pub(crate) struct Sent {
    committed: Committed,
    /// The messages that made the table of the one before, where it was not loaded as a whole.
    update: Option<Messages>,
}

impl Sent {
    /// Whether only what differs was sent, so that the counters of the rest go on.
    pub(crate) fn is_update(&self) -> bool {
        self.update.is_some()
    }

    /// How long the kernel took over it.
    pub(crate) fn took(&self) -> Duration {
        self.committed.took
    }

    /// Bytes of the transaction.
    pub(crate) fn bytes(&self) -> usize {
        self.committed.bytes
    }

    pub(crate) fn whole(committed: Committed) -> Self {
        Sent { committed, update: None }
    }
}

/// What is known of the table of the ruleset that a load was decided on.
#[derive(Debug, Default)]
pub(crate) enum Base {
    /// There is none.
    Nothing,
    /// It is this one.
    Known(Box<Kept>),
    /// There may be any.
    #[default]
    Unknown,
}

/// Sends the transaction, for the ruleset of this generation only: where its table is known, what differs from it.
pub(crate) fn commit(
    prepared: &Prepared,
    base: &Base,
    socket: &mut Socket,
    decided_at: Generation,
) -> Result<Sent, TransactionError> {
    let messages = &prepared.messages;
    let whole = match base {
        Base::Nothing => Transaction::onto_nothing(messages),
        Base::Known(_) | Base::Unknown => Transaction::new(messages),
    };
    let update = match base {
        Base::Known(kept) => {
            let (before, after) = ((&kept.messages, &kept.expected), (messages, &prepared.expected));
            table::update(socket, before, after).ok().flatten()
        }
        Base::Nothing | Base::Unknown => None,
    };
    if let Some(update) = update {
        whole.fits(socket)?;
        match Transaction::new(&update).decided_at(decided_at).commit(socket) {
            Ok(committed) => return Ok(Sent { committed, update: Some(update) }),
            // The load as a whole needs nothing of what is there.
            Err(TransactionError::Rejected(_)) => {}
            Err(error) => return Err(error),
        }
    }
    whole.decided_at(decided_at).commit(socket).map(Sent::whole)
}

/// Reads back what was loaded and compares it with what was sent. Gives the generation at which the two are the same.
pub(crate) fn verify(prepared: &Prepared, sent: &Sent, socket: &mut Socket) -> Result<Generation, Diagnostic> {
    let loaded = match &sent.update {
        Some(update) => Loaded::Updated(sent.committed, update),
        None => Loaded::Whole(sent.committed),
    };
    table::verify(socket, &prepared.messages, &prepared.expected, loaded).map_err(|error| match error {
        VerifyError::Kernel(error) => kernel_failure(&error),
        VerifyError::Differs(_) | VerifyError::Encoding(_) => loaded_differs::report(&error.to_string()),
    })
}

/// Why the kernel did not take it.
pub(crate) fn refusal(error: &TransactionError, attempts: u32) -> Diagnostic {
    match error {
        TransactionError::Rejected(rejections) => match rejections.first() {
            Some(first) => rejected(first),
            None => host_failure::report(error.to_string(), "nothing was changed; look into the kernel log"),
        },
        TransactionError::NotPermitted => {
            not_permitted::report(error.to_string(), "run fwc as root; `--sandbox` and `check --kernel` need no rights")
        }
        TransactionError::Superseded => concurrent_change::report(attempts),
        TransactionError::TooLarge { .. } => {
            host_failure::report(error.to_string(), "run fwc as root: its socket has no such limit")
        }
        TransactionError::Kernel(error) => kernel_failure(error),
        TransactionError::Unconfirmed | TransactionError::Encoding(_) => {
            host_failure::report(error.to_string(), "nothing was changed; please report this with the spec")
        }
    }
}

fn rejected(first: &Rejection) -> Diagnostic {
    let what = match (&first.subject, &first.element) {
        (Some(subject), Some(element)) => format!("element {element} of {}", subject.what),
        (Some(subject), None) => subject.what.clone(),
        (None, _) => "the transaction".to_string(),
    };
    let reason = match first.errno {
        Errno::ENOENT | Errno::EOPNOTSUPP => format!("{} (a kernel module may be missing)", first.errno.desc()),
        Errno::EPERM => format!("{} (another program may own the table)", first.errno.desc()),
        errno => errno.desc().to_string(),
    };
    let place = first.subject.as_ref().and_then(|subject| subject.place);
    kernel_refused::report(&what, &reason, place)
}
