//! Who could change a file: its owner and mode, and those of everything on the way to it.
//!
//! As sshd's StrictModes looks at keys: the file and every directory above it belong to root, and neither group nor others may write them. A
//! directory in which everybody may write and nobody may touch what is another's (the sticky bit, as on /tmp) may be on the way, if it is
//! root's: what lies in it is looked at as well. Symbolic links are followed step by step, and each must be root's.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Symbolic links on one way: as many as the kernel follows.
const MOST_LINKS: usize = 40;
/// Who may write besides the owner: group and others.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Why a file is not in root's hands alone.
#[derive(Debug)]
pub struct Distrust {
    /// What others could change: the file, a directory above it, or a symbolic link.
    pub path: PathBuf,
    /// How.
    pub why: Why,
}

/// How somebody else could change a file.
#[derive(Debug)]
pub enum Why {
    /// It belongs to this user, who is not root.
    Owner(u32),
    /// Group or others may write it; its mode.
    Mode(u32),
    /// It could not be looked at.
    Unseen(io::Error),
}

/// Looks at a file and at everything on the way to it. `none` is well.
#[must_use]
pub fn distrust(path: &Path) -> Option<Distrust> {
    walk(path, &mut |_| ()).err()
}

/// The same for a directory of which the files are used: nobody else may put one in, so the sticky bit is not enough.
#[must_use]
pub fn distrust_directory(path: &Path) -> Option<Distrust> {
    let mut last = None;
    if let Err(distrust) = walk(path, &mut |end| last = Some(end.to_path_buf())) {
        return Some(distrust);
    }
    let path = last?;
    let mode = fs::metadata(&path).ok()?.mode();
    (mode & OTHERS_WRITE != 0).then_some(Distrust { path, why: Why::Mode(mode & 0o7777) })
}

/// What is still to be walked.
struct Walk {
    at: PathBuf,
    left: VecDeque<OsString>,
    links: usize,
}

impl Walk {
    /// Puts the parts of a path before what is left. An absolute one begins at the root again.
    fn go(&mut self, path: &Path) {
        if path.is_absolute() {
            self.at = PathBuf::from("/");
        }
        let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
        for part in parts.rev() {
            self.left.push_front(part.as_os_str().to_os_string());
        }
    }
}

fn walk(path: &Path, end: &mut dyn FnMut(&Path)) -> Result<(), Distrust> {
    let unseen = |path: &Path, error| Distrust { path: path.to_path_buf(), why: Why::Unseen(error) };
    let full = std::path::absolute(path).map_err(|error| unseen(path, error))?;
    let mut walk = Walk { at: PathBuf::from("/"), left: VecDeque::new(), links: 0 };
    walk.go(&full);
    look(&walk.at, &fs::symlink_metadata(&walk.at).map_err(|error| unseen(&walk.at, error))?)?;
    while let Some(part) = walk.left.pop_front() {
        if part == ".." {
            walk.at.pop();
            continue;
        }
        let next = walk.at.join(&part);
        let found = fs::symlink_metadata(&next).map_err(|error| unseen(&next, error))?;
        look(&next, &found)?;
        if found.is_symlink() {
            walk.links += 1;
            if walk.links > MOST_LINKS {
                return Err(unseen(&next, io::Error::from_raw_os_error(nix::libc::ELOOP)));
            }
            let target = fs::read_link(&next).map_err(|error| unseen(&next, error))?;
            walk.go(&target);
        } else {
            walk.at = next;
        }
    }
    end(&walk.at);
    Ok(())
}

fn look(path: &Path, found: &Metadata) -> Result<(), Distrust> {
    let distrust = |why| Err(Distrust { path: path.to_path_buf(), why });
    if found.uid() != 0 {
        return distrust(Why::Owner(found.uid()));
    }
    // The mode of a symbolic link says nothing, and the sticky bit of a file neither.
    let sticky = found.is_dir() && found.mode() & STICKY != 0;
    if found.is_symlink() || sticky || found.mode() & OTHERS_WRITE == 0 {
        return Ok(());
    }
    distrust(Why::Mode(found.mode() & 0o7777))
}

/// Whether this process is root of the machine, and not only of a user namespace of its own, where the owners that it sees are not those
/// that there are.
#[must_use]
pub fn is_root() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let all = map.split_ascii_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967295"];
    nix::unistd::geteuid().is_root() && all
}
