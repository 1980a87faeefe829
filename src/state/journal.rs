//! One change under the lock: begun, settled or abandoned, each in one write of the account.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::account::{
    Account, Applied, FormerTable, Pending, Previous, Sizing, Stage, checksum, loaded_file, previous_file, texts_file,
};
use super::clock::{KernelLife, ProcessId, host_namespace, since_boot, unix_now};
use super::remembered::Remembered;
use super::{Directory, Lock, StateError, crash};
use crate::kernel::messages::Messages;
use crate::kernel::snapshot::Former;
use crate::kernel::socket::Generation;
use crate::source::Texts;

/// The file in which the watchdog says that it is ready.
const WATCHDOG: &str = "watchdog.json";

/// The account with the right to change it.
#[derive(Debug)]
pub struct Journal {
    /// Where it is.
    pub directory: Directory,
    /// The account as it is on the disk.
    pub account: Account,
    /// Whether the account was about another network namespace of this boot when the journal was opened: what it can undo is not this one's.
    pub is_foreign: bool,
    _lock: Lock,
}

/// An apply that is about to happen.
#[derive(Debug)]
pub struct Intent<'a> {
    /// The path as it was given.
    pub spec: &'a str,
    /// SHA-256 of the texts.
    pub spec_sha256: &'a str,
    /// What the table will be.
    pub identity: &'a str,
    /// Its texts, which are on the disk.
    pub written: &'a WrittenAhead,
    /// What stands there now.
    pub former: Standing<'a>,
    /// Settings that will be changed, with their values of now.
    pub sizing: Sizing,
    /// In how many seconds it has to be confirmed, if it has to be.
    pub within: Option<u32>,
    /// Whether the spec is only loaded again, as after a boot: what can be undone then stays what it was.
    pub again: bool,
}

/// The texts of an apply are on the disk, and no account speaks of them yet. It holds the apply's number.
#[derive(Debug)]
pub struct WrittenAhead(u64);

/// What an apply finds in its place.
#[derive(Debug, Clone, Copy)]
pub enum Standing<'a> {
    /// It was read from the kernel.
    Read(&'a Former),
    /// It is the table that is remembered.
    Remembered(&'a Remembered),
}

/// The process that will roll back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchdog {
    /// Which apply.
    pub number: u64,
    /// Which process.
    pub process: ProcessId,
}

impl Journal {
    /// Takes the lock of a directory, which is made if it is not there.
    ///
    /// # Errors
    /// The directory cannot be used, or another fwc is at work for longer than `patience`.
    pub fn open(path: &Path, patience: Duration) -> Result<Self, StateError> {
        Self::of(Directory::create(path)?, patience)
    }

