//! The directory: made for its owner alone, files replaced as a whole, one fwc at a time.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::account::{Account, VERSION};
use super::clock::ProcessId;
use super::{StateError, crash};

/// Where it is unless FWC_STATE_DIR says otherwise.
const DEFAULT: &str = "/var/lib/fwc";
/// The account's file.
pub const ACCOUNT: &str = "account.json";
/// What becomes of it when it is damaged.
const DAMAGED: &str = "account.json.damaged";
/// What is given up when the disk is full, and its size: an account has about 3 KiB.
const SPARE: &str = "spare";
const SPARE_BYTES: usize = 16 * 1024;
/// How often a busy lock is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// A state directory that is there.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
}

/// The right to change anything, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

/// The path of the state directory of this namespace, or of a named one.
#[must_use]
pub fn path(netns: Option<&str>) -> PathBuf {
    let set = std::env::var_os("FWC_STATE_DIR").filter(|value| !value.is_empty());
    let root = PathBuf::from(set.unwrap_or_else(|| OsString::from(DEFAULT)));
    netns.map_or_else(|| root.clone(), |name| root.join("netns").join(name))
}

impl Directory {
    /// Makes the directory if it is not there.
    ///
    /// # Errors
    /// It cannot be made, or others may write to it.
    pub fn create(path: &Path) -> Result<Self, StateError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path).map_err(StateError::io(path))?;
        Self::checked(path)
    }

    /// The directory, if it is there.
    ///
    /// # Errors
    /// It cannot be looked at, or others may write to it.
    pub fn existing(path: &Path) -> Result<Option<Self>, StateError> {
        match fs::metadata(path) {
            Ok(_) => Self::checked(path).map(Some),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(None),
            Err(error) => Err(StateError::Io(path.to_path_buf(), error)),
        }
    }

    /// What is in it is loaded into the kernel, so nobody else may have put it there.
    fn checked(path: &Path) -> Result<Self, StateError> {
        let path = path.canonicalize().map_err(StateError::io(path))?;
        let found = fs::metadata(&path).map_err(StateError::io(&path))?;
        if !found.is_dir() {
            return Err(StateError::Unsafe(path, "it is not a directory"));
        }
        if found.uid() != geteuid().as_raw() && found.uid() != 0 {
            return Err(StateError::Unsafe(path, "it belongs to somebody else"));
        }
        if found.mode() & 0o022 != 0 {
            return Err(StateError::Unsafe(path, "others may write to it"));
        }
        Ok(Directory { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until no other fwc changes anything.
    ///
    /// # Errors
    /// Another one does for longer than `patience`.
    pub fn lock(&self, patience: Duration) -> Result<Lock, StateError> {
        let path = self.path.join("lock");
        let open = |write: bool| {
            OpenOptions::new().read(true).write(write).create(write).truncate(false).mode(0o600).open(&path)
        };
        // A directory that became read-only can still be locked.
        let mut file = open(true).or_else(|error| open(false).map_err(|_| error)).map_err(StateError::io(&path))?;
        let start = Instant::now();
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(locked) => {
                    say_who(&locked);
                    return Ok(Lock { _file: locked });
                }
                Err((back, Errno::EWOULDBLOCK | Errno::EINTR)) if start.elapsed() < patience => file = back,
                Err((_, Errno::EWOULDBLOCK | Errno::EINTR)) => return Err(StateError::Busy(path)),
                Err((_, errno)) => return Err(StateError::Io(path, errno.into())),
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Who took the lock last, if it still runs.
    #[must_use]
    pub fn holder(&self) -> Option<ProcessId> {
        let said: ProcessId = self.read_json("lock").ok()??;
        said.is_alive().then_some(said)
    }

    /// Whether anything was ever written down.
    #[must_use]
    pub fn has_account(&self) -> bool {
        self.path.join(ACCOUNT).exists()
    }

    /// The account; none on a host where nothing was ever applied.
    ///
    /// # Errors
    /// It cannot be read, or a newer fwc wrote it.
    pub fn account(&self) -> Result<Option<Account>, StateError> {
        let Some(account) = self.read_json::<Account>(ACCOUNT)? else { return Ok(None) };
        if account.format != "fwc-state" || account.version != VERSION {
            let why = format!("it has version {}, and this fwc understands version {VERSION}", account.version);
            return Err(StateError::Corrupt(self.path.join(ACCOUNT), why));
        }
        Ok(Some(account))
    }

    /// Replaces the account. `half` and `whole` are the steps at which tests let it crash.
    ///
    /// # Errors
    /// It cannot be written; the old one is still there.
    pub fn write_account(&self, account: &Account, half: &str, whole: &str) -> Result<(), StateError> {
        self.replace_account(account, half)?;
        // The names of the files that an account speaks of go to the disk with its own: until then nothing is done in reliance on them.
        self.sync_names()?;
        crash::point(whole);
        Ok(())
    }

    /// Replaces the account by one that says that something is about to happen to the kernel. If the power fails, the disk has the one or the other, and
    /// both are right, because what happened to the kernel is gone as well.
    ///
    /// # Errors
    /// As [`Directory::write_account`].
    pub fn announce(&self, account: &Account, half: &str, whole: &str) -> Result<(), StateError> {
        self.replace_account(account, half)?;
        crash::point(whole);
        Ok(())
    }

    fn replace_account(&self, account: &Account, half: &str) -> Result<(), StateError> {
        let bytes = self.json(ACCOUNT, account)?;
        let written = self.replace(ACCOUNT, &bytes, half);
        if let Err(StateError::Io(_, error)) = &written
            && matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
            && fs::remove_file(self.path.join(SPARE)).is_ok()
        {
            return self.replace(ACCOUNT, &bytes, half);
        }
        written
    }

    fn sync_names(&self) -> Result<(), StateError> {
        let path = &self.path;
        File::open(path).and_then(|names| names.sync_all()).map_err(StateError::io(path))
    }

    /// Keeps a damaged account under another name, for who wants to read it.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn set_account_aside(&self) -> Result<(), StateError> {
        let path = self.path.join(ACCOUNT);
        match fs::rename(&path, self.path.join(DAMAGED)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(StateError::Io(path, error)),
            _ => Ok(()),
        }
    }

    /// Keeps a few KiB for a disk that will be full.
    ///
    /// # Errors
    /// It is full already.
    pub fn reserve(&self) -> Result<(), StateError> {
        let there = fs::metadata(self.path.join(SPARE)).is_ok_and(|found| found.len() == SPARE_BYTES as u64);
        // Not zeroes: a file system may store those as nothing.
        if there { Ok(()) } else { self.write(SPARE, &[b'.'; SPARE_BYTES]) }
    }

    /// Replaces a file as a whole.
    ///
    /// # Errors
    /// It cannot be written; the old one, or none, is still there.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        self.replace(name, bytes, "")
    }

    /// The same for a value.
    ///
    /// # Errors
    /// As [`Directory::write`].
    pub fn write_json(&self, name: &str, value: &impl Serialize, half: &str) -> Result<(), StateError> {
        self.replace(name, &self.json(name, value)?, half)
    }

    fn json(&self, name: &str, value: &impl Serialize) -> Result<Vec<u8>, StateError> {
        let corrupt = |error: serde_json::Error| StateError::Corrupt(self.path.join(name), error.to_string());
        let mut bytes = serde_json::to_vec_pretty(value).map_err(corrupt)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    fn replace(&self, name: &str, bytes: &[u8], half: &str) -> Result<(), StateError> {
        let (to, new) = (self.path.join(name), self.path.join(format!("{name}.new")));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            let (first, second) = bytes.split_at(bytes.len() / 2);
            file.write_all(first)?;
            crash::point(half);
            file.write_all(second)?;
            file.sync_all()?;
            fs::rename(&new, &to)
        })();
        written.map_err(|error| {
            let _ = fs::remove_file(&new);
            StateError::Io(to, error)
        })
    }

    /// A file's bytes; none if it is not there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StateError::Io(path, error)),
        }
    }

    /// The same for a value.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        let value = serde_json::from_slice(&bytes);
        value.map(Some).map_err(|error| StateError::Corrupt(self.path.join(name), error.to_string()))
    }

    /// Deletes what the account no longer speaks of. What cannot be deleted stays until the next time.
    pub fn tidy(&self, account: &Account) {
        let wanted: BTreeSet<String> = account.files();
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let starts = ["previous-", "loaded-", "spec-"];
            let ours = starts.iter().any(|start| name.starts_with(start)) || name.ends_with(".new");
            if ours && !wanted.contains(&name) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Writes into the lock file who has it, for a watchdog that finds it held for too long.
fn say_who(mut file: &File) {
    let words = serde_json::to_vec(&ProcessId::myself()).unwrap_or_default();
    let _ = file.set_len(0).and_then(|()| file.write_all(&words));
}
