//! Applying so that it can be undone: the former table is kept, the intent written down, the watchdog armed, and only then anything is loaded.

use std::path::Path;
use std::time::Duration;

use super::kernel_failure;
use super::load::{self, Base};
use crate::command::watchdog;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{cannot_restore, healed, not_permitted, pending, state_unusable};
use crate::kernel::KernelError;
use crate::kernel::messages::Messages;
use crate::kernel::sizing;
use crate::kernel::snapshot::{self, Former};
use crate::kernel::socket::{Generation, Socket};
use crate::kernel::table::{self, LiveTable};
use crate::kernel::transaction::TransactionError;
use crate::source::Texts;
use crate::state::directory::ACCOUNT;
use crate::state::journal::{Intent, Journal, Standing, WrittenAhead};
use crate::state::remembered::{Kept, Remembered};
use crate::state::{Directory, Pending, Sizing, StateError, clock, crash, directory};
use crate::threads;

/// How long to wait for another fwc.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// A table of so many bytes is read before it is replaced, also where it is remembered.
const SMALL: usize = 512 * 1024;

/// An apply with the journal open.
pub(crate) struct Undoable<'a> {
    journal: Journal,
    wanted: &'a Wanted<'a>,
    written: WrittenAhead,
    armed: bool,
    /// The table that stands there; until [`Undoable::begin`] the one that most likely does.
    base: Base,
    /// The checksum of the loaded messages, where they are on the disk.
    kept: Option<String>,
}

/// What an apply finds in its place.
enum Found {
    Read(Former),
    /// It need not be read: it is the table of `base`.
    Remembered(Remembered),
    /// The ruleset is another one already.
    Changed,
}

/// What is to be applied, and how.
pub(crate) struct Wanted<'a> {
    /// The path as it was given.
    pub(crate) spec: &'a Path,
    /// SHA-256 of the texts.
    pub(crate) spec_sha256: &'a str,
    pub(crate) texts: &'a Texts,
    /// In how many seconds it has to be confirmed.
    pub(crate) within: Option<u32>,
    pub(crate) netns: Option<&'a str>,
    /// Whether it is a boot that loads the confirmed spec.
    pub(crate) at_boot: bool,
}

/// The table that fwc loaded and the kernel still has at this generation, without reading it; none where it has to be read. Of a state directory that
/// this user may not read, nothing is known.
pub(crate) fn kept(netns: Option<&str>, now: Generation, socket: &mut Socket) -> Result<Option<Kept>, Diagnostic> {
    let Some((directory, remembered)) = known(netns, now, socket)? else { return Ok(None) };
    Ok(directory.kept(&remembered))
}

fn known(
    netns: Option<&str>,
    now: Generation,
    socket: &mut Socket,
) -> Result<Option<(Directory, Remembered)>, Diagnostic> {
    let Ok(Some(directory)) = Directory::existing(&directory::path(netns)) else { return Ok(None) };
    let Ok(Some(account)) = directory.account() else { return Ok(None) };
    let remembered = account.known_at(now, socket).map_err(|error| kernel_failure(&error))?.cloned();
    Ok(remembered.map(|remembered| (directory, remembered)))
}

/// The table in the kernel, or none. One that is remembered is not read.
pub(crate) fn live(netns: Option<&str>, socket: &mut Socket) -> Result<Option<LiveTable>, Diagnostic> {
    let failed = |error: KernelError| kernel_failure(&error);
    let now = socket.generation().map_err(failed)?;
    let known = known(netns, now, socket)?.and_then(|(_, remembered)| remembered.identity.parse().ok());
    let Some(identity) = known else { return table::live(socket).map_err(failed) };
    Ok(table::signature(socket).map_err(failed)?.map(|signature| LiveTable { identity, signature: Some(signature) }))
}

/// The journal of this namespace, put right; none where fwc never applied anything.
pub(crate) fn journal(
    netns: Option<&str>,
    socket: &mut Socket,
    found: &mut Vec<Diagnostic>,
) -> Result<Option<Journal>, Diagnostic> {
    let failed = |error: StateError| failure(&error, "nothing was changed");
    let opened = Journal::open_existing(&directory::path(netns), PATIENCE).map_err(failed)?;
    opened.map(|journal| put_right(journal, socket, found)).transpose()
}

fn put_right(mut journal: Journal, socket: &mut Socket, found: &mut Vec<Diagnostic>) -> Result<Journal, Diagnostic> {
    let healed = journal.heal(socket).map_err(|error| failure(&error, "nothing was changed"))?;
    found.extend(healed.map(|healed| healed::report(&healed.words())));
    Ok(journal)
}

