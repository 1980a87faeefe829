//! Opening and reading files: the only I/O of reading a spec.
//!
//! Regular files only, and each with a cap, so that a FIFO, a device or an endless file ends in a diagnostic.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::report::Report;
use super::set_file;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{empty, unreadable};
use crate::net::AddressRanges;
use crate::source::{FileId, Place, Placed, Sources, Texts};
use crate::spec::{Entry, SetSpec};

/// All spec files of one run together, in bytes.
const MOST_SPEC_BYTES: u64 = 64 * 1024 * 1024;
/// One set file, in bytes.
const MOST_SET_BYTES: u64 = 256 * 1024 * 1024;

const PIPE_HELP: &str = "give a regular file, or pipe a program's output into `fwc check -`";

/// Why a file could not be read: a few words, and what to do.
struct Refused {
    reason: String,
    help: &'static str,
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        let (reason, help) = match error.kind() {
            io::ErrorKind::NotFound => {
                ("it does not exist", "check the path; a path in a spec is relative to the spec")
            }
            io::ErrorKind::PermissionDenied => ("permission denied", "run as a user who may read it"),
            _ => return Refused { reason: error.to_string(), help: "check the path and the file system" },
        };
        Refused { reason: reason.to_string(), help }
    }
}

/// The texts of a spec, by their names: one file, the `*.yaml` of a directory, or `-` for standard input. What cannot be
/// read is reported.
pub(super) fn spec_files(path: &Path, sources: &mut Sources, report: &mut Report) -> Vec<FileId> {
    if path.as_os_str() == "-" {
        let text = capped(&mut io::stdin().lock(), MOST_SPEC_BYTES);
        return add("<stdin>".to_string(), text, sources, report).into_iter().collect();
    }
    let paths = match directory(path) {
        None => vec![path.to_path_buf()],
        Some(Ok(paths)) => paths,
        Some(Err(refused)) => {
            unreadable(&path.display().to_string(), &refused, sources, report);
            return Vec::new();
        }
    };
    let mut left = MOST_SPEC_BYTES;
    let mut files = Vec::new();
    for path in paths {
        let text = regular(&path, left);
        left = left.saturating_sub(text.as_ref().map_or(0, |text| text.len() as u64));
        files.extend(add(path.display().to_string(), text, sources, report));
    }
    files
}

/// The `*.yaml` of a directory by name; `None` if it is no directory.
fn directory(path: &Path) -> Option<Result<Vec<PathBuf>, Refused>> {
    std::fs::metadata(path).is_ok_and(|found| found.is_dir()).then(|| {
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            // Names with a dot in front are an editor's or a config map's own.
            if name.starts_with('.') {
                continue;
            }
            let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
            match extension.as_deref() {
                Some("yaml") if name.ends_with(".yaml") => paths.push(path),
                Some("yaml" | "yml") => {
                    let reason = format!("`{name}` looks like a part of the spec, but only *.yaml is read");
                    return Err(Refused { reason, help: "rename it so that it ends in .yaml, or move it away" });
                }
                _ => {}
            }
        }
        if paths.is_empty() {
            let reason = "the directory has no *.yaml".to_string();
            return Err(Refused { reason, help: "name a spec file, or a directory with specs that end in .yaml" });
        }
        paths.sort();
        Ok(paths)
    })
}

/// Where the files of sets are.
pub(super) enum Folder<'a> {
    /// On the disk, below this one.
    Disk(&'a Path),
    /// Among texts that were kept.
    Kept(&'a Texts),
}

impl Folder<'_> {
    /// A file's name in full, and its bytes.
    fn read(&self, path: &str) -> (String, Result<Vec<u8>, Refused>) {
        match self {
            Folder::Disk(folder) => {
                let full = folder.join(path);
                (full.display().to_string(), regular(&full, MOST_SET_BYTES))
            }
            Folder::Kept(texts) => {
                let name = Path::new(&texts.folder).join(path).display().to_string();
                let kept = texts.sets.iter().find(|set| set.name == name).map(|set| set.text.clone().into_bytes());
                (name, kept.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into()))
            }
        }
    }
}

