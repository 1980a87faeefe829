//! Putting the former state back, and putting right what a crash left behind.

use std::borrow::Cow;
use std::path::PathBuf;

use super::account::{Account, FormerTable, Sizing, Stage, checksum};
use super::clock::KernelLife;
use super::journal::Journal;
use super::{Directory, StateError, crash, log};
use crate::backend::nft::Program;
use crate::kernel::messages::Messages;
use crate::kernel::sizing::{self, Former};
use crate::kernel::snapshot::{messages_of, restore, restore_nothing};
use crate::kernel::socket::Socket;
use crate::kernel::table;
use crate::kernel::transaction::TransactionError;

/// Where settings may be that a rollback writes back.
const SETTINGS: [&str; 2] = ["/proc/sys/net/", "/sys/module/nf_conntrack/parameters/"];

/// What stands there after a rollback.
#[derive(Debug)]
pub struct Undone {
    /// Whether there is a table.
    pub table: bool,
    /// Settings that could not be written back.
    pub unset: Vec<String>,
    /// Why the account could not be written; the next command will do it again.
    pub unwritten: Option<StateError>,
}

/// What was put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healed {
    /// A pending apply had not been confirmed in time.
    Overdue,
    /// The machine or the namespace went down while an apply was pending or under way.
    Restarted,
    /// An apply had been killed after the kernel took the rules.
    Finished,
    /// An apply had been killed before.
    NotLoaded,
    /// A rollback had been killed.
    RolledBack,
    /// The rules of a pending apply had been replaced by those of another one before its time was over.
    Replaced,
    /// The former state cannot be put back, and why.
    GivenUp(String),
}

impl Healed {
    /// What happened, in words.
    #[must_use]
    pub fn words(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Healed::Overdue => "the last apply was not confirmed in time; the former state is back",
            Healed::Restarted => "the host restarted before the last apply was confirmed; it no longer counts",
            Healed::Finished => "the last apply was killed after its rules were loaded; it counts",
            Healed::NotLoaded => "the last apply was killed before its rules were loaded; the former state holds",
            Healed::RolledBack => "the last rollback was killed; it is finished now",
            Healed::Replaced => {
                "the last apply was not confirmed, but its rules had been replaced by others, which stay"
            }
            Healed::GivenUp(why) => {
                return Cow::Owned(format!(
                    "what stood there before the last apply cannot be put back ({why}); what is loaded stays, and is not confirmed"
                ));
            }
        })
    }
}

/// Whether fwc's table in the kernel is signed as another one than the last apply's and the one before: somebody has loaded it since, and nobody's
/// rollback may take it away. That of before may be there because a rollback could not be written down.
///
/// # Errors
/// The kernel cannot be asked.
pub fn is_replaced(account: &Account, socket: &mut Socket) -> Result<bool, StateError> {
    let Some(signature) = table::signature(socket)? else { return Ok(false) };
    let former = match account.previous.as_ref().map(|previous| &previous.table) {
        Some(FormerTable::Table { identity, .. }) => Some(identity),
        _ => None,
    };
    let known = account.applied.as_ref().map(|applied| &applied.identity).into_iter().chain(former);
    let signed: Vec<Option<bool>> = known.map(|identity| Program::is_signed_with(&signature, identity)).collect();
    Ok(!signed.is_empty() && signed.iter().all(|is| *is == Some(false)))
}

/// What a rollback puts back, read from the disk: it may be needed when the disk no longer has it.
#[derive(Debug)]
pub struct FormerState {
    /// The messages that make the former table again; none where there was none.
    table: Option<Messages>,
    sizing: Sizing,
}

