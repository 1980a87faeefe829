//! `fwc apply SPEC`: checks the spec, checks the host, loads, reads back, says what it did.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::host::load::{self, Prepared};
use super::host::nat::Verdict;
use super::host::sandbox::Sandbox;
use super::host::{self, facts, stale};
use super::output::Output;
use super::{Failure, exit};
use crate::cli::ApplyArgs;
use crate::compile::{self, Compiled};
use crate::diagnostic::finding::by_code;
use crate::diagnostic::{Diagnostic, finding};
use crate::kernel::transaction::TransactionError;
use crate::spec::{Fate, Tracking};

/// How often fwc looks again when the ruleset changes between look and load.
const ATTEMPTS: u32 = 5;

pub(super) fn run(output: Output, arguments: &ApplyArgs) -> Result<ExitCode, Failure> {
    let forced = forced(&arguments.force)?;
    // First of all, while the process has one thread.
    let sandbox = arguments.sandbox.then(Sandbox::enter).transpose();
    let outcome = compile::check(&arguments.spec);
    // Told together, so that there is one document of diagnostics for programs.
    let tell = |found: Vec<Diagnostic>| {
        output.diagnostics(&outcome.sources, &[outcome.diagnostics.clone(), found].concat());
    };
    let Some(compiled) = &outcome.compiled else {
        tell(Vec::new());
        return Ok(ExitCode::from(exit::REFUSED));
    };
    let mut found = Vec::new();
    let ended = sandbox.and_then(|sandbox| {
        host::enter(arguments.netns.as_deref())?;
        Run { arguments, compiled, forced }.load(sandbox.as_ref(), &mut found)
    });
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
    let overridable = [&finding::live_nat::FINDING, &finding::lockout::FINDING, &finding::others_drop::FINDING];
    codes
        .iter()
        .map(|code| match by_code(code) {
            Some(known) if overridable.contains(&known) => Ok(known.code),
            Some(known) => Err(Failure::Usage(format!("{} cannot be overruled with `--force`", known.code))),
            None => Err(Failure::Usage(format!("there is no code `{code}`; `fwc explain` lists them all"))),
        })
        .collect()
}

struct Run<'a> {
    arguments: &'a ApplyArgs,
    compiled: &'a Compiled,
    forced: Vec<&'static str>,
}

enum Ended {
    Done(Report),
    Refused,
}

impl Run<'_> {
    /// Loads, and gives what the last look at the host found.
    fn load(&self, sandbox: Option<&Sandbox>, found: &mut Vec<Diagnostic>) -> Result<Ended, Diagnostic> {
        let prepared = load::prepare(self.compiled)?;
        let mut socket = host::socket()?;
        if let Some(sandbox) = sandbox {
            sandbox.load(&prepared, &mut socket)?;
            return Ok(Ended::Done(Report::new("checked in a sandbox", self.compiled, &prepared, 1)));
        }
        for attempt in 1..=ATTEMPTS {
            // Look, decide and load on one generation: what changes in between makes the kernel refuse.
            let generation = socket.generation().map_err(|error| host::kernel_failure(&error))?;
            *found = facts::against(self.compiled, &mut socket, self.arguments.netns.is_some());
            if self.refused(found) {
                return Ok(Ended::Refused);
            }
            let nat_rules = facts::nat_rules(self.compiled, &mut socket);
            if self.arguments.dry_run {
                load::validate(&prepared, &mut socket).map_err(|error| load::refusal(&error, attempt))?;
                let report = Report::new("would load", self.compiled, &prepared, attempt);
                return Ok(Ended::Done(Report { nat_rules, ..report }));
            }
            match load::commit(&prepared, &mut socket, generation) {
                Ok(()) => {
                    load::verify(&prepared, &mut socket)?;
                    let mut report = Report::new("loaded", self.compiled, &prepared, attempt);
                    report.nat_rules = nat_rules;
                    report.stale_entries_deleted = stale::delete(self.compiled, &mut socket)?;
                    return Ok(Ended::Done(report));
                }
                Err(TransactionError::Superseded) => {}
                Err(error) => return Err(load::refusal(&error, attempt)),
            }
        }
        Err(finding::concurrent_change::report(ATTEMPTS))
    }

    /// Whether anything speaks against loading that is not overruled.
    fn refused(&self, found: &[Diagnostic]) -> bool {
        found.iter().any(|found| found.is_error() && !self.forced.contains(&found.finding.code))
    }
}