    /// Takes the lock of a directory in which there is an account.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_existing(path: &Path, patience: Duration) -> Result<Option<Self>, StateError> {
        let directory = Directory::existing(path)?.filter(Directory::has_account);
        directory.map(|directory| Self::of(directory, patience)).transpose()
    }

    fn of(directory: Directory, patience: Duration) -> Result<Self, StateError> {
        let lock = directory.lock(patience)?;
        let account = directory.account()?.unwrap_or_default();
        let is_foreign = KernelLife::here().is_elsewhere(&account.kernel);
        let journal = Journal { directory, account, is_foreign, _lock: lock };
        journal.is_of_this_namespace()?;
        Ok(journal)
    }

    /// Takes the lock of a directory whose account is damaged or gone, with an account from elsewhere. The damaged one is kept beside it.
    ///
    /// # Errors
    /// The directory cannot be used, or another fwc is at work for longer than `patience`.
    pub fn instead_of_damaged(directory: Directory, account: Account, patience: Duration) -> Result<Self, StateError> {
        let lock = directory.lock(patience)?;
        directory.set_account_aside()?;
        let journal = Journal { directory, account, is_foreign: false, _lock: lock };
        journal.directory.write_account(&journal.account, "", "")?;
        Ok(journal)
    }

    /// Two namespaces with one account would undo each other's applies.
    fn is_of_this_namespace(&self) -> Result<(), StateError> {
        let is_host = || host_namespace() == Some(self.account.kernel.namespace);
        if self.is_foreign && (is_host() || self.watchdog().is_some()) {
            return Err(StateError::OtherNamespace(self.directory.path().to_path_buf()));
        }
        Ok(())
    }

    /// Writes the texts of an apply before it has begun: whatever is still to be made ready for it need not wait for the disk.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn write_ahead(&self, texts: &Texts) -> Result<WrittenAhead, StateError> {
        let number = self.account.number + 1;
        self.directory.reserve()?;
        self.directory.write_json(&texts_file(number), texts, "texts-half")?;
        crash::point("texts-written");
        Ok(WrittenAhead(number))
    }

    /// Writes down the rest of what is needed to undo an apply, then that it is about to happen, and gives its number.
    ///
    /// # Errors
    /// Something cannot be written; nothing has changed.
    pub fn begin(&mut self, intent: &Intent<'_>) -> Result<u64, StateError> {
        let WrittenAhead(number) = *intent.written;
        // A second attempt has the account from before the first.
        let before = match self.account.before.take() {
            Some(before) => *before,
            None => self.account.clone(),
        };
        let previous = self.previous(intent, &before, number)?;
        crash::point("previous-written");
        let applied = Applied {
            number,
            spec: intent.spec.to_string(),
            spec_sha256: intent.spec_sha256.to_string(),
            identity: intent.identity.to_string(),
            at: unix_now(),
        };
        let pending = intent.within.map(|within| Pending {
            within,
            deadline: u64::try_from((since_boot() + Duration::from_secs(within.into())).as_millis()).unwrap_or(0),
            until: unix_now().saturating_add(within.into()),
            by: ProcessId::myself(),
        });
        let account = Account {
            kernel: KernelLife::here(),
            number,
            stage: Stage::Loading,
            applied: Some(applied),
            previous,
            pending,
            confirmed: before.confirmed.clone(),
            before: Some(Box::new(before)),
            ..Account::new()
        };
        self.directory.announce(&account, "loading-half", "loading-written")?;
        self.account = account;
        Ok(number)
    }

    fn previous(&self, intent: &Intent<'_>, before: &Account, number: u64) -> Result<Option<Previous>, StateError> {
        if intent.again {
            return Ok(before.previous.clone());
        }
        let table = match intent.former {
            // It is on the disk since it was loaded.
            Standing::Remembered(Remembered { file, identity, checksum, .. }) => {
                FormerTable::Table { file: file.clone(), identity: identity.clone(), checksum: checksum.clone() }
            }
            Standing::Read(Former::Nothing) => FormerTable::Nothing,
            Standing::Read(Former::Lost(why)) => FormerTable::Lost(why.clone()),
            Standing::Read(Former::Table(messages, identity)) => {
                let file = previous_file(number);
                self.directory.write(&file, &messages.bytes)?;
                FormerTable::Table { file, identity: identity.to_string(), checksum: checksum(&messages.bytes) }
            }
        };
        Ok(Some(Previous {
            table,
            sizing: intent.sizing.clone(),
            applied: before.applied.clone(),
            confirmed: before.confirmed.clone(),
        }))
    }

    /// The apply happened. Unless it is pending, it is confirmed.
    ///
    /// # Errors
    /// The account cannot be written; the next command will find out from the kernel.
    pub fn settle(&mut self) -> Result<(), StateError> {
        let mut account = self.account.clone();
        account.stage = Stage::Settled;
        account.before = None;
        if account.pending.is_none() {
            account.confirm();
        }
        self.directory.write_account(&account, "settled-half", "settled-written")?;
        self.account = account;
        self.directory.tidy(&self.account);
        Ok(())
    }

    /// Keeps the messages of the apply that is under way, for [`Journal::remember`], and gives their checksum if there is room for them. Until then no
    /// account speaks of the file.
    #[must_use]
    pub fn keep(&self, messages: &Messages) -> Option<String> {
        let applied = self.account.applied.as_ref()?;
        self.directory.write(&loaded_file(applied.number), &messages.bytes).ok()?;
        Some(checksum(&messages.bytes))
    }

    /// Remembers the table whose messages have been kept: it was read back at this generation. [`Journal::settle`] writes that down.
    pub fn remember(&mut self, checksum: String, generation: Generation) {
        self.account.remembered = self.account.applied.as_ref().map(|applied| Remembered {
            file: loaded_file(applied.number),
            identity: applied.identity.clone(),
            checksum,
            generation: generation.0,
        });
    }

    /// The apply did not happen. Where that cannot be written, the next command will find out from the kernel.
    pub fn abandon(&mut self) {
        let Some(before) = self.account.before.take() else {
            // Nothing but texts may have been written.
            self.directory.tidy(&self.account);
            return;
        };
        self.account = Account { number: self.account.number, ..*before };
        if self.directory.write_account(&self.account, "", "").is_ok() {
            self.directory.tidy(&self.account);
        }
    }

    /// The pending apply stays.
    ///
    /// # Errors
    /// The account cannot be written; it is still pending.
    pub fn confirm(&mut self) -> Result<(), StateError> {
        let mut account = self.account.clone();
        account.confirm();
        self.directory.write_account(&account, "confirm-half", "confirm-written")?;
        self.account = account;
        self.directory.tidy(&self.account);
        Ok(())
    }

    /// The table is gone, and nothing is left to undo. What a boot loads stays.
    ///
    /// # Errors
    /// The account cannot be written.
    pub fn forget(&mut self) -> Result<(), StateError> {
        let account =
            Account { number: self.account.number, confirmed: self.account.confirmed.clone(), ..Account::new() };
        self.directory.write_account(&account, "", "")?;
        self.account = account;
        self.directory.tidy(&self.account);
        Ok(())
    }

    /// The watchdog of the pending apply, if it runs.
    #[must_use]
    pub fn watchdog(&self) -> Option<Watchdog> {
        watchdog(&self.directory, &self.account)
    }
}

/// The watchdog of the account's pending apply, if it runs.
#[must_use]
pub fn watchdog(directory: &Directory, account: &Account) -> Option<Watchdog> {
    account.pending.as_ref()?;
    let said: Watchdog = directory.read_json(WATCHDOG).ok()??;
    (said.number == account.number && said.process.is_alive()).then_some(said)
}

/// The calling process is the watchdog of an apply, and ready.
///
/// # Errors
/// It cannot be written down.
pub fn say_ready(directory: &Directory, number: u64) -> Result<(), StateError> {
    directory.write_json(WATCHDOG, &Watchdog { number, process: ProcessId::myself() }, "")
}
