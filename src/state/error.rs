//! Why the state directory could not be used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A failure of the state directory, or of the kernel while the state was put right.
#[derive(Debug)]
pub enum StateError {
    /// Reading or writing failed: what, and why.
    Io(PathBuf, io::Error),
    /// Another fwc holds the lock.
    Busy(PathBuf),
    /// Others could have written what is there.
    Unsafe(PathBuf, &'static str),
    /// It speaks of the ruleset of another network namespace.
    OtherNamespace(PathBuf),
    /// A file does not hold what it should.
    Corrupt(PathBuf, String),
    /// The kernel could not be asked.
    Kernel(crate::kernel::KernelError),
    /// The kernel did not take the former table.
    Restore(crate::kernel::transaction::TransactionError),
    /// The former table was never kept, and why.
    Lost(String),
}

impl StateError {
    /// For `map_err`: a failure with this file.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> StateError {
        let path = path.to_path_buf();
        move |error| StateError::Io(path, error)
    }
}

impl From<crate::kernel::KernelError> for StateError {
    fn from(error: crate::kernel::KernelError) -> Self {
        StateError::Kernel(error)
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateError::Io(path, error) => write!(f, "{}: {error}", path.display()),
            StateError::Busy(path) => write!(f, "{}: another fwc is at work", path.display()),
            StateError::Unsafe(path, why) => write!(f, "{}: {why}", path.display()),
            StateError::OtherNamespace(path) => {
                write!(f, "{}: it is of another network namespace", path.display())
            }
            StateError::Corrupt(path, why) => write!(f, "{} is damaged: {why}", path.display()),
            StateError::Kernel(error) => error.fmt(f),
            StateError::Restore(error) => write!(f, "the former table could not be put back: {error}"),
            StateError::Lost(why) => write!(f, "the former table was not kept: {why}"),
        }
    }
}

impl std::error::Error for StateError {}
