//! Diagnostics for programs: one JSON document a run.
//!
//! ```json
//! {"format": "fwc-diagnostics", "version": 1, "diagnostics": [
//!   {"code": "FWC103", "severity": "error", "message": "…", "help": "…", "labels": [
//!     {"file": "web.yaml", "line": 3, "column": 5, "end_line": 3, "end_column": 11,
//!      "start_byte": 25, "end_byte": 31, "text": ""}]}]}
//! ```
//!
//! Lines and columns count from 1, columns in characters, ends are exclusive; bytes count from 0. The first label is the
//! main one. Keys may be added within a version; none is removed or changes its meaning.

use std::collections::HashMap;

use serde::Serialize;

use super::lines::Lines;
use super::{Diagnostic, Label, Severity};
use crate::source::{FileId, Sources};

/// The document.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    /// `fwc-diagnostics`.
    pub format: &'static str,
    /// 1.
    pub version: u32,
    /// Sorted by file, place and code.
    pub diagnostics: Vec<Item<'a>>,
}

/// A diagnostic.
#[derive(Debug, Serialize)]
pub struct Item<'a> {
    /// `FWC103`.
    pub code: &'static str,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// What is wrong.
    pub message: &'a str,
    /// What to write instead.
    pub help: &'a str,
    /// The tokens, the main one first.
    pub labels: Vec<Token<'a>>,
}

/// A token in a text.
#[derive(Debug, Serialize)]
pub struct Token<'a> {
    /// The text's name: the path as given, `<stdin>`.
    pub file: &'a str,
    /// Line of the first character, from 1.
    pub line: usize,
    /// Column of the first character, from 1, in characters.
    pub column: usize,
    /// Line of the end.
    pub end_line: usize,
    /// Column of the end, exclusive.
    pub end_column: usize,
    /// First byte, from 0.
    pub start_byte: u32,
    /// One past the last byte.
    pub end_byte: u32,
    /// A few words about it; may be empty.
    pub text: &'a str,
}

/// The document of the diagnostics of some specs, each with its texts.
#[must_use]
pub fn document<'a>(specs: impl IntoIterator<Item = (&'a [Diagnostic], &'a Sources)>) -> Document<'a> {
    let diagnostics = specs.into_iter().flat_map(|(diagnostics, sources)| items(diagnostics, sources)).collect();
    Document { format: "fwc-diagnostics", version: 1, diagnostics }
}

fn items<'a>(diagnostics: &'a [Diagnostic], sources: &'a Sources) -> Vec<Item<'a>> {
    let mut lines = HashMap::new();
    let item = |diagnostic: &'a Diagnostic| Item {
        code: diagnostic.finding.code,
        severity: match diagnostic.finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        message: &diagnostic.message,
        help: &diagnostic.help,
        labels: diagnostic.labels.iter().filter_map(|label| token(label, sources, &mut lines)).collect(),
    };
    diagnostics.iter().map(item).collect()
}

/// The document as text, with a line end.
///
/// # Errors
/// None that the values of the document can cause; the signature is serde's.
pub fn render<'a>(
    specs: impl IntoIterator<Item = (&'a [Diagnostic], &'a Sources)>,
) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string(&document(specs))?;
    text.push('\n');
    Ok(text)
}

fn token<'a>(label: &'a Label, sources: &'a Sources, lines: &mut HashMap<FileId, Lines>) -> Option<Token<'a>> {
    let source = sources.get(label.place.file)?;
    let lines = lines.entry(label.place.file).or_insert_with(|| Lines::of(&source.text));
    let (line, column) = lines.position(&source.text, label.place.start as usize);
    let (end_line, end_column) = lines.position(&source.text, label.place.end as usize);
    Some(Token {
        file: &source.name,
        line,
        column,
        end_line,
        end_column,
        start_byte: label.place.start,
        end_byte: label.place.end,
        text: &label.text,
    })
}
