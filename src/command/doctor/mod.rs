//! `fwc doctor`: is the conntrack table the problem, who fills it, what would help. Reads only.

mod gather;

use std::process::ExitCode;

use super::output::{Output, remark};
use super::{Failure, exit, host};
use crate::cli::DoctorArgs;
use crate::diagnostic::Diagnostic;
use crate::doctor::Report;
use crate::source::Sources;

pub(super) fn run(output: Output, arguments: &DoctorArgs) -> Result<ExitCode, Failure> {
    let (report, found) = match examine(arguments) {
        Ok(examined) => examined,
        Err(diagnostic) => {
            output.diagnostics(&Sources::default(), &[diagnostic]);
            return Ok(ExitCode::from(exit::HOST));
        }
    };
    if !arguments.spec {
        output.result(&report.human(), &report)?;
    } else if let Some(spec) = report.spec() {
        output.data(spec)?;
    } else {
        remark("nothing that is worth it can be stateless here; `fwc doctor` says more");
    }
    output.diagnostics(&Sources::default(), &found);
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::REFUSED) })
}

fn examine(arguments: &DoctorArgs) -> Result<(Report, Vec<Diagnostic>), Diagnostic> {
    host::enter(arguments.netns.as_deref())?;
    Ok(Report::of(&gather::facts(arguments.interval)?))
}
