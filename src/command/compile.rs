//! `fwc compile SPEC --target TARGET [-o FILE|DIR/]`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::artifact::{self, Text};
use super::output::{Output, remark};
use super::{Failure, destination, exit};
use crate::cli::{CompileArgs, Target};
use crate::compile::{self, Compiled};
use crate::diagnostic::Diagnostic;
use crate::net::Family;

pub(super) fn run(output: Output, arguments: &CompileArgs) -> Result<ExitCode, Failure> {
    let outcome = compile::check(&arguments.spec);
    let Some(compiled) = &outcome.compiled else {
        output.diagnostics(&outcome.sources, &outcome.diagnostics);
        return Ok(ExitCode::from(exit::REFUSED));
    };
    let files = match (&arguments.output, arguments.target) {
        (Some(path), _) if is_directory(path) => all(path, compiled),
        (Some(path), Some(Target::Iptables | Target::Ip6tables)) if path.extension() == Some("ipset".as_ref()) => {
            return Err(Failure::Usage(
                "`-o` of rules must not end in .ipset: that name is for the sets beside them".to_string(),
            ));
        }
        (Some(path), Some(target)) => one(path, compiled, target),
        (None, Some(_)) => Vec::new(),
        (_, None) => {
            return Err(Failure::Usage(
                "say which artifact with `--target`, or give a directory with `-o DIR/`".to_string(),
            ));
        }
    };
    let refused: Vec<Diagnostic> = files
        .iter()
        .filter_map(|(path, _)| destination::refuse(path, "-o", &arguments.spec, &outcome.sources))
        .collect();
    output.diagnostics(&outcome.sources, &[outcome.diagnostics.as_slice(), &refused].concat());
    if !refused.is_empty() {
        return Ok(ExitCode::from(exit::REFUSED));
    }
    match (&arguments.output, arguments.target) {
        (None, Some(target)) => text(compiled, target).iter().try_for_each(|part| output.bytes(part))?,
        (Some(path), _) if is_directory(path) => write_all(output, path, &files)?,
        _ => write_one(&files)?,
    }
    // The process ends here, and the kernel frees it all at once.
    std::mem::forget(outcome);
    Ok(ExitCode::SUCCESS)
}

/// `DIR/`, or a directory that exists.
fn is_directory(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/") || path.is_dir()
}

/// A file that will be written: where, and its text.
type File = (PathBuf, Text);

/// An artifact; rules for iptables-restore with the sets that they need.
fn one(path: &Path, compiled: &Compiled, target: Target) -> Vec<File> {
    let (text, sets) = match target {
        Target::Iptables => artifact::rules_with_sets(compiled, Family::V4),
        Target::Ip6tables => artifact::rules_with_sets(compiled, Family::V6),
        _ => (text(compiled, target), None),
    };
    let sets = sets.map(|sets| (path.with_extension("ipset"), vec![sets.into_bytes()]));
    std::iter::once((path.to_path_buf(), text)).chain(sets).collect()
}

fn all(directory: &Path, compiled: &Compiled) -> Vec<File> {
    artifact::all(compiled).into_iter().map(|artifact| (directory.join(artifact.file), artifact.text)).collect()
}

fn text(compiled: &Compiled, target: Target) -> Text {
    artifact::one(compiled, target).unwrap_or_else(|| vec![nothing(target).into_bytes()])
}

fn write_one(files: &[File]) -> Result<(), Failure> {
    files.iter().try_for_each(|(path, text)| write_file(path, text))?;
    if let [_, (sets, _)] = files {
        remark(&format!("the rules need the sets in {}: run `ipset restore -f` on it first", sets.display()));
    }
    Ok(())
}

/// A file that says that there is nothing to say, so that a script can go on.
fn nothing(target: Target) -> String {
    match target {
        Target::Ipset => "# fwc: this spec has no sets that are too large for rules\n".to_string(),
        _ => "# fwc: this spec has no `conntrack` section that sets this\n".to_string(),
    }
}

fn write_all(output: Output, directory: &Path, files: &[File]) -> Result<(), Failure> {
    fs::create_dir_all(directory).map_err(|error| Failure::Io(format!("making {}", directory.display()), error))?;
    files.iter().try_for_each(|(path, text)| write_file(path, text))?;
    let is_written = |path: &PathBuf| files.iter().any(|(written, _)| written == path);
    for left in
        artifact::OPTIONAL.iter().map(|name| directory.join(name)).filter(|path| !is_written(path) && path.exists())
    {
        remark(&format!("{} is from an earlier spec; this one has nothing to say in it, so remove it", left.display()));
    }
    let written: Vec<String> = files.iter().map(|(path, _)| path.display().to_string()).collect();
    let human = written.iter().map(|path| format!("{path}\n")).collect::<String>();
    output.result(&human, &serde_json::json!({ "format": "fwc-compile", "version": 1, "written": written }))?;
    Ok(())
}

/// Writes a file so that a reader sees the old or the new content, never a part.
fn write_file(path: &Path, text: &[Vec<u8>]) -> Result<(), Failure> {
    let failed = |error| Failure::Io(format!("writing {}", path.display()), error);
    replace(path, text).map_err(failed)
}

fn replace(path: &Path, text: &[Vec<u8>]) -> io::Result<()> {
    // A device or pipe (`-o /dev/stdout`) cannot be replaced, only written to.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        let mut file = fs::OpenOptions::new().write(true).open(path)?;
        return text.iter().try_for_each(|part| file.write_all(part));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = fs::metadata(path).map_or(0o644, |metadata| metadata.permissions().mode() & 0o7777);
    // The name of the temporary file would only confuse.
    let unnamed = |error: io::Error| io::Error::from(error.kind());
    let builder = tempfile::Builder::new().permissions(fs::Permissions::from_mode(mode)).tempfile_in(folder);
    let mut file = builder.map_err(unnamed)?;
    text.iter().try_for_each(|part| file.write_all(part))?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
