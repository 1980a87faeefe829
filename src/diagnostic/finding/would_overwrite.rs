//! FWC530: a file would be written where something else is.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC530",
    severity: Severity::Error,
    title: "a file would be written over another",
    explanation: "\
`fwc compile -o FILE` and `fwc plan --out FILE` write nothing over a file that they read: the spec, a file of a spec in a directory, a set file. Nor do they
write a new `*.yaml` into the directory of a spec, where it would be read as a part of the spec the next time.

`fwc plan --out FILE` also leaves every other file alone: only an older saved plan, or an empty file, is replaced. `fwc compile -o FILE` replaces other files,
because it is run again whenever the spec changes.

Give another path. The shell opens the file of a `>` before fwc is started: `fwc import rules > rules` empties `rules`, and no program can prevent it.
",
};

/// `path` was read for the spec.
pub fn input(path: &str, option: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("{path} is a file of the spec, and would be written over; nothing was written"),
        format!("give `{option}` a path where no file of the spec is"),
    )
}

/// `path` would be read as a part of the spec in `directory`.
pub fn part(path: &str, directory: &str, option: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("{path} would be read as a part of the spec in {directory} the next time; nothing was written"),
        format!("give `{option}` a path in another directory, or a name that does not end in .yaml or .yml"),
    )
}

/// There is something at `path` that is not a saved plan.
pub fn no_plan(path: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("{path} is there already, and is not a saved plan; nothing was written"),
        "give `--out` a path where nothing is, or an older saved plan; or remove what is there first",
    )
}
