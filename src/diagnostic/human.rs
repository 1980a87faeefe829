//! Diagnostics for people.
//!
//! Miette draws. What it draws from is made safe and small here: control characters are replaced by as many plain ones,
//! a label ends with its line, and of a line that is too wide only the part around the label is shown.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, SourceSpan, SpanContents, ThemeStyles};

use super::lines::Lines;
use super::{Diagnostic, Label, Severity};
use crate::source::{FileId, Sources};

/// Diagnostics that are shown; the rest are counted.
const MOST_SHOWN: usize = 100;
/// Longest line that is shown whole, in bytes.
const WIDEST_LINE: usize = 200;
/// Bytes that are shown before the label in a line that is cut.
const BEFORE_LABEL: usize = 60;
/// Largest snippet in bytes. Labels further apart get snippets of their own.
const LARGEST_SNIPPET: usize = 4096;

/// How the reader's screen wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// ANSI colours.
    pub colour: bool,
    /// Lines drawn with box characters; plain ASCII otherwise.
    pub unicode: bool,
    /// Columns to wrap at.
    pub width: usize,
}

impl Look {
    /// Plain ASCII at 100 columns: for files, pipes and tests.
    #[must_use]
    pub fn plain() -> Self {
        Look { colour: false, unicode: false, width: 100 }
    }

    /// For a terminal: colours unless `NO_COLOR` says otherwise, boxes where the locale can show them.
    #[must_use]
    pub fn terminal(width: Option<usize>, no_colour: bool, utf8: bool) -> Self {
        Look { colour: !no_colour, unicode: utf8, width: width.unwrap_or(100).clamp(40, 160) }
    }

    fn handler(self) -> GraphicalReportHandler {
        let mut theme = if self.unicode { GraphicalTheme::unicode() } else { GraphicalTheme::ascii() };
        if !self.colour {
            theme.styles = ThemeStyles::none();
        }
        GraphicalReportHandler::new_themed(theme)
            .with_width(self.width)
            .with_links(false)
            .with_context_lines(1)
            .without_syntax_highlighting()
    }
}

/// The diagnostics as text, the first 100 in full.
///
/// # Errors
/// None that the diagnostics can cause; the signature is that of writing to a text.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, look: Look) -> Result<String, fmt::Error> {
    let handler = look.handler();
    let mut texts = Texts { sources, shown: HashMap::new() };
    let mut out = String::new();
    for (index, diagnostic) in diagnostics.iter().take(MOST_SHOWN).enumerate() {
        if index > 0 {
            out.push('\n');
        }
        render_one(diagnostic, &mut texts, &handler, &mut out)?;
    }
    if let Some(more) = diagnostics.len().checked_sub(MOST_SHOWN).filter(|&more| more > 0) {
        out.push_str(&format!("\nand {more} more\n"));
    }
    Ok(out)
}

/// Head and snippets of the main label's file, then the snippets of other files, then the help.
fn render_one(
    diagnostic: &Diagnostic,
    texts: &mut Texts<'_>,
    handler: &GraphicalReportHandler,
    out: &mut String,
) -> fmt::Result {
    let mut files: Vec<FileId> = Vec::new();
    for label in &diagnostic.labels {
        if !files.contains(&label.place.file) {
            files.push(label.place.file);
        }
    }
    for &file in &files {
        texts.load(file);
    }
    let main = files.first().copied();
    let part = |file: Option<FileId>| Part {
        diagnostic,
        code: file == main,
        help: false,
        text: file.and_then(|file| texts.shown.get(&file)).filter(|text| !text.text.is_empty()),
        file,
    };
    handler.render_report(out, &part(main))?;
    for &file in files.iter().skip(1) {
        out.push_str(&without_head(handler, &part(Some(file)))?);
    }
    out.push_str(&without_head(handler, &Part { code: false, help: true, text: None, file: None, diagnostic })?);
    Ok(())
}

/// Renders a part that repeats no message. Miette writes the message on the first line in any case.
fn without_head(handler: &GraphicalReportHandler, part: &Part<'_>) -> Result<String, fmt::Error> {
    let mut text = String::new();
    handler.render_report(&mut text, part)?;
    Ok(text.split_once('\n').map(|(_, rest)| rest.to_string()).unwrap_or_default())
}

/// A part of a diagnostic, as miette sees it.
struct Part<'a> {
    diagnostic: &'a Diagnostic,
    /// Whether code and message are shown.
    code: bool,
    help: bool,
    text: Option<&'a Shown<'a>>,
    file: Option<FileId>,
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnostic.fmt(f)
    }
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.code { &self.diagnostic.message } else { "" }.replace(is_harmful, "?").as_str())
    }
}

impl std::error::Error for Part<'_> {}

