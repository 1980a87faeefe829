//! `fwc confirm`: keeps what an apply with `--confirm-within` loaded.

use std::process::ExitCode;

use super::host::{self, undoable};
use super::output::Output;
use super::{Failure, exit};
use crate::cli::HostArgs;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{not_as_applied, nothing_pending};
use crate::source::Sources;
use crate::state::Applied;

pub(super) fn run(output: Output, arguments: &HostArgs) -> Result<ExitCode, Failure> {
    let mut found = Vec::new();
    match confirm(arguments, &mut found) {
        Ok(Some(applied)) => {
            output.diagnostics(&Sources::default(), &found);
            let human = format!("table inet fwc: confirmed\n  {} stays, and is what a boot loads\n", applied.spec);
            let value = serde_json::json!({
                "format": "fwc-confirm", "version": 1, "confirmed": applied.spec, "spec_sha256": applied.spec_sha256,
            });
            output.result(&human, &value)?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(None) => {
            output.diagnostics(&Sources::default(), &found);
            Ok(ExitCode::from(exit::REFUSED))
        }
        Err(diagnostic) => {
            found.push(diagnostic);
            output.diagnostics(&Sources::default(), &found);
            Ok(ExitCode::from(exit::HOST))
        }
    }
}

/// Confirms, or finds out why there is nothing to confirm.
fn confirm(arguments: &HostArgs, found: &mut Vec<Diagnostic>) -> Result<Option<Applied>, Diagnostic> {
    host::enter(arguments.netns.as_deref())?;
    let mut socket = host::socket()?;
    let journal = undoable::journal(arguments.netns.as_deref(), &mut socket, found)?;
    let Some(mut journal) = journal.filter(|journal| journal.account.pending.is_some()) else {
        let why = found.pop().map(|healed| healed.message);
        found.push(nothing_pending::report(why.as_deref()));
        return Ok(None);
    };
    if let Some(applied) = &journal.account.applied {
        let live = undoable::live(arguments.netns.as_deref(), &mut socket)?;
        if live.as_ref().is_none_or(|live| live.identity.to_string() != applied.identity) {
            let netns = undoable::netns_words(arguments.netns.as_deref());
            found.push(not_as_applied::report(&applied.spec, live.is_some(), &netns));
            return Ok(None);
        }
    }
    journal.confirm().map_err(|error| undoable::failure(&error, "the apply is still pending"))?;
    Ok(journal.account.applied)
}
