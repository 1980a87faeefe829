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
    let is_well = if arguments.spec {
        proposal(output, &report)?
    } else {
        output.result(&report.human(), &report)?;
        found.is_empty()
    };
    output.diagnostics(&Sources::default(), &found);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(exit::REFUSED) })
}

/// Prints the proposed spec, and gives whether there is one. The exit code of `--spec` tells a script just this, whatever ails the host: it must
/// neither go on with an empty spec nor stop where the spec is most wanted.
fn proposal(output: Output, report: &Report) -> Result<bool, Failure> {
    let Some(spec) = report.spec() else {
        remark("there is no spec to propose: nothing that is worth it can be stateless here; `fwc doctor` says more");
        return Ok(false);
    };
    output.data(spec)?;
    Ok(true)
}

fn examine(arguments: &DoctorArgs) -> Result<(Report, Vec<Diagnostic>), Diagnostic> {
    host::enter(arguments.netns.as_deref())?;
    Ok(Report::of(&gather::facts(arguments.interval)?))
}
