//! From text to what was written.
//!
//! One YAML parser gives events with their bytes; `tree` makes nodes of them, `reader` reads nodes as mappings, lists
//! and values, `decode` knows the sections. There is no second reader that types values by YAML's rules: so every value
//! has its place, `0x50` is no port and `yes` is no truth value, and one run finds all mistakes. Only `files` does I/O.

mod decode;
mod entries;
mod files;
pub mod keys;
mod nat;
mod reader;
mod report;
mod set_file;
mod syntax;
mod tree;

use std::path::Path;
use std::thread;

use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::empty;
use crate::source::{FileId, Sources, Texts};
use crate::spec::Spec;
use files::Folder;
use reader::Seen;
use report::Report;

/// More threads than this do not pay: joining what they have read is one thread's work.
const MOST_PARSERS: usize = 8;

/// A text of fewer bytes is read before threads for its parts would have begun.
const WORTH_PARTS: usize = 64 * 1024;

/// How many threads may read a text.
fn parsers(text: &str) -> usize {
    if text.len() < WORTH_PARTS {
        return 1;
    }
    thread::available_parallelism().map_or(1, usize::from).min(MOST_PARSERS)
}

/// A spec that grows file by file.
#[derive(Default)]
struct Draft {
    spec: Spec,
    seen: Seen,
    report: Report,
    has_content: bool,
}

/// Reads a spec: a file, the `*.yaml` of a directory in the order of their names, or `-` for standard input. Set files
/// are read as well, relative to the spec file's folder.
///
/// Gives all mistakes of all files, by file and place. The spec is there unless a file could not be read to its end; with
/// mistakes it lacks what they concern: a refused value is absent, a set or `from` whose items are all refused is empty.
pub fn read(path: &Path, sources: &mut Sources) -> (Option<Spec>, Vec<Diagnostic>) {
    let mut draft = Draft::default();
    let folder = folder_of(path);
    let files = files::spec_files(path, sources, &mut draft.report);
    finish(draft, files, &Folder::Disk(folder), sources)
}

/// Reads a spec from a text. `name` is what diagnostics call it; set files are relative to `folder`.
pub fn read_text(name: &str, text: &str, folder: &Path, sources: &mut Sources) -> (Option<Spec>, Vec<Diagnostic>) {
    let file = sources.add(name, text);
    finish(Draft::default(), vec![file], &Folder::Disk(folder), sources)
}

/// Reads a spec from texts that were kept.
pub fn read_texts(texts: &Texts, sources: &mut Sources) -> (Option<Spec>, Vec<Diagnostic>) {
    let files = texts.specs.iter().map(|spec| sources.add(spec.name.clone(), spec.text.clone())).collect();
    finish(Draft::default(), files, &Folder::Kept(texts), sources)
}

/// The folder that a spec reads from.
fn folder_of(path: &Path) -> &Path {
    if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) }
}

/// The texts that were read for the spec at `path`, whose own files are these.
#[must_use]
pub fn texts(path: &Path, files: &[FileId], sources: &Sources) -> Texts {
    let is_spec = |at: &usize| files.iter().any(|file| file.index() == *at);
    let all = || sources.iter().cloned().enumerate();
    Texts {
        folder: folder_of(path).display().to_string(),
        specs: all().filter(|(at, _)| is_spec(at)).map(|(_, source)| source).collect(),
        sets: all().filter(|(at, _)| !is_spec(at)).map(|(_, source)| source).collect(),
    }
}

fn finish(
    mut draft: Draft,
    files: Vec<FileId>,
    folder: &Folder<'_>,
    sources: &mut Sources,
) -> (Option<Spec>, Vec<Diagnostic>) {
    for &file in &files {
        let known_sets = draft.spec.sets.len();
        draft.spec.files.push(sources.whole(file));
        if let Some(source) = sources.get(file) {
            decode::file(&source.text, file, &mut draft);
        }
        files::set_files(draft.spec.sets.iter_mut().skip(known_sets), folder, sources, &mut draft.report);
    }
    if let Some(&file) = files.first()
        && !draft.has_content
        && !draft.report.broken
    {
        draft.report.add_fatal(empty::spec(sources.whole(file)));
    }
    let spec = (!draft.report.broken).then_some(draft.spec);
    (spec, draft.report.finish())
}
