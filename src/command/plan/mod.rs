//! `fwc plan SPEC`: in what the live table differs from the spec, by service.

mod report;

use std::path::Path;
use std::process::ExitCode;

use super::host::{self, load, sizing, undoable};
use super::output::Output;
use super::status::{Waits, waits};
use super::{Failure, destination, exit};
use crate::cli::PlanArgs;
use crate::compile::{self, Compiled, Outcome};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::host_failure;
use crate::dump::netlink::rule_words;
use crate::kernel::KernelError;
use crate::kernel::changes::{Change, What, changes};
use crate::kernel::listing::own_table;
use crate::kernel::normal::Side;
use crate::kernel::socket::{Generation, Socket};
use crate::kernel::table;
use crate::kernel::wire::Malformed;
use crate::state::clock::KernelLife;
use crate::state::plan::SavedPlan;
use report::Report;

/// `--detailed-exitcode`: there are differences.
const DIFFERS: u8 = 2;
/// How often fwc looks again when the ruleset changes meanwhile.
const ATTEMPTS: u32 = 5;

pub(super) fn run(output: Output, arguments: &PlanArgs) -> Result<ExitCode, Failure> {
    let outcome = compile::check(&arguments.spec);
    let tell = |found: &[Diagnostic]| {
        output.diagnostics(&outcome.sources, &[outcome.diagnostics.as_slice(), found].concat());
    };
    let Some(compiled) = &outcome.compiled else {
        tell(&[]);
        return Ok(ExitCode::from(exit::REFUSED));
    };
    let refused =
        arguments.out.as_deref().and_then(|out| destination::refuse_plan(out, &arguments.spec, &outcome.sources));
    if let Some(refused) = refused {
        tell(&[refused]);
        return Ok(ExitCode::from(exit::REFUSED));
    }
    let looked = match look(arguments, compiled) {
        Ok(looked) => looked,
        Err(diagnostic) => {
            tell(&[diagnostic]);
            // With this flag, 1 is the one word for an error.
            return Ok(ExitCode::from(if arguments.detailed_exitcode { exit::REFUSED } else { exit::HOST }));
        }
    };
    tell(&looked.found);
    if let Some(out) = &arguments.out {
        let plan = saved(arguments, compiled, &outcome, &looked);
        plan.write(out).map_err(|error| Failure::Io(format!("writing {}", out.display()), error))?;
    }
    let report = Report::new(compiled, looked, arguments.out.as_deref());
    output.result(&report.human(), &report)?;
    let differs = arguments.detailed_exitcode && !report.is_same();
    Ok(if differs { ExitCode::from(DIFFERS) } else { ExitCode::SUCCESS })
}

/// What the live table and the spec's differ in, at one generation.
struct Looked {
    changes: Vec<Change>,
    generation: Generation,
    /// The live table's identity.
    live: Option<String>,
    /// What the table will be.
    identity: String,
    /// The apply that waits to be confirmed, which stands in the way of the next one.
    waits: Option<Waits>,
    /// Sizes of the conntrack table that would be set.
    sizes: Vec<sizing::Change>,
    /// What else stands in its way.
    found: Vec<Diagnostic>,
}

fn look(arguments: &PlanArgs, compiled: &Compiled) -> Result<Looked, Diagnostic> {
    host::enter(arguments.netns.as_deref())?;
    let prepared = load::prepare(compiled)?;
    let mut socket = host::socket()?;
    for _ in 0..ATTEMPTS {
        let generation = socket.generation().map_err(|error| host::kernel_failure(&error))?;
        let mut looked = look_once(arguments, &mut socket, &prepared, generation)?;
        match waits(arguments.netns.as_deref()) {
            Ok(waits) => looked.waits = waits,
            Err(error) => looked.found.push(undoable::failure(&error, "`fwc apply` is refused")),
        }
        looked.sizes = sizing::look(compiled).would_change();
        if socket.generation().map_err(|error| host::kernel_failure(&error))? == generation {
            return Ok(looked);
        }
    }
    Err(crate::diagnostic::finding::concurrent_change::report(ATTEMPTS))
}

fn look_once(
    arguments: &PlanArgs,
    socket: &mut Socket,
    prepared: &load::Prepared,
    generation: Generation,
) -> Result<Looked, Diagnostic> {
    let failed = |error: KernelError| host::kernel_failure(&error);
    let (side, there, live) = match undoable::kept(arguments.netns.as_deref(), generation, socket)? {
        Some(kept) => (Side::Sent, kept.messages.bytes, Some(kept.expected.identity())),
        None => {
            let listed = own_table(socket).map_err(failed)?;
            (Side::Listed, listed, table::live(socket).map_err(failed)?.map(|live| live.identity))
        }
    };
    let sent = &prepared.messages.bytes;
    let compared = changes(side, &there, sent).and_then(|changes| in_words(changes, &there, sent));
    let changes = compared.map_err(|why| {
        host_failure::report(format!("the live table cannot be compared: {why}"), "please report this with the spec")
    })?;
    Ok(Looked {
        changes,
        generation,
        live: live.map(|live| live.to_string()),
        identity: prepared.identity(),
        waits: None,
        sizes: Vec::new(),
        found: Vec::new(),
    })
}

/// Gives rules without a comment, which tells what they are for, their text.
fn in_words(mut changes: Vec<Change>, live: &[u8], sent: &[u8]) -> Result<Vec<Change>, Malformed> {
    // The rules of a side are read once it is known that one of them has to be shown.
    let (mut there, mut wanted) = (None, None);
    for change in changes.iter_mut().filter(|change| change.comment.is_none()) {
        let What::Rule(_, number) = change.what else { continue };
        let (known, bytes) = if change.added { (&mut wanted, sent) } else { (&mut there, live) };
        let words = match known {
            Some(words) => words,
            None => known.insert(rule_words(bytes)?),
        };
        change.words = words.get(number).cloned().unwrap_or_default();
    }
    Ok(changes)
}

fn saved(arguments: &PlanArgs, compiled: &Compiled, outcome: &Outcome, looked: &Looked) -> SavedPlan {
    let is_stdin = arguments.spec.as_os_str() == "-";
    let full = if is_stdin { None } else { arguments.spec.canonicalize().ok() };
    let spec: &Path = full.as_deref().unwrap_or(&arguments.spec);
    SavedPlan {
        format: SavedPlan::FORMAT.to_string(),
        version: SavedPlan::VERSION,
        spec: spec.display().to_string(),
        spec_sha256: compiled.hash.clone(),
        identity: looked.identity.clone(),
        kernel: KernelLife::here(),
        generation: looked.generation.0,
        live: looked.live.clone(),
        texts: compiled.texts(&arguments.spec, &outcome.sources),
        sha256: String::new(),
    }
}
