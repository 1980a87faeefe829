//! `fwc rollback`: puts back what stood there before the last apply.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::host::{self, undoable};
use super::output::Output;
use super::{Failure, exit};
use crate::cli::HostArgs;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::nothing_to_undo;
use crate::source::Sources;
use crate::state::{StateError, directory};

pub(super) fn run(output: Output, arguments: &HostArgs) -> Result<ExitCode, Failure> {
    let mut found = Vec::new();
    let undone = undo(arguments, &mut found);
    let failed = undone.is_err();
    let report = undone.unwrap_or_else(|diagnostic| {
        found.push(diagnostic);
        None
    });
    output.diagnostics(&Sources::default(), &found);
    match report {
        Some(report) => {
            output.result(&report.human(), &report)?;
            Ok(ExitCode::SUCCESS)
        }
        None => Ok(ExitCode::from(if failed { exit::HOST } else { exit::REFUSED })),
    }
}

/// What a rollback did.
#[derive(Debug, Serialize)]
struct Report {
    format: &'static str,
    version: u32,
    /// `former` or `none`: the table that stands there now.
    table: &'static str,
    /// Settings that could not be set back.
    unset: Vec<String>,
}

impl Report {
    fn new(has_table: bool, unset: Vec<String>) -> Self {
        Report { format: "fwc-rollback", version: 1, table: if has_table { "former" } else { "none" }, unset }
    }

    fn human(&self) -> String {
        let now = if self.table == "former" { "the former table is back" } else { "not loaded, as before" };
        let mut text = format!("table inet fwc: {now}\n");
        for setting in &self.unset {
            let _ = writeln!(text, "  {setting} could not be set back");
        }
        text
    }
}

fn undo(arguments: &HostArgs, found: &mut Vec<Diagnostic>) -> Result<Option<Report>, Diagnostic> {
    let netns = arguments.netns.as_deref();
    host::enter(netns)?;
    let mut socket = host::socket()?;
    let mut journal = undoable::journal(netns, &mut socket, found)?;
    let Some(journal) = journal.as_mut().filter(|journal| journal.can_undo()) else {
        // One that was overdue has been undone on the way here.
        found.push(nothing_to_undo::report(&directory::path(netns).display().to_string()));
        return Ok(None);
    };
    if journal.is_foreign {
        let other = StateError::OtherNamespace(journal.directory.path().to_path_buf());
        return Err(undoable::failure(&other, "nothing was changed"));
    }
    match journal.roll_back(&mut socket, "`fwc rollback`") {
        Ok(undone) => {
            let later = "the rules were rolled back, and the account of it is to be written later";
            found.extend(undone.unwritten.map(|error| undoable::failure(&error, later)));
            Ok(Some(Report::new(undone.table, undone.unset)))
        }
        Err(error @ StateError::Lost(_)) => {
            found.push(undoable::failure(&error, ""));
            Ok(None)
        }
        Err(error) => Err(undoable::failure(&error, "nothing was changed")),
    }
}