impl FormerState {
    /// Reads what the last apply of an account found.
    ///
    /// # Errors
    /// The former table was not kept, or cannot be read.
    pub fn read(directory: &Directory, account: &Account) -> Result<Self, StateError> {
        let Some(previous) = &account.previous else {
            return Err(StateError::Lost("nothing was applied since".to_string()));
        };
        let table = match &previous.table {
            FormerTable::Lost(why) => return Err(StateError::Lost(why.clone())),
            FormerTable::Nothing => None,
            FormerTable::Table { file, checksum: kept, .. } => {
                let path = directory.path().join(file);
                let bytes = directory.read(file)?;
                let bytes = bytes.ok_or_else(|| StateError::Corrupt(path.clone(), "it is gone".to_string()))?;
                if checksum(&bytes) != *kept {
                    return Err(StateError::Corrupt(path, "it is not what was written".to_string()));
                }
                Some(messages_of(bytes).map_err(|why| StateError::Corrupt(path, why.to_string()))?)
            }
        };
        Ok(FormerState { table, sizing: previous.sizing.clone() })
    }

    /// Puts it back, and gives the settings that could not be written back. The account is not touched.
    ///
    /// # Errors
    /// The kernel does not take the former table; nothing has changed.
    pub fn put_back(&self, directory: &Directory, socket: &mut Socket, why: &str) -> Result<Vec<String>, StateError> {
        match &self.table {
            Some(messages) => restore(messages, socket),
            None => restore_nothing(socket),
        }
        .map_err(StateError::Restore)?;
        crash::point("restored");
        let unset = write_back(&self.sizing);
        let now = if self.table.is_some() { "the former table is back" } else { "no table is loaded, as before" };
        log::write(directory, &format!("rolled back: {why}; {now}"));
        for setting in &unset {
            log::write(directory, &format!("{setting} could not be set back"));
        }
        Ok(unset)
    }
}

impl Journal {
    /// Whether there is an apply that can be undone.
    #[must_use]
    pub fn can_undo(&self) -> bool {
        self.account.previous.is_some()
    }

    /// Puts the former table and the former settings back. `why` is for the log.
    ///
    /// # Errors
    /// The former table was not kept, cannot be read, or the kernel does not take it; nothing has changed.
    pub fn roll_back(&mut self, socket: &mut Socket, why: &str) -> Result<Undone, StateError> {
        let former = FormerState::read(&self.directory, &self.account)?;
        self.roll_back_to(&former, socket, why)
    }

    /// The same for whoever has read the former state already.
    ///
    /// # Errors
    /// The kernel does not take the former table; nothing has changed.
    pub fn roll_back_to(&mut self, former: &FormerState, socket: &mut Socket, why: &str) -> Result<Undone, StateError> {
        self.account.stage = Stage::RollingBack;
        // On a disk that cannot be written the rules matter more than the account.
        let _ = self.directory.write_account(&self.account, "undo-half", "undo-written");
        let put_back = former.put_back(&self.directory, socket, why);
        self.account.stage = Stage::Settled;
        if put_back.is_err() {
            // Nothing has changed, and what comes next must not find a rollback that was begun.
            let _ = self.directory.write_account(&self.account, "", "");
        }
        let unset = put_back?;
        self.account.undone();
        let unwritten = self.directory.write_account(&self.account, "undone-half", "undone-written").err();
        if unwritten.is_none() {
            self.directory.tidy(&self.account);
        }
        Ok(Undone { table: former.table.is_some(), unset, unwritten })
    }

    /// Puts right what a crash left behind: an apply or a rollback that was killed, a pending apply whose time is over.
    ///
    /// # Errors
    /// It cannot be put right now.
    pub fn heal(&mut self, socket: &mut Socket) -> Result<Option<Healed>, StateError> {
        let healed = self.mend(socket)?;
        if !self.account.pending.as_ref().is_some_and(super::Pending::is_overdue) {
            return Ok(healed);
        }
        if is_replaced(&self.account, socket)? {
            return self.keep_what_is_there(Healed::Replaced).map(Some);
        }
        match self.roll_back(socket, "nobody confirmed in time, and the watchdog was gone") {
            Ok(_) => Ok(Some(Healed::Overdue)),
            Err(error) => self.give_up(error).map(Some),
        }
    }

