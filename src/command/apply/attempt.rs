//! Looking at the host and loading, again and again until the ruleset holds still in between.

use std::path::Path;
use std::time::{Duration, Instant};

use super::report::{Confirm, Report};
use crate::cli::ApplyArgs;
use crate::command::host::facts::{self, Facts};
use crate::command::host::load::{self, Base, Prepared, Sent};
use crate::command::host::nat::Verdict;
use crate::command::host::sandbox::Sandbox;
use crate::command::host::sizing::Sized;
use crate::command::host::undoable::{self, Undoable, Wanted, netns_words};
use crate::command::host::{self, sizing, stale};
use crate::command::status::waits;
use crate::command::waiting;
use crate::compile::Compiled;
use crate::diagnostic::{Diagnostic, finding};
use crate::kernel::socket::{Generation, Socket};
use crate::kernel::transaction::TransactionError;
use crate::source::Texts;
use crate::state::clock::KernelLife;
use crate::state::plan::SavedPlan;
use crate::state::{clock, crash};
use crate::threads;

/// How often fwc looks again when the ruleset changes between look and load.
const ATTEMPTS: u32 = 5;

/// An apply.
pub(super) struct Run<'a> {
    pub(super) arguments: &'a ApplyArgs,
    pub(super) compiled: &'a Compiled,
    pub(super) texts: Texts,
    pub(super) planned: Option<SavedPlan>,
    pub(super) forced: Vec<&'static str>,
}

/// How it ended, if nothing failed.
pub(super) enum Ended {
    Done(Box<Report>),
    Refused,
}

/// What a run works with.
struct Work<'w> {
    prepared: &'w Prepared,
    socket: &'w mut Socket,
    undoable: Undoable<'w>,
    sized: Sized,
    /// The first look, until an attempt has taken it.
    seen: Option<Seen>,
}

/// A look at the host.
struct Seen {
    /// When it began.
    at: Instant,
    /// The ruleset's before it.
    generation: Generation,
    facts: Facts,
}

/// An older look says nothing any more: ssh sessions, listening sockets and the rules of legacy iptables change without a new generation. So it is
/// taken again after a wait for another fwc or for the disk.
const FRESH: Duration = Duration::from_millis(100);

/// Whether an attempt may load.
enum Look {
    /// On the ruleset of this generation.
    Ready(Generation, Vec<Verdict>),
    Refused,
    /// The ruleset has changed meanwhile.
    Changed,
}