/// Why the state could not be used, and what became of the rules.
pub(crate) fn failure(error: &StateError, consequence: &str) -> Diagnostic {
    match error {
        StateError::Io(path, why) if why.kind() == std::io::ErrorKind::PermissionDenied => not_permitted::report(
            format!("{} is not for this user", path.display()),
            "run fwc as root, or name a directory of your own in FWC_STATE_DIR",
        ),
        StateError::Kernel(error) => kernel_failure(error),
        StateError::Restore(error) => load::refusal(error, 1),
        StateError::Lost(why) => cannot_restore::undo(why),
        error => state_unusable::report(&error.to_string(), consequence, help(error)),
    }
}

/// Why the state cannot be used and what helps, in a line.
pub(crate) fn words(error: &StateError) -> String {
    format!("{error}; {}", help(error))
}

/// What helps where the state directory cannot be used.
fn help(error: &StateError) -> String {
    match error {
        StateError::Busy(_) => "wait until the other fwc has ended, and try again".to_string(),
        StateError::OtherNamespace(_) => "use `--netns NAME`, or another FWC_STATE_DIR".to_string(),
        StateError::Unsafe(..) => "name a directory in FWC_STATE_DIR that only you can write to".to_string(),
        StateError::Corrupt(path, _) => format!(
            "move {} away: fwc then starts anew with the rules as they are; or take them away with `fwc remove`",
            path.with_file_name(ACCOUNT).display()
        ),
        _ => "make room, or name another directory in FWC_STATE_DIR that only you can write to".to_string(),
    }
}

/// What to write behind a command so that it is about the same namespace.
pub(crate) fn netns_words(netns: Option<&str>) -> String {
    netns.map_or(String::new(), |name| format!(" --netns {name}"))
}

impl<'a> Undoable<'a> {
    /// Opens the journal, writes the texts, and reads what is remembered of the table. An apply that is pending ends in a diagnostic among `found`, which refuses.
    pub(crate) fn open(
        wanted: &'a Wanted<'a>,
        socket: &mut Socket,
        found: &mut Vec<Diagnostic>,
    ) -> Result<Option<Self>, Diagnostic> {
        // Who may not load hears of that first: netfilter answers no question without CAP_NET_ADMIN (`nfnetlink_rcv`). A transaction that is only
        // looked at would tell too, but the kernel waits for all readers of rules before it throws one away, which takes 10 ms and more.
        let now = socket.generation().map_err(|error| match error.is_permission() {
            true => load::refusal(&TransactionError::NotPermitted, 1),
            false => kernel_failure(&error),
        })?;
        let opened = Journal::open(&directory::path(wanted.netns), PATIENCE);
        let journal = put_right(opened.map_err(|error| failure(&error, "nothing was loaded"))?, socket, found)?;
        if let (Some(waits), Some(applied)) = (&journal.account.pending, &journal.account.applied) {
            let netns = netns_words(wanted.netns);
            found.push(pending::report(&applied.spec, &clock::date(waits.until), waits.left().as_secs(), &netns));
            return Ok(None);
        }
        let written = journal.write_ahead(wanted.texts).map_err(|error| failure(&error, "nothing was loaded"))?;
        // The decoding of a large table takes long, and what stands there is mostly what fwc has loaded.
        let remembered = journal.account.remembered().filter(|remembered| remembered.generation == now.0);
        let likely = remembered.and_then(|remembered| journal.directory.kept(remembered));
        let base = likely.map_or(Base::Unknown, |kept| Base::Known(Box::new(kept)));
        Ok(Some(Undoable { journal, wanted, written, armed: false, base, kept: None }))
    }

    /// Makes an apply on the ruleset of this generation undoable; false when that ruleset is gone already.
    /// `identity` is what the table will be; `sizes` are the former values of settings that the apply changes: a rollback writes them back.
    pub(crate) fn begin(
        &mut self,
        decided_at: Generation,
        identity: &str,
        sizes: &sizing::Former,
        socket: &mut Socket,
    ) -> Result<bool, Diagnostic> {
        let begun = self.try_begin(decided_at, identity, sizes, socket);
        if begun.is_err() {
            self.journal.abandon();
        }
        begun
    }