    /// A rollback that can never succeed must not stand in the way of all that comes after.
    fn give_up(&mut self, error: StateError) -> Result<Healed, StateError> {
        use TransactionError::{Encoding, Rejected, TooLarge};
        match error {
            StateError::Lost(_)
            | StateError::Corrupt(..)
            | StateError::Restore(Rejected(_) | TooLarge { .. } | Encoding(_)) => {
                self.keep_what_is_there(Healed::GivenUp(error.to_string()))
            }
            other => Err(other),
        }
    }

    /// What was on trial is not confirmed, so that no boot loads it, but it stays.
    fn keep_what_is_there(&mut self, healed: Healed) -> Result<Healed, StateError> {
        (self.account.pending, self.account.stage) = (None, Stage::Settled);
        self.directory.write_account(&self.account, "", "")?;
        log::write(&self.directory, &healed.words());
        Ok(healed)
    }

    /// Puts right what was killed, and lets a pending apply be.
    ///
    /// # Errors
    /// It cannot be put right now.
    pub fn mend(&mut self, socket: &mut Socket) -> Result<Option<Healed>, StateError> {
        let here = KernelLife::here();
        if self.account.kernel != here {
            let healed = self.of_another_life(here);
            self.directory.write_account(&self.account, "", "")?;
            if let Some(healed) = &healed {
                log::write(&self.directory, &healed.words());
            }
            return Ok(healed);
        }
        Ok(match self.account.stage {
            Stage::RollingBack => match self.roll_back(socket, "the rollback before was killed") {
                Ok(_) => Some(Healed::RolledBack),
                Err(error) => Some(self.give_up(error)?),
            },
            Stage::Loading => Some(self.finish(socket)?),
            Stage::Settled => None,
        })
    }

    /// The ruleset that the account spoke of is gone: what was not confirmed goes with it.
    fn of_another_life(&mut self, here: KernelLife) -> Option<Healed> {
        let unfinished = self.account.stage != Stage::Settled || self.account.pending.is_some();
        match self.account.before.take() {
            Some(before) => self.account = Account { number: self.account.number, ..*before },
            None if unfinished => self.account.undone(),
            None => {}
        }
        self.account.kernel = here;
        self.account.remembered = None;
        unfinished.then_some(Healed::Restarted)
    }

    /// Asks the kernel what became of an apply that was killed: its table carries its signature.
    fn finish(&mut self, socket: &mut Socket) -> Result<Healed, StateError> {
        let signature = table::signature(socket)?;
        let identity = self.account.applied.as_ref().map_or("", |applied| applied.identity.as_str());
        let loaded = signature.and_then(|signature| Program::is_signed_with(&signature, identity)) == Some(true);
        let healed = if loaded { Healed::Finished } else { Healed::NotLoaded };
        if loaded {
            self.settle()?;
        } else {
            self.unset();
            self.abandon();
        }
        log::write(&self.directory, &healed.words());
        Ok(healed)
    }
}

impl Journal {
    /// Puts the settings back that an apply changed before it was killed: the rules that they were for are not there.
    fn unset(&self) {
        let begun = self.account.before.as_ref().is_some_and(|before| before.previous != self.account.previous);
        let former = self.account.previous.as_ref().filter(|_| begun);
        for setting in former.map(|previous| write_back(&previous.sizing)).unwrap_or_default() {
            log::write(&self.directory, &format!("{setting} could not be set back"));
        }
    }
}

/// Writes former values of settings back, and gives those that did not take.
fn write_back(sizing: &Sizing) -> Vec<String> {
    let is_setting = |path: &str| SETTINGS.iter().any(|start| path.starts_with(start)) && !path.contains("..");
    let (settings, others): (Former, Former) = sizing
        .0
        .iter()
        .map(|(path, value)| (PathBuf::from(path), value.clone()))
        .partition(|(path, _)| path.to_str().is_some_and(is_setting));
    let refused = sizing::restore(&settings).err().unwrap_or_default();
    others
        .keys()
        .cloned()
        .chain(refused.into_iter().map(|error| error.path))
        .map(|path| {
            let value = sizing.0.get(&path.display().to_string()).map_or("", String::as_str);
            format!("{} = {value}", path.display())
        })
        .collect()
}
