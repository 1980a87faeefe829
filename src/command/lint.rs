//! `fwc lint FILE...`: the traps in rulesets of other tools.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::output::{Output, remark};
use super::{Failure, exit};
use crate::cli::ForeignArgs;
use crate::diagnostic::{Diagnostic, Severity};
use crate::dump::Dump;
use crate::import;
use crate::source::{FileId, Sources};

pub(super) fn run(output: Output, arguments: &ForeignArgs) -> Result<ExitCode, Failure> {
    let mut sources = Sources::default();
    let Some(dump) = read(&arguments.files, &mut sources)? else { return Ok(ExitCode::from(exit::REFUSED)) };
    let found = match import::lint::lint(&dump) {
        Ok(found) => found,
        Err(error) => {
            remark(&error.to_string());
            return Ok(ExitCode::from(exit::REFUSED));
        }
    };
    output.diagnostics(&sources, &found);
    if !output.is_json() {
        // Standard error may be gone; the exit code tells all the same.
        let _ = writeln!(std::io::stderr().lock(), "{}", summary(&dump, &found));
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::REFUSED) })
}

fn summary(dump: &Dump, found: &[Diagnostic]) -> String {
    let rules = dump.rules().count();
    let warnings = found.iter().filter(|one| one.finding.severity == Severity::Warning).count();
    let what = match warnings {
        0 => "nothing found".to_string(),
        1 => "1 finding".to_string(),
        more => format!("{more} findings"),
    };
    format!("{rules} rules: {what}")
}

/// Reads all files as one ruleset. `None`: it has been said why not.
fn read(files: &[PathBuf], sources: &mut Sources) -> Result<Option<Dump>, Failure> {
    let ids = texts(files, sources)?;
    match import::read(&ids, sources) {
        Ok(dump) => Ok(Some(dump)),
        Err(why) => {
            remark(&why);
            Ok(None)
        }
    }
}

/// Takes in the texts of files; `-` is standard input.
pub(super) fn texts(files: &[PathBuf], sources: &mut Sources) -> Result<Vec<FileId>, Failure> {
    let mut ids: Vec<FileId> = Vec::new();
    for path in files {
        let (name, bytes) = one(path).map_err(|error| Failure::Io(format!("reading {}", path.display()), error))?;
        ids.push(sources.add(name, String::from_utf8_lossy(&bytes).into_owned()));
    }
    Ok(ids)
}

/// Rulesets are large, but not as large as this.
const LIMIT: u64 = 256 << 20;

fn one(path: &Path) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(LIMIT).read_to_end(&mut bytes)?;
        return Ok(("<stdin>".to_string(), bytes));
    }
    std::fs::File::open(path)?.take(LIMIT).read_to_end(&mut bytes)?;
    Ok((path.display().to_string(), bytes))
}
