//! Writing: data on standard output, diagnostics on standard error.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::cli::Format;
use crate::diagnostic::{Diagnostic, human, json};
use crate::source::Sources;

/// How this run writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Output { format }
    }

    pub(crate) fn format(self) -> Format {
        self.format
    }

    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Data as it is. A reader that has gone away is not an error.
    pub(crate) fn data(self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// A result: `human` for people, `value` for programs.
    pub(crate) fn result(self, human: &str, value: &impl Serialize) -> io::Result<()> {
        if self.is_json() {
            let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
            self.data(&format!("{text}\n"))
        } else {
            self.data(human)
        }
    }

    /// Diagnostics, to standard error.
    pub(crate) fn diagnostics(self, sources: &Sources, diagnostics: &[Diagnostic]) {
        if diagnostics.is_empty() {
            return;
        }
        let text = if self.is_json() {
            json::render(sources, diagnostics)
        } else {
            human::render(sources, diagnostics, human::Style::of_terminal(io::stderr().is_terminal()))
        };
        // Where standard error is gone there is nobody left to tell.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}