/// Reads the files of the sets that have one; `folder` is that of the spec.
pub(super) fn set_files<'a>(
    sets: impl Iterator<Item = &'a mut Entry<SetSpec>>,
    folder: &Folder<'_>,
    sources: &mut Sources,
    report: &mut Report,
) {
    for set in sets {
        let SetSpec::File { path, ranges } = &mut set.value else { continue };
        let (name, bytes) = folder.read(&path.value);
        let text = match bytes.map(String::from_utf8) {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => {
                not_utf8(name, &error, sources, report);
                continue;
            }
            Err(Refused { reason, help }) => {
                report.add(unreadable::file(&name, &reason, help, path.place));
                continue;
            }
        };
        *ranges = set_ranges(name, text, path, sources, report);
    }
}

fn set_ranges(
    name: String,
    text: String,
    path: &Placed<String>,
    sources: &mut Sources,
    report: &mut Report,
) -> AddressRanges {
    let content = set_file::read(&text);
    if content.is_good() && content.ranges.is_empty() {
        report.add(empty::set_file(&name, path.place));
    }
    // Kept also where nothing in it has to be shown: the spec's hash covers it.
    let file = sources.add(name, text);
    content.report(file, path.place, report);
    content.ranges
}

/// Takes a spec's bytes in as a source, or reports why it cannot be read.
fn add(name: String, bytes: Result<Vec<u8>, Refused>, sources: &mut Sources, report: &mut Report) -> Option<FileId> {
    match bytes.map(String::from_utf8) {
        Ok(Ok(text)) => Some(sources.add(name, text)),
        Ok(Err(error)) => {
            not_utf8(name, &error, sources, report);
            report.broken = true;
            None
        }
        Err(refused) => {
            unreadable(&name, &refused, sources, report);
            None
        }
    }
}

/// Reports the first byte that is not UTF-8. Up to it, the shown text is the file's.
fn not_utf8(name: String, error: &std::string::FromUtf8Error, sources: &mut Sources, report: &mut Report) {
    let at = error.utf8_error().valid_up_to();
    let byte = error.as_bytes().get(at).copied().unwrap_or(0);
    let shown = String::from_utf8_lossy(error.as_bytes()).into_owned();
    let start = u32::try_from(at).unwrap_or(u32::MAX);
    let replacement = u32::try_from(char::REPLACEMENT_CHARACTER.len_utf8()).unwrap_or(1);
    let file = sources.add(name.clone(), shown);
    let place = Place { file, start, end: start.saturating_add(replacement) };
    report.add(unreadable::not_utf8(&name, byte, place));
}

/// Reports a spec that cannot be read. Its source is empty.
fn unreadable(name: &str, Refused { reason, help }: &Refused, sources: &mut Sources, report: &mut Report) {
    let file = sources.add(name, "");
    let diagnostic: Diagnostic = unreadable::file(name, reason, help, Place { file, start: 0, end: 0 });
    report.add_fatal(diagnostic);
}

/// The bytes of a regular file of at most `most` bytes.
fn regular(path: &Path, most: u64) -> Result<Vec<u8>, Refused> {
    // Asked before opening, because opening a device can do something, and after, because the name may have changed
    // hands. `O_NONBLOCK` keeps a FIFO from waiting for its writer.
    must_be_regular(&std::fs::metadata(path)?)?;
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut file: File = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    must_be_regular(&file.metadata()?)?;
    capped(&mut file, most)
}

fn must_be_regular(found: &Metadata) -> Result<(), Refused> {
    let kind = found.file_type();
    let (reason, help) = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        ("it is a directory", "name a file")
    } else if kind.is_fifo() {
        ("it is a FIFO", PIPE_HELP)
    } else if kind.is_socket() {
        ("it is a socket", PIPE_HELP)
    } else {
        ("it is a device", PIPE_HELP)
    };
    Err(Refused { reason: reason.to_string(), help })
}

fn capped(from: &mut dyn Read, most: u64) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    from.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let reason = "it is larger than fwc takes (64 MiB for a spec in all its files, 256 MiB for a set file)";
        return Err(Refused { reason: reason.to_string(), help: "check that it is the right file" });
    }
    Ok(bytes)
}
