//! `fwc apply SPEC`: checks the spec, checks the host, loads, reads back, says what it did.

mod attempt;
mod choice;
mod report;

use std::process::ExitCode;

use super::host;
use super::host::sandbox::Sandbox;
use super::output::Output;
use super::{Failure, exit};
use crate::cli::ApplyArgs;
use crate::diagnostic::finding::by_code;
use crate::diagnostic::{Diagnostic, finding};
use crate::source::Sources;
use attempt::{Ended, Run};
use choice::{Chosen, choose};

pub(super) fn run(output: Output, arguments: &ApplyArgs) -> Result<ExitCode, Failure> {
    let forced = forced(&arguments.force)?;
    // First of all, while the process has one thread.
    let sandbox = arguments.sandbox.then(Sandbox::enter).transpose();
    let Chosen { outcome, texts, notes, planned, files } = match choose(arguments) {
        Ok(chosen) => chosen,
        Err(refused) => {
            output.diagnostics(&Sources::default(), &[refused]);
            return Ok(ExitCode::from(exit::REFUSED));
        }
    };
    // Told together, so that there is one document of diagnostics for programs.
    let tell = |found: Vec<Diagnostic>| {
        output.diagnostics(&outcome.sources, &[notes.clone(), outcome.diagnostics.clone(), found].concat());
    };
    let Some(compiled) = &outcome.compiled else {
        tell(Vec::new());
        return Ok(ExitCode::from(exit::REFUSED));
    };
    let texts = texts.unwrap_or_else(|| compiled.texts(&arguments.spec, &outcome.sources));
    let run = Run { arguments, compiled, texts, planned, forced };
    if run.refused(&files) {
        tell(files);
        return Ok(ExitCode::from(exit::REFUSED));
    }
    let mut found = Vec::new();
    let ended = sandbox.and_then(|sandbox| {
        host::enter(arguments.netns.as_deref())?;
        run.load(sandbox.as_ref(), &mut found)
    });
    found.splice(0..0, files);
    match ended {
        Ok(Ended::Done(report)) => {
            tell(found);
            output.result(&report.human(compiled), &report)?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(Ended::Refused) => {
            tell(found);
            Ok(ExitCode::from(exit::REFUSED))
        }
        Err(diagnostic) => {
            found.push(diagnostic);
            tell(found);
            Ok(ExitCode::from(exit::HOST))
        }
    }
}

/// The findings to go on in spite of. Only what a host says can be overruled: a spec with errors has no rules to load.
fn forced(codes: &[String]) -> Result<Vec<&'static str>, Failure> {
    let overridable = [
        &finding::live_nat::FINDING,
        &finding::lockout::FINDING,
        &finding::others_drop::FINDING,
        &finding::table_too_large::FINDING,
        &finding::untrusted_file::FINDING,
    ];
    codes
        .iter()
        .map(|code| match by_code(code) {
            Some(known) if overridable.contains(&known) => Ok(known.code),
            Some(known) => Err(Failure::Usage(format!("{} cannot be overruled with `--force`", known.code))),
            None => Err(Failure::Usage(format!("there is no code `{code}`; `fwc explain` lists them all"))),
        })
        .collect()
}
