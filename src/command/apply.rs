//! `fwc apply SPEC`: checks the spec, checks the host, loads, reads back, says what it did.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::host::load::{self, Prepared};
use super::host::sandbox::Sandbox;
use super::host::undoable::{self, Undoable, Wanted, netns_words};
use super::host::{self, facts, stale};
use super::output::Output;
use super::{Failure, exit};
use crate::cli::ApplyArgs;
use crate::compile::{self, Compiled, Outcome};
use crate::diagnostic::finding::by_code;
use crate::diagnostic::{Diagnostic, finding};
use crate::kernel::socket::{Generation, Socket};
use crate::kernel::transaction::TransactionError;
use crate::source::{Sources, Texts};
use crate::spec::{Fate, Tracking};
use crate::state::clock::KernelLife;
use crate::state::plan::SavedPlan;
use crate::state::{Directory, Sizing, StateError, clock, crash, directory};

/// How often fwc looks again when the ruleset changes between look and load.
const ATTEMPTS: u32 = 5;

pub(super) fn run(output: Output, arguments: &ApplyArgs) -> Result<ExitCode, Failure> {
    let forced = forced(&arguments.force)?;
    // First of all, while the process has one thread.
    let sandbox = arguments.sandbox.then(Sandbox::enter).transpose();
    let Chosen { outcome, texts, notes, planned } = match choose(arguments) {
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
    let mut found = Vec::new();
    let ended = sandbox.and_then(|sandbox| {
        host::enter(arguments.netns.as_deref())?;
        let texts = texts.unwrap_or_else(|| compiled.texts(&arguments.spec, &outcome.sources));
        Run { arguments, compiled, texts, planned, forced }.load(sandbox.as_ref(), &mut found)
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

/// The spec to load.
struct Chosen {
    outcome: Outcome,
    /// Its texts, where they are not the ones that the spec's path has.
    texts: Option<Texts>,
    notes: Vec<Diagnostic>,
    /// The saved plan that was given instead of a spec.
    planned: Option<SavedPlan>,
}

/// The given spec; at boot only if it is the confirmed one, or if fwc was never used on this host.
fn choose(arguments: &ApplyArgs) -> Result<Chosen, Diagnostic> {
    let failed = |error: StateError| undoable::failure(&error, "nothing was loaded");
    if let Some(plan) = SavedPlan::read(&arguments.spec).map_err(failed)? {
        return planned(arguments, plan);
    }
    let outcome = compile::check(&arguments.spec);
    let given = |outcome| Ok(Chosen { outcome, texts: None, notes: Vec::new(), planned: None });
    if !arguments.confirmed {
        return given(outcome);
    }
    let directory = Directory::existing(&directory::path(arguments.netns.as_deref())).map_err(failed)?;
    let account = directory.as_ref().map(Directory::account).transpose().map_err(failed)?.flatten();
    let (Some(directory), Some(account)) = (directory, account) else { return given(outcome) };
    let name = arguments.spec.display().to_string();
    let Some(confirmed) = account.confirmed else { return Err(finding::never_confirmed::report(&name)) };
    if outcome.compiled.as_ref().is_some_and(|compiled| compiled.hash == confirmed.spec_sha256) {
        return given(outcome);
    }
    let texts: Option<Texts> = directory.read_json(&confirmed.file).map_err(failed)?;
    let gone = || StateError::Corrupt(directory.path().join(&confirmed.file), "it is gone".to_string());
    let texts = texts.ok_or_else(gone).map_err(failed)?;
    let notes = vec![finding::other_confirmed::report(&name, &confirmed.spec_sha256)];
    Ok(Chosen { outcome: compile::check_texts(&texts), texts: Some(texts), notes, planned: None })
}

/// What was planned, if the spec is still the one.
fn planned(arguments: &ApplyArgs, plan: SavedPlan) -> Result<Chosen, Diagnostic> {
    let now = (plan.spec != "-").then(|| compile::check(Path::new(&plan.spec)).compiled);
    if now.is_some_and(|now| now.is_none_or(|now| now.hash != plan.spec_sha256)) {
        let why = format!("{} has changed since", plan.spec);
        return Err(finding::stale_plan::report(&arguments.spec.display().to_string(), &why));
    }
    let texts = plan.texts.clone();
    let outcome = compile::check_texts(&texts);
    Ok(Chosen { outcome, texts: Some(texts), notes: Vec::new(), planned: Some(plan) })
}

/// The findings to go on in spite of. Only what a host says can be overruled: a spec with errors has no rules to load.
fn forced(codes: &[String]) -> Result<Vec<&'static str>, Failure> {
    let overridable = [&finding::live_nat::FINDING, &finding::lockout::FINDING];
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
    texts: Texts,
    planned: Option<SavedPlan>,
    forced: Vec<&'static str>,
}

enum Ended {
    Done(Box<Report>),
    Refused,
}

impl Run<'_> {
    /// Loads, and gives what the last look at the host found.
    fn load(&self, sandbox: Option<&Sandbox>, found: &mut Vec<Diagnostic>) -> Result<Ended, Diagnostic> {
        let prepared = load::prepare(self.compiled)?;
        let mut socket = host::socket()?;
        if let Some(sandbox) = sandbox {
            sandbox.load(&prepared, &mut socket)?;
            return Ok(Ended::Done(Box::new(Report::new("checked in a sandbox", self.compiled, &prepared, 1))));
        }
        if self.arguments.dry_run {
            return self.try_out(&prepared, &mut socket, found);
        }
        let wanted = self.wanted(&prepared);
        let Some(mut undoable) = Undoable::open(&wanted, &mut socket, found)? else { return Ok(Ended::Refused) };
        let healed = found.len();
        for attempt in 1..=ATTEMPTS {
            // Look, decide and load on one generation: what changes in between makes the kernel refuse.
            let generation = socket.generation().map_err(|error| host::kernel_failure(&error))?;
            found.truncate(healed);
            if let Some(stale) = self.stale(generation, &prepared) {
                undoable.abandon();
                found.push(stale);
                return Ok(Ended::Refused);
            }
            found.extend(facts::against(self.compiled, &mut socket, self.arguments.netns.is_some()));
            if self.refused(found) {
                undoable.abandon();
                return Ok(Ended::Refused);
            }
            if !undoable.begin(generation, &mut socket)? {
                continue;
            }
            match load::commit(&prepared, &mut socket, generation) {
                Ok(()) => {
                    return self
                        .loaded(&prepared, &mut socket, &mut undoable, attempt)
                        .map(|report| Ended::Done(Box::new(report)));
                }
                Err(TransactionError::Superseded) => {}
                Err(error) => {
                    undoable.abandon();
                    return Err(load::refusal(&error, attempt));
                }
            }
        }
        undoable.abandon();
        Err(finding::concurrent_change::report(ATTEMPTS))
    }

    /// Why the saved plan no longer fits, if it does not.
    fn stale(&self, generation: Generation, prepared: &Prepared) -> Option<Diagnostic> {
        let plan = self.planned.as_ref()?;
        let why = if plan.kernel != KernelLife::here() {
            "it was made in another network namespace, or before the host restarted"
        } else if plan.generation != generation.0 {
            "the host's nf_tables rules have changed since"
        } else if plan.identity != prepared.identity() {
            "this fwc makes other rules of the spec than the one that planned"
        } else {
            return None;
        };
        Some(finding::stale_plan::report(&self.arguments.spec.display().to_string(), why))
    }

    /// Everything but changing the kernel.
    fn try_out(
        &self,
        prepared: &Prepared,
        socket: &mut Socket,
        found: &mut Vec<Diagnostic>,
    ) -> Result<Ended, Diagnostic> {
        *found = facts::against(self.compiled, socket, self.arguments.netns.is_some());
        let generation = socket.generation().map_err(|error| host::kernel_failure(&error))?;
        found.extend(self.stale(generation, prepared));
        if self.refused(found) {
            return Ok(Ended::Refused);
        }
        load::validate(prepared, socket).map_err(|error| load::refusal(&error, 1))?;
        Ok(Ended::Done(Box::new(Report::new("would load", self.compiled, prepared, 1))))
    }

    fn wanted(&self, prepared: &Prepared) -> Wanted<'_> {
        let planned = self.planned.as_ref().map(|plan| Path::new(plan.spec.as_str()));
        Wanted {
            spec: planned.unwrap_or(&self.arguments.spec),
            spec_sha256: &self.compiled.hash,
            texts: &self.texts,
            identity: prepared.identity(),
            within: self.arguments.confirm_within.map(|within| within.0),
            netns: self.arguments.netns.as_deref(),
            sizing: Sizing::default(),
            at_boot: self.arguments.confirmed,
        }
    }

    /// The kernel has taken it.
    fn loaded(
        &self,
        prepared: &Prepared,
        socket: &mut Socket,
        undoable: &mut Undoable<'_>,
        attempt: u32,
    ) -> Result<Report, Diagnostic> {
        crash::point("loaded");
        load::verify(prepared, socket)?;
        crash::point("verified");
        let mut report = Report::new("loaded", self.compiled, prepared, attempt);
        undoable.settle()?;
        report.stale_entries_deleted = stale::delete(self.compiled, socket)?;
        report.rollback = Some(undoable.undo_words());
        report.confirm = undoable.pending().map(|pending| Confirm {
            within: pending.within,
            until: clock::date(pending.until),
            command: format!("fwc confirm{}", netns_words(self.arguments.netns.as_deref())),
        });
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
    /// What `fwc rollback` does.
    #[serde(skip_serializing_if = "Option::is_none")]
    rollback: Option<String>,
    /// Where it has to be confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm: Option<Confirm>,
}

/// How to keep what was loaded.
#[derive(Debug, Serialize)]
struct Confirm {
    /// In how many seconds.
    within: u32,
    /// Until when.
    until: String,
    /// By which command.
    command: String,
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
            rollback: None,
            confirm: None,
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
        if let Some(Confirm { within, until, command }) = &self.confirm {
            let _ =
                writeln!(text, "  NOT CONFIRMED: rolled back at {until} unless you say `{command}` within {within}s");
        }
        if let Some(undo) = self.rollback.as_deref().filter(|undo| undo.starts_with("is not possible")) {
            let _ = writeln!(text, "  `fwc rollback` {undo}");
        }
        let sizing = &policy.sizing;
        if sizing.max.is_some() || sizing.buckets.is_some() || !sizing.timeouts.is_empty() {
            text.push_str(
                "  the `conntrack` section is not applied to the live host: use `fwc compile --target sysctl` and `--target modprobe`\n",
            );
        }
        text
    }
}
