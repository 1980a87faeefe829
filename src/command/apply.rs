//! `fwc apply SPEC`: checks the spec, checks the host, loads, reads back, says what it did.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::host::load::{self, Prepared};
use super::host::nat::Verdict;
use super::host::sandbox::Sandbox;
use super::host::sizing::{Change, Sized};
use super::host::{self, facts, ownership, sizing, stale};
use super::output::Output;
use super::{Failure, exit};
use crate::cli::ApplyArgs;
use crate::compile::{self, Compiled};
use crate::diagnostic::finding::by_code;
use crate::diagnostic::{Diagnostic, finding};
use crate::kernel::socket::Socket;
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
    // A sandbox is left behind, whoever wrote the spec.
    let files = if arguments.sandbox { Vec::new() } else { ownership::check(&arguments.spec, &outcome.sources) };
    let run = Run { arguments, compiled, forced };
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
        let mut sized = Sized::default();
        let ended = self.attempts(&prepared, &mut socket, &mut sized, found);
        if !matches!(ended, Ok(Ended::Done(_))) {
            found.extend(sized.undo());
        }
        ended
    }

    fn attempts(
        &self,
        prepared: &Prepared,
        socket: &mut Socket,
        sized: &mut Sized,
        found: &mut Vec<Diagnostic>,
    ) -> Result<Ended, Diagnostic> {
        for attempt in 1..=ATTEMPTS {
            // Look, decide and load on one generation: what changes in between makes the kernel refuse.
            let generation = socket.generation().map_err(|error| host::kernel_failure(&error))?;
            *found = facts::against(self.compiled, socket, self.arguments.netns.is_some());
            if self.refused(found) {
                return Ok(Ended::Refused);
            }
            if self.arguments.dry_run || sizing::awaits_module(self.compiled) {
                // The kernel loads the modules that the rules need also when it throws them away.
                load::validate(prepared, socket).map_err(|error| load::refusal(&error, attempt))?;
            }
            let look = sizing::look(self.compiled);
            found.extend(look.found.iter().cloned());
            if self.refused(found) {
                return Ok(Ended::Refused);
            }
            let nat_rules = facts::nat_rules(self.compiled, socket);
            if self.arguments.dry_run {
                let mut report = Report::new("would load", self.compiled, prepared, attempt);
                report.sizing = look.would_change();
                report.nat_rules = nat_rules;
                return Ok(Ended::Done(report));
            }
            sized.set(&look)?;
            match load::commit(prepared, socket, generation) {
                Ok(()) => {
                    let report = self.loaded(prepared, socket, sized, attempt)?;
                    return Ok(Ended::Done(Report { nat_rules, ..report }));
                }
                Err(TransactionError::Superseded) => {}
                Err(error) => return Err(load::refusal(&error, attempt)),
            }
        }
        Err(finding::concurrent_change::report(ATTEMPTS))
    }

    /// What there is to do once the rules are live.
    fn loaded(
        &self,
        prepared: &Prepared,
        socket: &mut Socket,
        sized: &mut Sized,
        attempt: u32,
    ) -> Result<Report, Diagnostic> {
        // From here on, the sizes belong to the rules that are loaded.
        let changes = sized.keep();
        load::verify(prepared, socket)?;
        let mut report = Report::new("loaded", self.compiled, prepared, attempt);
        report.sizing = changes;
        report.stale_entries_deleted = stale::delete(self.compiled, socket)?;
        Ok(report)
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
    /// What of the `conntrack` section was not set already.
    sizing: Vec<Change>,
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
            sizing: Vec::new(),
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
        let set = if self.result == "loaded" { "set" } else { "to be set" };
        for Change { key, from, to, .. } in &self.sizing {
            let _ = writeln!(text, "  conntrack.{key}: {set} to {to}, was {from}");
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
