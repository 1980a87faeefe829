//! FWC530: where a command that reads a spec must not write.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::would_overwrite;
use crate::source::Sources;
use crate::state::plan::SavedPlan;

/// Why nothing may be written to `to`, the path behind `option`: the spec at `spec`, with all that was read for it, would change.
pub(super) fn refuse(to: &Path, option: &str, spec: &Path, sources: &Sources) -> Option<Diagnostic> {
    let name = to.display().to_string();
    if is_input(to, spec, sources) {
        return Some(would_overwrite::input(&name, option));
    }
    is_part(to, spec).then(|| would_overwrite::part(&name, &spec.display().to_string(), option))
}

/// The same for a saved plan, which also takes the place of nothing but an older one. An empty file, such as mktemp makes, is nothing.
pub(super) fn refuse_plan(to: &Path, spec: &Path, sources: &Sources) -> Option<Diagnostic> {
    let is_free = || match fs::symlink_metadata(to) {
        // What else is wrong with the path is told by the attempt to write there.
        Err(_) => true,
        Ok(found) => (found.is_file() && found.len() == 0) || SavedPlan::is_at(to),
    };
    let refused = refuse(to, "--out", spec, sources);
    refused.or_else(|| (!is_free()).then(|| would_overwrite::no_plan(&to.display().to_string())))
}

/// Whether it is a file that was read, by whatever path.
fn is_input(to: &Path, spec: &Path, sources: &Sources) -> bool {
    let Ok(found) = fs::metadata(to) else { return false };
    let from_input = spec.as_os_str() == "-";
    let read = sources.iter().enumerate().map(|(at, source)| match at {
        // What the shell opened for `<`.
        0 if from_input => Path::new("/dev/stdin"),
        _ => Path::new(&source.name),
    });
    // A terminal is read and written.
    found.is_file() && read.filter_map(|path| fs::metadata(path).ok()).any(|read| is_same(&read, &found))
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Whether a spec that is a directory would have the file as a part, or be refused for its name.
fn is_part(to: &Path, spec: &Path) -> bool {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (Ok(folder), Ok(spec)) = (fs::metadata(folder), fs::metadata(spec)) else { return false };
    let ending = to.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    spec.is_dir() && is_same(&folder, &spec) && matches!(ending.as_deref(), Some("yaml" | "yml"))
}
