//! FWC102: text that is not YAML, or YAML that a spec has no use for.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC102",
    severity: Severity::Error,
    title: "not YAML",
    explanation: "\
The text is not YAML 1.2, or uses a part of YAML that a spec has no use for: tags, several documents in one file, aliases
that nothing anchors or that expand without end, nesting deeper than 64 levels. The rest of the file is not read after
a mistake in the syntax, so more mistakes may show up once it is cured.

    services:
      ssh: {listen: *:22}

Here `*` starts a YAML alias. Values that start with `*`, `[`, `{`, `@`, `%` or a backtick, or that hold `: ` or end in `:`,
go in quotes:

    services:
      ssh: {listen: \"*:22\"}",
};

/// A mistake in the syntax.
pub fn syntax(message: impl Into<String>, help: impl Into<String>, place: Place) -> Diagnostic {
    Diagnostic::new(&FINDING, message, help).at(place, "")
}

/// A value that YAML reads as something else unless it is quoted.
pub fn quoteless(token: &str, place: Place) -> Diagnostic {
    let reason = match token.chars().next() {
        Some('*') => "YAML reads it as an alias",
        Some('[') => "YAML reads it as a list",
        Some('@' | '`' | '%') => "YAML reserves its first character",
        _ => "YAML reads it as a mapping",
    };
    let message = format!("`{token}` must stand in quotes: {reason}");
    Diagnostic::new(&FINDING, message, format!("write \"{token}\"")).at(place, "")
}

/// A tag.
pub fn tag(token: &str, place: Place) -> Diagnostic {
    let message = format!("a spec has no YAML tags such as `{token}`");
    Diagnostic::new(&FINDING, message, format!("leave `{token}` out, or put a value that starts with `!` in quotes"))
        .at(place, "")
}

/// A second document in one file.
pub fn second_document(place: Place) -> Diagnostic {
    let help = "put each spec in a file of its own, or join them under one set of keys";
    Diagnostic::new(&FINDING, "a second document starts here, and a file holds one spec", help).at(place, "")
}

/// More nodes than fwc takes.
pub fn too_many_nodes(most: usize, place: Place) -> Diagnostic {
    let message = format!("the file has more than {most} keys and values");
    Diagnostic::new(&FINDING, message, "move long lists of addresses to a set file: `{file: NAME}`").at(place, "")
}

/// Aliases that expand without end.
pub fn alias_bomb(place: Place) -> Diagnostic {
    let message = "the aliases of this file expand to more values than any spec has";
    Diagnostic::new(&FINDING, message, "write the values out, or give them a name under `sets`")
        .at(place, "the first alias")
}