    fn try_begin(
        &mut self,
        decided_at: Generation,
        identity: &str,
        sizes: &sizing::Former,
        socket: &mut Socket,
    ) -> Result<bool, Diagnostic> {
        let found = self.former(decided_at, socket)?;
        let standing = match &found {
            Found::Read(former) => Standing::Read(former),
            Found::Remembered(remembered) => Standing::Remembered(remembered),
            Found::Changed => return Ok(false),
        };
        let wanted = self.wanted;
        if let (Found::Read(Former::Lost(why)), Some(_)) = (&found, wanted.within) {
            return Err(cannot_restore::refused(why));
        }
        let is_same = |applied: &crate::state::Applied| applied.spec_sha256 == wanted.spec_sha256;
        let intent = Intent {
            spec: &wanted.spec.display().to_string(),
            spec_sha256: wanted.spec_sha256,
            identity,
            written: &self.written,
            former: standing,
            sizing: Sizing::of(sizes),
            within: wanted.within,
            again: wanted.at_boot && self.journal.account.applied.as_ref().is_some_and(is_same),
        };
        let number = self.journal.begin(&intent).map_err(|error| failure(&error, "nothing was loaded"))?;
        if wanted.within.is_some() && !self.armed {
            watchdog::start(&self.journal.directory, number, wanted.netns)?;
            self.armed = true;
            crash::point("watchdog-ready");
        }
        Ok(true)
    }

    /// What stands there. A small table is read in any case: it takes milliseconds, and its counters then come back with a rollback.
    fn former(&mut self, decided_at: Generation, socket: &mut Socket) -> Result<Found, Diagnostic> {
        let failed = |error: KernelError| kernel_failure(&error);
        let (account, directory) = (&self.journal.account, &self.journal.directory);
        let known = account.known_at(decided_at, socket).map_err(failed)?;
        let likely = match std::mem::take(&mut self.base) {
            Base::Known(kept) => Some(*kept),
            Base::Nothing | Base::Unknown => None,
        };
        let base = known.and_then(|remembered| {
            likely.filter(|kept| kept.remembered == *remembered).or_else(|| directory.kept(remembered))
        });
        let base = match base {
            Some(base) if base.messages.bytes.len() > SMALL => {
                let remembered = base.remembered.clone();
                self.base = Base::Known(Box::new(base));
                return Ok(Found::Remembered(remembered));
            }
            base => base,
        };
        let (former, generation) = match snapshot::take(socket) {
            // Whoever keeps changing it has done so since the look as well.
            Err(KernelError::Unsettled { .. }) => return Ok(Found::Changed),
            taken => taken.map_err(failed)?,
        };
        // Whatever has happened since: if what stands there is what is remembered, so be it.
        let is_there = |remembered: &&Remembered| matches!(&former, Former::Table(_, there) if there.to_string() == remembered.identity);
        let base = base.filter(|base| is_there(&&base.remembered));
        let base = base.or_else(|| directory.kept(account.remembered().filter(is_there)?));
        self.base = match (base, &former) {
            (Some(base), _) => Base::Known(Box::new(base)),
            (None, Former::Nothing) => Base::Nothing,
            (None, Former::Table(..) | Former::Lost(_)) => Base::Unknown,
        };
        Ok(if generation == decided_at { Found::Read(former) } else { Found::Changed })
    }

    /// Nothing was loaded.
    pub(crate) fn abandon(&mut self) {
        self.journal.abandon();
    }

    /// Loads, and keeps the messages meanwhile: the disk and the kernel do not wait for each other.
    pub(crate) fn keeping<T>(&mut self, messages: &Messages, load: impl FnOnce(&Base) -> T) -> T {
        let (journal, base) = (&self.journal, &self.base);
        let (kept, loaded) = threads::both(|| journal.keep(messages), || load(base));
        self.kept = kept;
        loaded
    }

    /// It was loaded, and at this generation read back.
    pub(crate) fn settle(&mut self, generation: Generation) -> Result<(), Diagnostic> {
        if let Some(checksum) = self.kept.take() {
            self.journal.remember(checksum, generation);
        }
        crash::point("remembered");
        let loaded = "the rules are loaded, and the next fwc command will write it down";
        self.journal.settle().map_err(|error| failure(&error, loaded))
    }

    /// The apply that waits to be confirmed now.
    pub(crate) fn pending(&self) -> Option<&Pending> {
        self.journal.account.pending.as_ref()
    }

    /// What `fwc rollback` would do, in words.
    pub(crate) fn undo_words(&self) -> String {
        use crate::state::FormerTable::{Lost, Nothing, Table};
        match self.journal.account.previous.as_ref().map(|previous| &previous.table) {
            Some(Table { .. }) => "puts the former table back".to_string(),
            Some(Nothing) => "removes the table, as there was none before".to_string(),
            Some(Lost(why)) => format!("is not possible: the former table was not kept ({why})"),
            None => "has nothing to undo".to_string(),
        }
    }
}
