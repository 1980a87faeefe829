//! Which kernel this is.

use std::fmt;

use nix::sys::utsname::uname;

/// The version of a kernel, as far as fwc cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelVersion {
    /// As the 6 of 6.18.
    pub major: u32,
    /// As the 18 of 6.18.
    pub minor: u32,
}

/// The oldest kernel that fwc loads rules into: the first one with user data, and so comments, on tables and chains.
/// Concatenated ranges (5.6) and expressions of sets (5.8) are older.
pub const OLDEST: KernelVersion = KernelVersion { major: 5, minor: 10 };

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The kernel is older than [`OLDEST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelTooOld {
    /// What it is.
    pub found: KernelVersion,
}

impl fmt::Display for KernelTooOld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this kernel is Linux {}, and fwc needs {OLDEST} or newer", self.found)
    }
}

impl std::error::Error for KernelTooOld {}

impl KernelVersion {
    /// The running kernel; none if its release cannot be read.
    #[must_use]
    pub fn running() -> Option<Self> {
        Self::parse(uname().ok()?.release().to_str()?)
    }

    /// From a release such as `5.10.0-28-amd64`.
    fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.split(|character: char| !character.is_ascii_digit()).map(str::parse);
        Some(KernelVersion { major: numbers.next()?.ok()?, minor: numbers.next()?.ok()? })
    }
}

/// Makes sure that the running kernel is new enough. One whose release cannot be read is let through: what it does not
/// know it refuses, or reading back finds it missing.
///
/// # Errors
/// It is too old.
pub fn require_supported() -> Result<(), KernelTooOld> {
    match KernelVersion::running() {
        Some(found) if found < OLDEST => Err(KernelTooOld { found }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_numbers_then_anything() {
        let version = |major, minor| Some(KernelVersion { major, minor });
        assert_eq!(KernelVersion::parse("5.10.0-28-amd64"), version(5, 10));
        assert_eq!(KernelVersion::parse("6.18-rc1"), version(6, 18));
        assert_eq!(KernelVersion::parse("4.9+"), version(4, 9));
        assert_eq!(KernelVersion::parse("linux"), None);
        assert!(version(5, 9) < Some(OLDEST) && version(6, 0) > Some(OLDEST) && version(5, 10) == Some(OLDEST));
    }

    #[test]
    fn the_tests_run_on_a_supported_kernel() {
        assert_eq!(require_supported(), Ok(()));
    }
}