impl miette::Diagnostic for Part<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.code.then(|| Box::new(self.diagnostic.finding.code) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = || self.diagnostic.help.replace(|c| is_harmful(c) && c != '\n', "?");
        (self.help && !self.diagnostic.help.is_empty()).then(|| Box::new(help()) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.text.map(|text| text as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let text = self.text?;
        let here = self.diagnostic.labels.iter().filter(|label| Some(label.place.file) == self.file);
        let mut main = self.diagnostic.labels.first().filter(|_| self.code);
        Some(Box::new(here.map(move |label| {
            let words = (!label.text.is_empty()).then(|| label.text.replace(is_harmful, "?"));
            let span = text.clip(label);
            if main.take().is_some() {
                LabeledSpan::new_primary_with_span(words, span)
            } else {
                LabeledSpan::new_with_span(words, span)
            }
        })))
    }
}

/// The texts that diagnostics have pointed into so far.
struct Texts<'a> {
    sources: &'a Sources,
    shown: HashMap<FileId, Shown<'a>>,
}

impl Texts<'_> {
    fn load(&mut self, file: FileId) {
        let Some(source) = self.sources.get(file) else { return };
        self.shown.entry(file).or_insert_with(|| Shown {
            name: source.name.replace(is_harmful, "?"),
            text: harmless(&source.text),
            lines: Lines::of(&source.text),
        });
    }
}

/// Whether a character can move the cursor or turn the writing direction.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A text with every harmful character replaced by as many bytes.
fn harmless(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| is_harmful(c) && !matches!(c, '\n' | '\r' | '\t');
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{feff}' => clean.push_str("   "),
            c if harmful(c) => clean.extend(std::iter::repeat_n('?', c.len_utf8())),
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// A text as it is shown.
struct Shown<'a> {
    name: String,
    text: Cow<'a, str>,
    lines: Lines,
}

impl Shown<'_> {
    /// A label's span, cut at the end of its first line and at what a screen can show.
    fn clip(&self, label: &Label) -> SourceSpan {
        let start = self.boundary((label.place.start as usize).min(self.text.len()));
        let line_end = self.content_end(self.lines.line(start)).max(start);
        let end = (label.place.end as usize).min(line_end).min(start + WIDEST_LINE - BEFORE_LABEL);
        let end = self.boundary(end.max(start));
        (start, end - start).into()
    }

    /// The end of a line without its line end.
    fn content_end(&self, line: usize) -> usize {
        let (start, end) = self.lines.range(line);
        start + self.text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r']).len()
    }

    /// The byte, or the nearest one before it that starts a character.
    fn boundary(&self, byte: usize) -> usize {
        (0..=byte).rev().find(|&at| self.text.is_char_boundary(at)).unwrap_or(0)
    }

    fn is_wide(&self, line: usize) -> bool {
        let (start, end) = self.lines.range(line);
        end - start > WIDEST_LINE
    }

    /// The bytes to show for a span: whole lines with context, or a part of one line that is too wide. None where that
    /// would not show all of the span, so that its labels get snippets of their own.
    fn window(&self, start: usize, end: usize, before: usize, after: usize) -> Option<(usize, usize)> {
        let (first, last) = (self.lines.line(start), self.lines.line(end.max(start + 1) - 1));
        if self.is_wide(first) {
            let (line_start, line_end) = self.lines.range(first);
            let from = self.boundary(start.saturating_sub(BEFORE_LABEL).max(line_start));
            let to = self.boundary((from + WIDEST_LINE).min(line_end));
            return (end <= to).then_some((from, to));
        }
        if (first..=last).any(|line| self.is_wide(line)) {
            return None;
        }
        let (mut top, mut bottom) = (first, last);
        while top > 0 && first - top < before && !self.is_wide(top - 1) {
            top -= 1;
        }
        while bottom + 1 < self.lines.count() && bottom - last < after && !self.is_wide(bottom + 1) {
            bottom += 1;
        }
        let (from, to) = (self.lines.range(top).0, self.lines.range(bottom).1);
        (to - from <= LARGEST_SNIPPET).then_some((from, to))
    }
}

impl miette::SourceCode for Shown<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (start, end) = (span.offset(), span.offset().saturating_add(span.len()));
        if end > self.text.len() || end - start > LARGEST_SNIPPET {
            return Err(MietteError::OutOfBounds);
        }
        // Without context, miette asks for the place of the span's own first character.
        let window = if before + after == 0 { Some((start, end)) } else { self.window(start, end, before, after) };
        let (from, to) = window.ok_or(MietteError::OutOfBounds)?;
        let data = self.text.get(from..to).ok_or(MietteError::OutOfBounds)?;
        let (line, column) = self.lines.position(&self.text, from);
        let line_count = self.lines.line(to.max(from + 1) - 1) - self.lines.line(from) + 1;
        let span = SourceSpan::from((from, to - from));
        let contents = miette::MietteSpanContents::new_named(
            self.name.clone(),
            data.as_bytes(),
            span,
            line - 1,
            if before + after == 0 { column - 1 } else { 0 },
            line_count,
        );
        Ok(Box::new(contents))
    }
}
