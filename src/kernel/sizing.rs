//! The size of the conntrack table and its timeouts, as files of the kernel: reading, writing, putting back.
//!
//! The timeouts belong to a network namespace: `/proc/sys/net` shows those of the thread that looks. The most entries and the buckets are
//! machine-wide, and only the machine's first namespace may write them. All of them exist once nf_conntrack is loaded.
//!
//! What is there before anything is written fits a `BTreeMap` of path and text ([`Former`]), which a caller can keep on disk and give to
//! [`restore`] whenever it likes.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{SysconfVar, sysconf};

use crate::policy::Sizing;
use crate::source::Place;

/// The sysctls of conntrack.
const SYSCTLS: &str = "/proc/sys/net/netfilter";
/// The module parameter that holds the buckets.
const BUCKETS: &str = "/sys/module/nf_conntrack/parameters/hashsize";

/// What files held before they were written, by path.
pub type Former = BTreeMap<PathBuf, String>;

/// Whom a value belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All namespaces: only the first one may write it.
    Machine,
    /// The network namespace of the thread.
    Namespace,
}

/// A value of the spec's `conntrack` section, and the file that takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its key in the spec: `max`, `buckets`, `timeouts.udp`.
    pub key: String,
    /// The file.
    pub path: PathBuf,
    /// What it shall hold.
    pub value: u32,
    /// Whom it belongs to.
    pub scope: Scope,
    /// Where the spec says so.
    pub place: Place,
}

impl Setting {
    /// Whether a file with this text needs no writing. The kernel rounds the buckets up to whole pages of memory.
    #[must_use]
    pub fn is_met_by(&self, text: &str) -> bool {
        let Ok(now) = text.trim().parse::<u32>() else { return false };
        let most =
            if self.path == Path::new(BUCKETS) { self.value.next_multiple_of(page_of_buckets()) } else { self.value };
        now >= self.value && now <= most
    }
}

/// Buckets that fit a page of memory, each a pointer.
fn page_of_buckets() -> u32 {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| u32::try_from(size).ok());
    let pointer = u32::try_from(size_of::<usize>()).unwrap_or(8);
    (page.unwrap_or(4096) / pointer).max(1)
}

/// The settings of a spec, in the order in which they are written: more buckets first keep the chains short while the table grows.
#[must_use]
pub fn settings(sizing: &Sizing) -> Vec<Setting> {
    let setting = |key: String, path: PathBuf, value, scope, place| Setting { key, path, value, scope, place };
    let sysctl = |name: &str| Path::new(SYSCTLS).join(name);
    let buckets = sizing.buckets.map(|buckets| {
        setting("buckets".to_string(), PathBuf::from(BUCKETS), buckets.value, Scope::Machine, buckets.place)
    });
    let max = sizing
        .max
        .map(|max| setting("max".to_string(), sysctl("nf_conntrack_max"), max.value, Scope::Machine, max.place));
    let timeouts = sizing.timeouts.iter().map(|timeout| {
        let (which, seconds) = timeout.value;
        setting(format!("timeouts.{}", which.0), sysctl(&which.sysctl()), seconds.0, Scope::Namespace, timeout.place)
    });
    buckets.into_iter().chain(max).chain(timeouts).collect()
}

/// Whether this namespace may write what is machine-wide. Nothing is written to find out: the module parameter refuses only then.
///
/// # Errors
/// Why not.
pub fn machine_wide_writable() -> Result<(), Errno> {
    may_write(&Path::new(SYSCTLS).join("nf_conntrack_max"))
}

/// Whether a file may be written; only opened.
///
/// # Errors
/// Why not.
pub fn may_write(path: &Path) -> Result<(), Errno> {
    OpenOptions::new().write(true).open(path).map(|_| ()).map_err(|error| errno(&error))
}

/// What was being done when the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizingError {
    /// The file.
    pub path: PathBuf,
    /// What could not be written; none where reading failed.
    pub value: Option<String>,
    /// Why.
    pub errno: Errno,
}

impl fmt::Display for SizingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.value {
            Some(value) => write!(f, "{value} cannot be written to {path}: {}", self.errno.desc()),
            None => write!(f, "{path} cannot be read: {}", self.errno.desc()),
        }
    }
}

impl std::error::Error for SizingError {}

/// What the files hold. Those that do not exist are left out.
///
/// # Errors
/// One cannot be read.
pub fn read<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Former, SizingError> {
    let mut former = Former::new();
    for path in paths {
        match fs::read_to_string(path) {
            Ok(text) => {
                former.insert(path.to_path_buf(), text.trim_end().to_string());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(SizingError { path: path.to_path_buf(), value: None, errno: errno(&error) }),
        }
    }
    Ok(former)
}

/// Writes the settings that the files do not hold yet, in their order, and gives what was there before.
///
/// # Errors
/// The kernel refuses one. What was written before it is put back.
pub fn write(settings: &[Setting]) -> Result<Former, SizingError> {
    let before = read(settings.iter().map(|setting| setting.path.as_path()))?;
    let mut written = Former::new();
    for setting in settings {
        if before.get(&setting.path).is_some_and(|text| setting.is_met_by(text)) {
            continue;
        }
        if let Err(error) = put(&setting.path, &setting.value.to_string()) {
            let _ = restore(&written);
            return Err(error);
        }
        if let Some(text) = before.get(&setting.path) {
            written.insert(setting.path.clone(), text.clone());
        }
    }
    Ok(written)
}

/// Puts back what was there. A file that holds it already is not touched: writing the buckets moves every entry.
///
/// # Errors
/// What could not be put back; everything else was.
pub fn restore(former: &Former) -> Result<(), Vec<SizingError>> {
    let mut failed = Vec::new();
    for (path, text) in former {
        if fs::read_to_string(path).is_ok_and(|now| now.trim_end() == text) {
            continue;
        }
        failed.extend(put(path, text).err());
    }
    if failed.is_empty() { Ok(()) } else { Err(failed) }
}

/// One write, as the kernel's files want it. Nothing is made that is not there.
fn put(path: &Path, text: &str) -> Result<(), SizingError> {
    let file = OpenOptions::new().write(true).truncate(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| SizingError {
        path: path.to_path_buf(),
        value: Some(text.to_string()),
        errno: errno(&error),
    })
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}
