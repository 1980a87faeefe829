//! `fwc import FILE...`: a spec that means the same as rulesets of other tools.

use std::process::ExitCode;

use super::lint::texts;
use super::output::{Output, remark};
use super::{Failure, exit};
use crate::cli::ForeignArgs;
use crate::diagnostic::finding::import_refused;
use crate::import;
use crate::source::{FileId, Place, Sources};

pub(super) fn run(output: Output, arguments: &ForeignArgs) -> Result<ExitCode, Failure> {
    let mut sources = Sources::default();
    let files = texts(&arguments.files, &mut sources)?;
    let name = names(&files, &sources);
    let dump = match import::read(&files, &mut sources) {
        Ok(dump) => dump,
        Err(why) => {
            let place = files.first().map(|&file| first_line(file, &sources));
            let found: Vec<_> = place.map(|place| import_refused::unreadable(place, &why)).into_iter().collect();
            output.diagnostics(&sources, &found);
            return Ok(ExitCode::from(exit::REFUSED));
        }
    };
    let imported = match import::draft::import(&dump, &mut sources, &name) {
        Ok(imported) => imported,
        Err(error) => {
            remark(&error.to_string());
            return Ok(ExitCode::from(exit::REFUSED));
        }
    };
    output.diagnostics(&sources, &imported.diagnostics);
    output.data(&imported.text)?;
    Ok(if imported.same { ExitCode::SUCCESS } else { ExitCode::from(exit::REFUSED) })
}

/// What the files are called together.
fn names(files: &[FileId], sources: &Sources) -> String {
    let names: Vec<&str> =
        files.iter().filter_map(|&file| sources.get(file)).map(|source| last(&source.name)).collect();
    match names.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        all => all.concat(),
    }
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn first_line(file: FileId, sources: &Sources) -> Place {
    let whole = sources.whole(file);
    let length = sources.at(whole).lines().next().map_or(0, str::len);
    whole.part(&(0..length))
}
