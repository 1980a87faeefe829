//! `fwc check SPEC...`: everything that needs no host, each spec by itself.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::host::load;
use super::host::sandbox::Sandbox;
use super::memory::Estimate;
use super::output::Output;
use super::{Failure, entries, exit};
use crate::cli::{CheckArgs, Format};
use crate::compile::{self, Outcome};
use crate::diagnostic::{Diagnostic, Severity, github, json, sarif};

pub(super) fn run(output: Output, arguments: &CheckArgs) -> Result<ExitCode, Failure> {
    // The namespace has to be made while the process has one thread and nothing else has happened.
    let sandbox = arguments.kernel.then(Sandbox::enter);
    let mut clean = true;
    let (mut documents, mut figures) = (Vec::new(), Vec::new());
    for spec in &arguments.specs {
        let mut outcome = compile::check(spec);
        let mut kernel = None;
        if let (Some(sandbox), Some(compiled)) = (&sandbox, &outcome.compiled) {
            match sandbox.as_ref().map_err(Diagnostic::clone).and_then(|sandbox| sandbox.try_load(compiled)) {
                Ok(report) => kernel = Some(report),
                Err(diagnostic) => outcome.diagnostics.push(diagnostic),
            }
        }
        let memory = outcome.compiled.as_ref().and_then(|compiled| match output.format() {
            Format::Json => Some(Estimate::of(&load::unsigned(compiled))),
            Format::Human => Some(Estimate::of_sample(compiled)),
            // These have no place for it.
            Format::Sarif | Format::Github => None,
        });
        clean &= !outcome.diagnostics.iter().any(Diagnostic::is_error);
        match output.format() {
            Format::Human => {
                output.diagnostics(&outcome.sources, &outcome.diagnostics);
                // Standard error may be gone; the exit code tells all the same.
                let _ = writeln!(std::io::stderr().lock(), "{}", summary(spec, &outcome, memory, kernel.as_deref()));
            }
            Format::Json | Format::Sarif | Format::Github => {
                figures.push(Figures { spec: spec.display().to_string(), kernel_memory: memory });
                documents.push(outcome);
            }
        }
    }
    let all = documents.iter().map(|outcome| (outcome.diagnostics.as_slice(), &outcome.sources));
    match output.format() {
        Format::Human => {}
        Format::Json => {
            let report = Report { document: json::document(all), specs: figures };
            output.data(&(serde_json::to_string(&report).map_err(std::io::Error::other)? + "\n"))?;
        }
        Format::Sarif => output.data(&sarif::render(&json::document(all)))?,
        Format::Github => output.data(&github::render(&json::document(all)))?,
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(exit::REFUSED) })
}

/// What programs are told: the diagnostics of all specs, and figures of each.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    document: json::Document<'a>,
    specs: Vec<Figures>,
}

/// Figures of a spec.
#[derive(Serialize)]
struct Figures {
    /// The path as given.
    spec: String,
    /// What its table takes in the kernel; nothing where the spec has an error.
    kernel_memory: Option<Estimate>,
}

fn summary(spec: &Path, outcome: &Outcome, memory: Option<Estimate>, kernel: Option<&str>) -> String {
    let count = |severity: Severity, word: &str| {
        let count = outcome.diagnostics.iter().filter(|found| found.finding.severity == severity).count();
        let plural = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("{count} {word}{plural}"))
    };
    let found: Vec<String> =
        [count(Severity::Error, "error"), count(Severity::Warning, "warning")].into_iter().flatten().collect();
    let verdict = if found.is_empty() { "ok".to_string() } else { found.join(", ") };
    let size = outcome.compiled.as_ref().map_or(String::new(), |compiled| {
        let stateless =
            compiled.policy.entries.iter().filter(|e| e.tracking == crate::spec::Tracking::Untracked).count();
        let memory = memory.and_then(|memory| memory.words()).map_or(String::new(), |words| format!("; {words}"));
        format!(" ({}, {stateless} stateless{memory})", entries(compiled.policy.entries.len()))
    });
    let kernel = kernel.map_or(String::new(), |report| format!("; {report}"));
    format!("{}: {verdict}{size}{kernel}", spec.display())
}
