//! Diagnostics as workflow commands of GitHub Actions: annotations beside the lines of a pull request.

use std::fmt::Write as _;

use super::json::{Document, Item};

/// One `::error …::` or `::warning …::` line a diagnostic.
#[must_use]
pub fn render(document: &Document<'_>) -> String {
    document.diagnostics.iter().fold(String::new(), |mut text, item| {
        let _ = writeln!(text, "::{}{}::{}", item.severity, place(item), message(item));
        text
    })
}

fn place(item: &Item<'_>) -> String {
    let title = format!("title={}", property(item.code));
    match item.labels.first() {
        None => format!(" {title}"),
        Some(label) => format!(
            " file={},line={},endLine={},col={},endColumn={},{title}",
            property(label.file),
            label.line,
            label.end_line,
            label.column,
            label.end_column
        ),
    }
}

fn message(item: &Item<'_>) -> String {
    data(&format!("{}\nhelp: {}", item.message, item.help))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
