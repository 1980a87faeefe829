//! `fwc remove`: deletes the table `inet fwc`, and nothing else.

use std::process::ExitCode;

use super::host::{self, load};
use super::output::Output;
use super::{Failure, exit};
use crate::cli::HostArgs;
use crate::diagnostic::Diagnostic;
use crate::kernel::table::{Removal, delete_table};
use crate::source::Sources;

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

fn remove(arguments: &HostArgs) -> Result<Removal, Diagnostic> {
    host::enter(arguments.netns.as_deref())?;
    delete_table(&mut host::socket()?).map_err(|error| load::refusal(&error, 1))
}
