//! Which spec an apply loads: the given one, what a plan has saved, or at boot the confirmed one.

use std::path::Path;

use crate::cli::ApplyArgs;
use crate::command::host::{ownership, undoable};
use crate::compile::{self, Outcome};
use crate::diagnostic::{Diagnostic, finding};
use crate::source::Texts;
use crate::state::plan::{PlanError, SavedPlan};
use crate::state::{Directory, StateError, directory};

/// The spec to load.
pub(super) struct Chosen {
    pub(super) outcome: Outcome,
    /// Its texts, where they are not the ones that the spec's path has.
    pub(super) texts: Option<Texts>,
    pub(super) notes: Vec<Diagnostic>,
    /// The saved plan that was given instead of a spec.
    pub(super) planned: Option<SavedPlan>,
    /// Which of the files others than root could change, if root is about to load them.
    pub(super) files: Vec<Diagnostic>,
}

/// The given spec; at boot only if it is the confirmed one, or if fwc was never used on this host.
pub(super) fn choose(arguments: &ApplyArgs) -> Result<Chosen, Diagnostic> {
    let failed = |error: StateError| undoable::failure(&error, "nothing was loaded");
    let damaged =
        |error: PlanError| finding::stale_plan::damaged(&arguments.spec.display().to_string(), &error.to_string());
    if let Some(plan) = SavedPlan::read(&arguments.spec).map_err(damaged)? {
        return planned(arguments, plan);
    }
    let outcome = compile::check(&arguments.spec);
    // A sandbox is left behind, whoever wrote the spec.
    let files = if arguments.sandbox { Vec::new() } else { ownership::check(&arguments.spec, &outcome.sources) };
    let is_trusted = files.is_empty();
    let given = |outcome| Ok(Chosen { outcome, texts: None, notes: Vec::new(), planned: None, files });
    if !arguments.confirmed {
        return given(outcome);
    }
    let directory = Directory::existing(&directory::path(arguments.netns.as_deref())).map_err(failed)?;
    let account = directory.as_ref().map(Directory::account).transpose().map_err(failed)?.flatten();
    let (Some(directory), Some(account)) = (directory, account) else { return given(outcome) };
    let name = arguments.spec.display().to_string();
    let Some(confirmed) = account.confirmed else { return Err(finding::never_confirmed::report(&name)) };
    let is_confirmed = outcome.compiled.as_ref().is_some_and(|compiled| compiled.hash == confirmed.spec_sha256);
    if is_confirmed && is_trusted {
        return given(outcome);
    }
    let texts: Option<Texts> = directory.read_json(&confirmed.file).map_err(failed)?;
    let gone = || StateError::Corrupt(directory.path().join(&confirmed.file), "it is gone".to_string());
    let texts = texts.ok_or_else(gone).map_err(failed)?;
    // The state directory is root's: what others could change is not read from where they can.
    let other = (!is_confirmed).then(|| finding::other_confirmed::report(&name, &confirmed.spec_sha256));
    let notes = other.into_iter().collect();
    Ok(Chosen { outcome: compile::check_texts(&texts), texts: Some(texts), notes, planned: None, files: Vec::new() })
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
    let files = if arguments.sandbox { Vec::new() } else { ownership::check_file(&arguments.spec) };
    Ok(Chosen { outcome, texts: Some(texts), notes: Vec::new(), planned: Some(plan), files })
}
