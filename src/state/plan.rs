//! A plan that was saved: the texts that will be applied, and the ruleset that they were compared with.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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
    /// [`SavedPlan::VERSION`].
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
    /// SHA-256 of the file as it is with nothing here, written when it is saved. It tells a file that was cut off or edited from the one that
    /// somebody looked at; it is no protection against somebody who may write the file.
    pub sha256: String,
}

/// What is wrong with a file that begins like a saved plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanError {
    /// It is no whole plan, and why.
    Damaged(String),
    /// A plan of another version.
    Version(u32),
    /// It does not have its own checksum.
    Changed,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::Damaged(why) => write!(f, "is damaged ({why})"),
            PlanError::Version(version) => {
                write!(f, "has version {version}, and this fwc understands version {}", SavedPlan::VERSION)
            }
            PlanError::Changed => f.write_str("was changed after it was saved"),
        }
    }
}

impl std::error::Error for PlanError {}

/// The part of a plan that every version has.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl SavedPlan {
    /// The format's name.
    pub const FORMAT: &'static str = "fwc-saved-plan";
    /// The version that this fwc writes and reads.
    pub const VERSION: u32 = 1;

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
    /// It begins like a plan and is none that this fwc saved.
    pub fn read(path: &Path) -> Result<Option<Self>, PlanError> {
        if path.as_os_str() == "-" || !Self::is_at(path) {
            return Ok(None);
        }
        let damaged = |why: &dyn fmt::Display| PlanError::Damaged(why.to_string());
        let mut text = String::new();
        let file = File::open(path).map_err(|error| damaged(&error))?;
        file.take(MOST).read_to_string(&mut text).map_err(|error| damaged(&error))?;
        let head: Head = serde_json::from_str(&text).map_err(|error| damaged(&error))?;
        if head.version != Self::VERSION {
            return Err(PlanError::Version(head.version));
        }
        let mut plan: Self = serde_json::from_str(&text).map_err(|error| damaged(&error))?;
        if plan.seal().map_err(|error| damaged(&error))? != text {
            return Err(PlanError::Changed);
        }
        Ok(Some(plan))
    }

    /// Computes the checksum and gives the file's text.
    fn seal(&mut self) -> serde_json::Result<String> {
        self.sha256.clear();
        let digest = Sha256::digest(serde_json::to_string_pretty(self)?);
        self.sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Writes it as a new file for its owner alone, in the place of one that is there.
    ///
    /// # Errors
    /// It cannot be written; what was there is still there.
    pub fn write(mut self, path: &Path) -> std::io::Result<()> {
        use std::io::Write as _;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
        let new = folder.join(format!(".{name}.{}", std::process::id()));
        let text = self.seal().map_err(std::io::Error::other)?;
        let written = (|| {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, path)
        })();
        if written.is_err() {
            let _ = std::fs::remove_file(&new);
        }
        written
    }
}
