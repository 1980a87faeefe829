//! `fwc compile SPEC --target TARGET [-o FILE|DIR/]`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use super::artifact;
use super::output::{Output, remark};
use super::{Failure, exit};
use crate::cli::{CompileArgs, Target};
use crate::compile::{self, Compiled};

pub(super) fn run(output: Output, arguments: &CompileArgs) -> Result<ExitCode, Failure> {
    let outcome = compile::check(&arguments.spec);
    output.diagnostics(&outcome.sources, &outcome.diagnostics);
    let Some(compiled) = &outcome.compiled else { return Ok(ExitCode::from(exit::REFUSED)) };
    match (&arguments.output, arguments.target) {
        (Some(path), _) if is_directory(path) => write_all(output, path, compiled)?,
        (path, Some(target)) => one(output, path.as_deref(), compiled, target)?,
        (_, None) => {
            return Err(Failure::Usage(
                "say which artifact with `--target`, or give a directory with `-o DIR/`".to_string(),
            ));
        }
    }
    // The process ends here, and the kernel frees it all at once.
    std::mem::forget(outcome);
    Ok(ExitCode::SUCCESS)
}

/// `DIR/`, or a directory that exists.
fn is_directory(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/") || path.is_dir()
}

fn one(output: Output, path: Option<&Path>, compiled: &Compiled, target: Target) -> Result<(), Failure> {
    let text = artifact::one(compiled, target).unwrap_or_else(|| nothing(target));
    let Some(path) = path else {
        output.data(&text)?;
        return Ok(());
    };
    write_file(path, &text)?;
    if matches!(target, Target::Iptables | Target::Ip6tables)
        && let Some(sets) = artifact::one(compiled, Target::Ipset)
    {
        let beside = path.with_extension("ipset");
        write_file(&beside, &sets)?;
        remark(&format!("the rules need the sets in {}: run `ipset restore -f` on it first", beside.display()));
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

fn write_all(output: Output, directory: &Path, compiled: &Compiled) -> Result<(), Failure> {
    fs::create_dir_all(directory).map_err(|error| Failure::Io(format!("making {}", directory.display()), error))?;
    let mut written = Vec::new();
    for artifact in artifact::all(compiled) {
        let path = directory.join(artifact.file);
        write_file(&path, &artifact.text)?;
        written.push(path.display().to_string());
    }
    let human = written.iter().map(|path| format!("{path}\n")).collect::<String>();
    output.result(&human, &serde_json::json!({ "format": "fwc-compile", "version": 1, "written": written }))?;
    Ok(())
}

/// Writes a file so that a reader sees the old or the new content, never a part.
fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error| Failure::Io(format!("writing {}", path.display()), error);
    replace(path, text.as_bytes()).map_err(failed)
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    // A device or pipe (`-o /dev/stdout`) cannot be replaced, only written to.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fs::OpenOptions::new().write(true).open(path)?.write_all(content);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = fs::metadata(path).map_or(0o644, |metadata| metadata.permissions().mode() & 0o7777);
    // The name of the temporary file would only confuse.
    let unnamed = |error: io::Error| io::Error::from(error.kind());
    let builder = tempfile::Builder::new().permissions(fs::Permissions::from_mode(mode)).tempfile_in(folder);
    let mut file = builder.map_err(unnamed)?;
    file.write_all(content)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
