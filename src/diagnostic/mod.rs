//! Diagnostics: what is wrong, where, and what to write instead.
//!
//! Each finding is a file in [`finding`]: its code, severity, title and explanation, and the functions that
//! report it. [`human`] and [`json`] render; `human` is the only place that knows miette.

pub mod finding;
pub mod github;
pub mod human;
pub mod json;
mod lines;
pub mod sarif;

pub use crate::net::nearest;
use crate::source::Place;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The spec is refused.
    Error,
    /// The spec is taken, but somebody should look.
    Warning,
}

/// A kind of diagnostic. Its code is stable: it never changes its meaning.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// `FWC101`, …: 1xx reading, 2xx meaning, 3xx NAT, 4xx the live host, 5xx the transaction, 6xx tests and proofs, 7xx foreign rulesets.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// A few words, lower case, for lists.
    pub title: &'static str,
    /// What `fwc explain` prints: what it means, why it matters, an example, the cure. Markdown.
    pub explanation: &'static str,
}

/// A place with a few words about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The exact token.
    pub place: Place,
    /// What it has to do with the finding; may be empty.
    pub text: String,
}

/// One finding in one spec or host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The kind.
    pub finding: &'static Finding,
    /// What is wrong: lower case, one sentence, in the user's words.
    pub message: String,
    /// The tokens: the first is the main one. Empty only for findings on the live host.
    pub labels: Vec<Label>,
    /// What to do instead.
    pub help: String,
}

impl Diagnostic {
    /// A diagnostic without a place yet.
    pub fn new(finding: &'static Finding, message: impl Into<String>, help: impl Into<String>) -> Self {
        Diagnostic { finding, message: message.into(), labels: Vec::new(), help: help.into() }
    }

    /// Points at a token. The first label is the main one.
    #[must_use]
    pub fn at(mut self, place: Place, text: impl Into<String>) -> Self {
        self.labels.push(Label { place, text: text.into() });
        self
    }

    /// Whether it refuses the spec.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.finding.severity == Severity::Error
    }
}

/// Puts diagnostics in the order in which they are shown: by file, place and code. Those without a place come first.
pub fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by_key(|diagnostic| (diagnostic.labels.first().map(|label| label.place), diagnostic.finding.code));
}

/// The words as a choice: `a`, `b` or `c`.
fn choice(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => format!("`{word}`"),
        [first, last] => format!("`{first}` or `{last}`"),
        [first, rest @ ..] => format!("`{first}`, {}", choice(rest)),
    }
}
