//! The loaded table as fwc remembers it, so that it need not be read from the kernel again.
//!
//! When a table has been loaded and read back, the messages that made it are kept, with the generation at which they were the table's. The kernel
//! raises that number with every change of the namespace's ruleset, whoever makes it, so while it stays the table is what was sent. Reading a
//! million elements takes the kernel ten seconds and more ([`crate::kernel::sample`] says why); asking for the generation takes none.
//!
//! Two things could bring the same number back over another ruleset: a new kernel life (another boot, another namespace), which the account
//! tells, and nf_tables unloaded and loaded again, which no table outlives: so the table's signature is asked for as well. The file is
//! decoded before it counts, and must have the identity that the account says.

use serde::{Deserialize, Serialize};

use super::account::{Account, Stage};
use super::clock::KernelLife;
use super::directory::Directory;
use crate::backend::nft::Program;
use crate::kernel::KernelError;
use crate::kernel::messages::Messages;
use crate::kernel::snapshot::messages_of;
use crate::kernel::socket::{Generation, Socket};
use crate::kernel::table::{self, Expected};

/// What the account says of the table that is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The file with the messages that make it.
    pub file: String,
    /// The table's identity.
    pub identity: String,
    /// [`super::account::checksum`] of the file.
    pub checksum: String,
    /// The generation of the ruleset at which the table was read back.
    pub generation: u32,
}

/// The messages of a remembered table, and what they make.
#[derive(Debug, Clone)]
pub struct Kept {
    /// What the account says of it.
    pub remembered: Remembered,
    /// The messages.
    pub messages: Messages,
    /// What they make: it has the identity that the account says.
    pub expected: Expected,
}

impl Account {
    /// What is remembered of the ruleset of this kernel life: while an apply is under way, of the table from before.
    #[must_use]
    pub fn remembered(&self) -> Option<&Remembered> {
        let account = self.before.as_deref().unwrap_or(self);
        let is_sure = account.stage == Stage::Settled && account.kernel == KernelLife::here();
        account.remembered.as_ref().filter(|_| is_sure)
    }

    /// What is remembered, if it is the kernel's table at this generation without a doubt.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn known_at(&self, now: Generation, socket: &mut Socket) -> Result<Option<&Remembered>, KernelError> {
        let Some(remembered) = self.remembered().filter(|remembered| remembered.generation == now.0) else {
            return Ok(None);
        };
        let signature = table::signature(socket)?;
        let is_signed = signature.and_then(|signature| Program::is_signed_with(&signature, &remembered.identity));
        Ok((is_signed == Some(true)).then_some(remembered))
    }
}

impl Directory {
    /// The messages of a remembered table; none where the file is gone or holds something else.
    #[must_use]
    pub fn kept(&self, remembered: &Remembered) -> Option<Kept> {
        let messages = messages_of(self.read(&remembered.file).ok()??).ok()?;
        let expected = Expected::of(&messages).ok()?;
        let is_same = expected.identity().to_string() == remembered.identity;
        is_same.then(|| Kept { remembered: remembered.clone(), messages, expected })
    }
}