/// What an apply did.
#[derive(Debug, Serialize)]
struct Report {
    format: &'static str,
    version: u32,
    result: &'static str,
    spec_sha256: String,
    entries: usize,
    stateless: usize,
    chains: usize,
    rules: usize,
    sets: usize,
    elements: usize,
    /// Bytes of the one transaction.
    bytes: usize,
    /// How often the ruleset was looked at before it held still.
    attempts: u32,
    /// Entries of flows that are no longer tracked, deleted from the conntrack table.
    stale_entries_deleted: usize,
    /// The NAT rules that were looked at, the host's and the spec's, and why they touch a stateless flow or none.
    nat_rules: Vec<Verdict>,
}

impl Report {
    fn new(result: &'static str, compiled: &Compiled, prepared: &Prepared, attempts: u32) -> Self {
        let entries = &compiled.policy.entries;
        let program = &prepared.program;
        Report {
            format: "fwc-apply",
            version: 1,
            result,
            spec_sha256: compiled.hash.clone(),
            entries: entries.len(),
            stateless: entries.iter().filter(|entry| entry.tracking == Tracking::Untracked).count(),
            chains: program.chains.len(),
            rules: program.chains.iter().map(|chain| chain.rules.len()).sum(),
            sets: program.sets.len(),
            elements: program.sets.iter().map(|set| set.elements.len()).sum(),
            bytes: prepared.messages.bytes.len(),
            attempts,
            stale_entries_deleted: 0,
            nat_rules: Vec::new(),
        }
    }

    fn human(&self, compiled: &Compiled) -> String {
        let mut text = format!(
            "table inet fwc: {}\n  {}, {} stateless; {} chains, {} rules, {} sets with {} elements; one transaction of {} bytes\n",
            self.result,
            super::entries(self.entries),
            self.stateless,
            self.chains,
            self.rules,
            self.sets,
            self.elements,
            self.bytes,
        );
        let policy = &compiled.policy;
        let tracked = if policy.tracks { "what is not stateless is tracked" } else { "nothing is tracked" };
        let word = |fate: Fate| if fate == Fate::Drop { "drop" } else { "accept" };
        let forward = policy.forward.map_or("untouched", word);
        let _ = writeln!(
            text,
            "  input {}, output {}, forward {forward}; {tracked}",
            word(policy.input),
            word(policy.output)
        );
        if self.stale_entries_deleted > 0 {
            let _ = writeln!(text, "  {} stale conntrack entries deleted", self.stale_entries_deleted);
        }
        text.push_str(&self.nat());
        let sizing = &policy.sizing;
        if sizing.max.is_some() || sizing.buckets.is_some() || !sizing.timeouts.is_empty() {
            text.push_str(
                "  the `conntrack` section is not applied to the live host: use `fwc compile --target sysctl` and `--target modprobe`\n",
            );
        }
        text
    }
    /// The NAT rules that were let through.
    fn nat(&self) -> String {
        let apart: Vec<&Verdict> = self.nat_rules.iter().filter(|one| one.touches.is_none()).collect();
        let mut text = match apart.len() {
            0 => return String::new(),
            1 => "  1 NAT rule touches no stateless flow:\n".to_string(),
            count => format!("  {count} NAT rules touch no stateless flow:\n"),
        };
        for Verdict { rule, why, .. } in apart {
            let _ = writeln!(text, "    {rule}: {why}");
        }
        text
    }
}
