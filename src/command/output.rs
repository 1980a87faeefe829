//! Writing: data on standard output, diagnostics on standard error.

use std::io::{self, IsTerminal, Write};
use std::{env, fmt};

use serde::Serialize;

use crate::cli::Format;
use crate::diagnostic::human::{self, Look};
use crate::diagnostic::{Diagnostic, json};
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
        self.bytes(text.as_bytes())
    }

    /// The same where the text is bytes.
    pub(crate) fn bytes(self, text: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match out.write_all(text).and_then(|()| out.flush()) {
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
            json::render([(diagnostics, sources)]).map_err(|_| fmt::Error)
        } else {
            human::render(diagnostics, sources, look())
        };
        // Where standard error is gone there is nobody left to tell.
        let _ = io::stderr().lock().write_all(text.unwrap_or_default().as_bytes());
    }
}

/// A word to the person, on standard error. Where that is gone, the exit code tells enough.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(io::stderr().lock(), "fwc: {text}");
}

/// Colours and boxes on a terminal only.
fn look() -> Look {
    if !io::stderr().is_terminal() {
        return Look::plain();
    }
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    let utf8 =
        locale.is_some_and(|locale| locale.to_string_lossy().to_ascii_lowercase().replace('-', "").contains("utf8"));
    let width = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    Look::terminal(width, set("NO_COLOR").is_some(), utf8)
}