impl Run<'_> {
    /// Loads, and gives what the last look at the host found.
    pub(super) fn load(&self, sandbox: Option<&Sandbox>, found: &mut Vec<Diagnostic>) -> Result<Ended, Diagnostic> {
        let mut socket = host::socket()?;
        if let Some(sandbox) = sandbox {
            let prepared = load::prepare(self.compiled)?;
            sandbox.load(&prepared, &mut socket)?;
            return Ok(Ended::Done(Box::new(Report::new("checked in a sandbox", self.compiled, &prepared, 1))));
        }
        if self.arguments.dry_run {
            return self.try_out(&load::prepare(self.compiled)?, &mut socket, found);
        }
        let wanted = self.wanted();
        // The one works and looks, the other mostly waits for the disk. This thread works: it can use again what the spec took of its memory.
        let open = || {
            let mut found = Vec::new();
            (host::socket().and_then(|mut socket| Undoable::open(&wanted, &mut socket, &mut found)), found)
        };
        let ready = || load::prepare(self.compiled).and_then(|prepared| Ok((prepared, self.see(&mut socket)?)));
        let ((undoable, more), ready) = threads::both(open, ready);
        found.extend(more);
        let Some(undoable) = undoable? else { return Ok(Ended::Refused) };
        let (prepared, seen) = ready?;
        let (sized, seen) = (Sized::default(), Some(seen));
        let mut work = Work { prepared: &prepared, socket: &mut socket, undoable, sized, seen };
        let ended = self.attempts(&mut work, found);
        if !matches!(ended, Ok(Ended::Done(_))) {
            found.extend(work.sized.undo());
        }
        ended
    }

    fn attempts(&self, work: &mut Work<'_>, found: &mut Vec<Diagnostic>) -> Result<Ended, Diagnostic> {
        let healed = found.len();
        for attempt in 1..=ATTEMPTS {
            found.truncate(healed);
            let (generation, nat_rules) = match self.look(work, found, attempt) {
                Ok(Look::Ready(generation, nat_rules)) => (generation, nat_rules),
                Ok(Look::Changed) => continue,
                Ok(Look::Refused) => {
                    work.undoable.abandon();
                    return Ok(Ended::Refused);
                }
                Err(failure) => {
                    work.undoable.abandon();
                    return Err(failure);
                }
            };
            let (prepared, socket) = (work.prepared, &mut *work.socket);
            let load = |base: &Base| load::commit(prepared, base, socket, generation);
            match work.undoable.keeping(&prepared.messages, load) {
                Ok(sent) => {
                    let mut report = self.loaded(work, &sent, attempt)?;
                    report.nat_rules = nat_rules;
                    return Ok(Ended::Done(Box::new(report)));
                }
                Err(TransactionError::Superseded) => {}
                Err(error) => {
                    work.undoable.abandon();
                    return Err(load::refusal(&error, attempt));
                }
            }
        }
        work.undoable.abandon();
        // What was seen of a ruleset that did not hold still says nothing about the one that is there.
        found.truncate(healed);
        Err(finding::concurrent_change::report(ATTEMPTS))
    }

    fn see(&self, socket: &mut Socket) -> Result<Seen, Diagnostic> {
        let at = Instant::now();
        let generation = socket.generation().map_err(|error| host::kernel_failure(&error))?;
        Ok(Seen { at, generation, facts: facts::against(self.compiled, socket, self.arguments.netns.is_some()) })
    }

    /// Looks, decides, and makes everything ready on one generation: what changes in between makes the kernel refuse.
    fn look(&self, work: &mut Work<'_>, found: &mut Vec<Diagnostic>, attempt: u32) -> Result<Look, Diagnostic> {
        let now = work.socket.generation().map_err(|error| host::kernel_failure(&error))?;
        let still = work.seen.take().filter(|seen| seen.generation == now && seen.at.elapsed() < FRESH);
        let Seen { generation, facts, .. } = still.map_or_else(|| self.see(work.socket), Ok)?;
        found.extend(self.stale(generation, work.prepared));
        if self.refused(found) {
            return Ok(Look::Refused);
        }
        found.extend(facts.found);
        if self.refused(found) {
            return Ok(Look::Refused);
        }
        if sizing::awaits_module(self.compiled) {
            // The kernel loads the modules that the rules need also when it throws them away.
            load::validate(work.prepared, work.socket).map_err(|error| load::refusal(&error, attempt))?;
        }
        let sizes = sizing::look(self.compiled);
        found.extend(sizes.found.iter().cloned());
        if self.refused(found) {
            return Ok(Look::Refused);
        }
        if !work.undoable.begin(generation, &work.prepared.identity(), &work.sized.former_with(&sizes), work.socket)? {
            return Ok(Look::Changed);
        }
        work.sized.set(&sizes)?;
        crash::point("sized");
        Ok(Look::Ready(generation, facts.nat_rules))
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
        let facts = facts::against(self.compiled, socket, self.arguments.netns.is_some());
        let netns = self.arguments.netns.as_deref();
        let waits = waits(netns).unwrap_or_else(|error| {
            found.push(undoable::failure(&error, "an apply is refused"));
            None
        });
        found.extend(waits.as_ref().and_then(|waits| waiting::refusal(waits, netns)));
        found.extend(facts.found);
        let generation = socket.generation().map_err(|error| host::kernel_failure(&error))?;
        found.extend(self.stale(generation, prepared));
        if self.refused(found) {
            return Ok(Ended::Refused);
        }
        load::validate(prepared, socket).map_err(|error| load::refusal(&error, 1))?;
        let sizes = sizing::look(self.compiled);
        found.extend(sizes.found.iter().cloned());
        if self.refused(found) {
            return Ok(Ended::Refused);
        }
        let mut report = Report::new("would load", self.compiled, prepared, 1);
        report.sizing = sizes.would_change();
        report.nat_rules = facts.nat_rules;
        report.pending = waits;
        Ok(Ended::Done(Box::new(report)))
    }

    fn wanted(&self) -> Wanted<'_> {
        let planned = self.planned.as_ref().map(|plan| Path::new(plan.spec.as_str()));
        Wanted {
            spec: planned.unwrap_or(&self.arguments.spec),
            spec_sha256: &self.compiled.hash,
            texts: &self.texts,
            within: self.arguments.confirm_within.map(|within| within.0),
            netns: self.arguments.netns.as_deref(),
            at_boot: self.arguments.confirmed,
        }
    }

    /// The kernel has taken it. From here on, the sizes belong to the rules that are loaded.
    fn loaded(&self, work: &mut Work<'_>, sent: &Sent, attempt: u32) -> Result<Report, Diagnostic> {
        crash::point("loaded");
        let changes = work.sized.keep();
        let generation = load::verify(work.prepared, sent, work.socket)?;
        crash::point("verified");
        let mut report = Report::new("loaded", self.compiled, work.prepared, attempt);
        report.sizing = changes;
        report.sent(sent);
        work.undoable.settle(generation)?;
        report.conntrack_kept = self.arguments.keep_conntrack;
        if !report.conntrack_kept {
            report.stale_entries_deleted = stale::delete(self.compiled, work.socket)?;
        }
        report.rollback = Some(work.undoable.undo_words());
        report.confirm = work.undoable.pending().map(|pending| Confirm {
            within: pending.within,
            until: clock::date(pending.until),
            command: format!("fwc confirm{}", netns_words(self.arguments.netns.as_deref())),
        });
        Ok(report)
    }

    /// Whether anything speaks against loading that is not overruled.
    pub(super) fn refused(&self, found: &[Diagnostic]) -> bool {
        found.iter().any(|found| found.is_error() && !self.forced.contains(&found.finding.code))
    }
}
