//! Time and identity that outlive a process: the clock that also counts suspended time, the boot, the network namespace.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use procfs::process::Process;
use serde::{Deserialize, Serialize};

use crate::sys::socket_option::netns_cookie;

/// Time since the machine started, suspended time included. Nobody can set it.
#[must_use]
pub fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// Seconds since 1970, for people.
#[must_use]
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A moment as people write it, in UTC.
#[must_use]
pub fn date(unix: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(unix)).to_string()
}

/// Which ruleset the account speaks of: that of a network namespace, until it ends or the machine restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelLife {
    /// The kernel's id of this boot.
    pub boot: String,
    /// The inode of the network namespace. The kernel gives it to another one once this one has ended.
    pub namespace: u64,
    /// The namespace's cookie, which no other ever gets. Before Linux 5.14 there is none.
    pub cookie: Option<u64>,
}

impl KernelLife {
    /// That of the calling thread.
    #[must_use]
    pub fn here() -> Self {
        static BOOT: OnceLock<String> = OnceLock::new();
        let read = || fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_string();
        let boot = BOOT.get_or_init(read).clone();
        let cookie = UnixDatagram::unbound().ok().and_then(|socket| netns_cookie(&socket).ok());
        KernelLife { boot, namespace: namespace(), cookie }
    }

    /// Whether it is the ruleset of another network namespace of this boot.
    #[must_use]
    pub fn is_elsewhere(&self, other: &KernelLife) -> bool {
        self.boot == other.boot && self != other
    }
}

/// The inode of the calling thread's network namespace.
#[must_use]
pub fn namespace() -> u64 {
    fs::metadata("/proc/thread-self/ns/net").map_or(0, |found| found.ino())
}

/// The network namespace of process 1, and so of systemd.
#[must_use]
pub fn host_namespace() -> Option<u64> {
    fs::metadata("/proc/1/ns/net").ok().map(|found| found.ino())
}

/// Whether the calling thread is in the network namespace of process 1.
#[must_use]
pub fn is_host_namespace() -> bool {
    host_namespace() == Some(namespace())
}

/// A process: its id, and when it started, because ids are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its id.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub start: u64,
}

impl ProcessId {
    /// The calling process.
    #[must_use]
    pub fn myself() -> Self {
        let pid = nix::unistd::getpid().as_raw();
        ProcessId { pid, start: start(pid).unwrap_or(0) }
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(self) -> bool {
        start(self.pid) == Some(self.start)
    }
}

/// When a process started; `None` for one that is gone or only waits to be collected.
fn start(pid: i32) -> Option<u64> {
    let stat = Process::new(pid).ok()?.stat().ok()?;
    (!matches!(stat.state, 'Z' | 'X')).then_some(stat.starttime)
}
