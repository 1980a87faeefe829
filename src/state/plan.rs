//! A plan that was saved: the texts that will be applied, and the ruleset that they were compared with.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::StateError;
use super::clock::KernelLife;
use crate::source::Texts;

/// What a saved plan begins with, so that it is told from a spec without reading it all.
const START: &str = "{\n  \"format\": \"fwc-saved-plan\",";
/// No plan is larger, in bytes.
const MOST: u64 = 512 * 1024 * 1024;

/// What `fwc plan --out FILE` writes and `fwc apply FILE` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// `fwc-saved-plan`. The first key: see `START`.
    pub format: String,
    /// 1.
    pub version: u32,
    /// The spec's path in full; `-` for standard input.
    pub spec: String,
    /// SHA-256 of its texts.
    pub spec_sha256: String,
    /// What the table will be.
    pub identity: String,
    /// The ruleset that it was compared with: whose, its generation, what the table was.
    pub kernel: KernelLife,
    /// The generation of the ruleset.
    pub generation: u32,
    /// The table's identity; none where there was no table.
    pub live: Option<String>,
    /// The texts.
    pub texts: Texts,
}

impl SavedPlan {
    /// The format's name.
    pub const FORMAT: &'static str = "fwc-saved-plan";

    /// Whether a file begins like a saved plan.
    #[must_use]
    pub fn is_at(path: &Path) -> bool {
        let mut start = [0; START.len()];
        let is_file = std::fs::metadata(path).is_ok_and(|found| found.is_file());
        is_file
            && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
            && start == *START.as_bytes()
    }

    /// Reads a saved plan; none if the file is something else, or not there.
    ///
    /// # Errors
    /// It begins like a plan and is none that this fwc understands.
    pub fn read(path: &Path) -> Result<Option<Self>, StateError> {
        let is_file = std::fs::metadata(path).is_ok_and(|found| found.is_file());
        if path.as_os_str() == "-" || !is_file {
            return Ok(None);
        }
        let Ok(file) = File::open(path) else { return Ok(None) };
        let mut text = String::new();
        let start = file.take(MOST).read_to_string(&mut text);
        if start.is_err() || !text.starts_with(START) {
            return Ok(None);
        }
        let plan: Self =
            serde_json::from_str(&text).map_err(|error| StateError::Corrupt(path.to_path_buf(), error.to_string()))?;
        if plan.version != 1 {
            let why = format!("it is a plan of version {}, and this fwc understands version 1", plan.version);
            return Err(StateError::Corrupt(path.to_path_buf(), why));
        }
        Ok(Some(plan))
    }

    /// Writes it as a new file for its owner alone, in the place of one that is there.
    ///
    /// # Errors
    /// It cannot be written; what was there is still there.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        use std::io::Write as _;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
        let new = folder.join(format!(".{name}.{}", std::process::id()));
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other)?;
        let written = (|| {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::rename(&new, path)
        })();
        if written.is_err() {
            let _ = std::fs::remove_file(&new);
        }
        written
    }
}
