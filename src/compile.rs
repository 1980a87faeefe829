//! The way of the data, read aloud: read, resolve, lower.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::diagnostic::Diagnostic;
use crate::lower::lower;
use crate::parse;
use crate::policy::{Policy, Role, resolve};
use crate::ruleset::Ruleset;
use crate::source::{FileId, Place, Sources, Texts};
use crate::spec::Spec;

/// A spec without errors, with what it means.
#[derive(Debug)]
pub struct Compiled {
    /// What it means.
    pub policy: Policy,
    /// The rules, once somebody has asked for them.
    ruleset: OnceLock<Ruleset>,
    /// The spec's first file as a whole, for what no single token says.
    pub whole: Place,
    /// The spec's files.
    files: Vec<FileId>,
    /// SHA-256 of all texts that make the spec up (spec and set files, in the order read), in hex.
    pub hash: String,
}

impl Compiled {
    /// The rules. They are made when they are first asked for: checking a spec needs none.
    #[must_use]
    pub fn ruleset(&self) -> &Ruleset {
        self.ruleset.get_or_init(|| lower(&self.policy))
    }

    /// What it means for at most so many entries, evenly taken from all.
    #[must_use]
    pub fn sample(&self, most: usize) -> Cow<'_, Policy> {
        match self.policy.entries.len().div_ceil(most.max(1)) {
            0 | 1 => Cow::Borrowed(&self.policy),
            step => Cow::Owned(self.policy.thinned(step)),
        }
    }

    /// The texts of the spec, read from `path` into `sources`, to be kept.
    #[must_use]
    pub fn texts(&self, path: &Path, sources: &Sources) -> Texts {
        parse::texts(path, &self.files, sources)
    }

    /// Where a missing service would be written: beside the last one, else anywhere in the spec.
    #[must_use]
    pub fn beside_services(&self) -> Place {
        let services = self.policy.entries.iter().rfind(|entry| matches!(entry.role, Role::Service { .. }));
        services.map_or(self.whole, |entry| entry.place)
    }
}

/// What became of a spec: its texts, everything that is wrong or odd, and the result where nothing is wrong.
#[derive(Debug)]
pub struct Outcome {
    /// The texts that were read.
    pub sources: Sources,
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// The result; `None` where there is an error.
    pub compiled: Option<Compiled>,
}

/// Everything that needs no host: reads the spec at `path` (`-` is standard input), resolves and checks it.
#[must_use]
pub fn check(path: &Path) -> Outcome {
    let mut sources = Sources::default();
    let (spec, diagnostics) = parse::read(path, &mut sources);
    finish(sources, spec, diagnostics)
}

/// The same for texts that were kept.
#[must_use]
pub fn check_texts(texts: &Texts) -> Outcome {
    let mut sources = Sources::default();
    let (spec, diagnostics) = parse::read_texts(texts, &mut sources);
    finish(sources, spec, diagnostics)
}

/// The same for a text in memory. Set files are relative to `folder`.
#[must_use]
pub fn check_text(name: &str, text: &str, folder: &Path) -> Outcome {
    let mut sources = Sources::default();
    let (spec, diagnostics) = parse::read_text(name, text, folder, &mut sources);
    finish(sources, spec, diagnostics)
}

fn finish(sources: Sources, spec: Option<Spec>, mut diagnostics: Vec<Diagnostic>) -> Outcome {
    let Some(spec) = spec else { return Outcome { sources, diagnostics, compiled: None } };
    let (policy, found) = resolve(&spec);
    diagnostics.extend(found);
    diagnostics.sort_by_key(|found| found.labels.first().map(|label| (label.place, found.finding.code)));
    let sound = !diagnostics.iter().any(Diagnostic::is_error);
    let compiled = spec.files.first().filter(|_| sound).map(|&whole| Compiled {
        ruleset: OnceLock::new(),
        whole,
        files: spec.files.iter().map(|place| place.file).collect(),
        hash: hash(&sources),
        policy,
    });
    Outcome { sources, diagnostics, compiled }
}

/// Names do not count, so that the same content gives the same hash wherever it lies.
fn hash(sources: &Sources) -> String {
    let mut hasher = Sha256::new();
    for source in sources.iter() {
        hasher.update(u64::try_from(source.text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(source.text.as_bytes());
    }
    hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
