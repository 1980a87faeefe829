//! `fwc remove`: deletes the table `inet fwc`, and nothing else.

use std::process::ExitCode;

use super::host::{self, load, undoable};
use super::output::Output;
use super::{Failure, exit};
use crate::cli::HostArgs;
use crate::diagnostic::Diagnostic;
use crate::kernel::table::{Removal, delete_table};
use crate::source::Sources;
use crate::state::directory;
use crate::state::journal::Journal;

pub(super) fn run(output: Output, arguments: &HostArgs) -> Result<ExitCode, Failure> {
    match remove(arguments) {
        Ok(removal) => {
            let (human, removed) = match removal {
                Removal::Removed => ("table inet fwc: removed\n", true),
                Removal::WasNotThere => ("table inet fwc: was not there\n", false),
            };
            output.result(human, &serde_json::json!({ "format": "fwc-remove", "version": 1, "removed": removed }))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(diagnostic) => {
            output.diagnostics(&Sources::default(), &[diagnostic]);
            Ok(ExitCode::from(exit::HOST))
        }
    }
}

/// An apply that is pending ends with it, and nothing is left to undo. What was confirmed stays what a boot loads, as long as there is a boot that
/// asks for it.
fn remove(arguments: &HostArgs) -> Result<Removal, Diagnostic> {
    let netns = arguments.netns.as_deref();
    host::enter(netns)?;
    let mut socket = host::socket()?;
    let opened = Journal::open_existing(&directory::path(netns), undoable::PATIENCE);
    let journal = opened.map_err(|error| undoable::failure(&error, "nothing was removed"))?;
    let removal = delete_table(&mut socket).map_err(|error| load::refusal(&error, 1))?;
    if let Some(mut journal) = journal {
        let later = "the table is removed";
        journal.forget().map_err(|error| undoable::failure(&error, later))?;
    }
    Ok(removal)
}
