//! `fwc remove`: deletes the table `inet fwc`, and nothing else.

use std::io::ErrorKind;
use std::process::ExitCode;

use super::host::{self, load, undoable};
use super::output::Output;
use super::{Failure, exit, watchdog};
use crate::cli::HostArgs;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::state_unusable;
use crate::kernel::table::{Removal, delete_table};
use crate::source::Sources;
use crate::state::journal::Journal;
use crate::state::{Account, Directory, StateError, directory};

pub(super) fn run(output: Output, arguments: &HostArgs) -> Result<ExitCode, Failure> {
    let mut found = Vec::new();
    match remove(arguments, &mut found) {
        Ok(Removed { removal, trial }) => {
            let mut human = String::from(match removal {
                Removal::Removed => "table inet fwc: removed\n",
                Removal::WasNotThere => "table inet fwc: was not there\n",
            });
            if let Some(spec) = &trial {
                human +=
                    &format!("  {spec} was not confirmed; its trial ends here, and nothing is rolled back any more\n");
            }
            let removed = removal == Removal::Removed;
            let value = serde_json::json!({
                "format": "fwc-remove", "version": 1, "removed": removed, "ended_trial": trial,
            });
            output.diagnostics(&Sources::default(), &found);
            output.result(&human, &value)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(diagnostic) => {
            output.diagnostics(&Sources::default(), &[diagnostic]);
            Ok(ExitCode::from(exit::HOST))
        }
    }
}

/// What was done.
struct Removed {
    removal: Removal,
    /// The spec of the apply that was pending.
    trial: Option<String>,
}

/// An apply that is pending ends with it, and nothing is left to undo. What was confirmed stays what a boot loads, as long as there is a boot that
/// asks for it. This is the way out, so it works with a state directory that cannot be used as well.
fn remove(arguments: &HostArgs, found: &mut Vec<Diagnostic>) -> Result<Removed, Diagnostic> {
    let netns = arguments.netns.as_deref();
    host::enter(netns)?;
    let mut socket = host::socket()?;
    let path = directory::path(netns);
    let opened = match Journal::open_existing(&path, undoable::PATIENCE) {
        Err(error) if is_final(&error) => return Err(undoable::failure(&error, "nothing was removed")),
        opened => opened,
    };
    let removal = delete_table(&mut socket).map_err(|error| load::refusal(&error, 1))?;
    // One that the account no longer knows of would bring the former table back.
    let unknown = (watchdog::end_all(&path) > 0).then(|| "the last apply".to_string());
    let trial = match opened {
        Ok(None) => unknown,
        Ok(Some(mut journal)) => {
            let pending = journal.account.pending.take();
            let trial = pending.and(journal.account.applied.as_ref()).map(|applied| applied.spec.clone());
            journal.forget().map_err(|error| undoable::failure(&error, "the table is removed"))?;
            trial
        }
        Err(error) => {
            found.push(state_unusable::in_spite(&error.to_string(), forget_damaged(&path, &error)));
            unknown
        }
    };
    Ok(Removed { removal, trial })
}

/// Whether removing has to wait for another fwc, or needs another namespace or another user.
fn is_final(error: &StateError) -> bool {
    match error {
        StateError::Busy(_) | StateError::OtherNamespace(_) => true,
        StateError::Io(_, why) => why.kind() == ErrorKind::PermissionDenied,
        _ => false,
    }
}

/// A new account in the place of one that cannot be read. Says what is left to do.
fn forget_damaged(path: &std::path::Path, error: &StateError) -> &'static str {
    let anew = || {
        let directory = Directory::existing(path).ok()??;
        Journal::instead_of_damaged(directory, Account::new(), undoable::PATIENCE).ok()
    };
    match error {
        StateError::Corrupt(..) if anew().is_some() => {
            "nothing is left to do: it is kept as account.json.damaged, and fwc starts anew"
        }
        _ => {
            "nothing is left to do; before the next apply, make the state directory usable again or name another in FWC_STATE_DIR"
        }
    }
}
