//! Who may use the machine-wide connection tracking limit at what time.
//!
//! `nf_conntrack_max` is one figure for all namespaces. A test that lowers it would starve every test beside it, in
//! this process or another, so namespaces hold a shared lock and [`ConntrackMax`] an exclusive one.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{Flock, FlockArg, OFlag};

use super::guard::Guard;
use super::tools::{command, require_root, run};

pub const LIMIT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// The module parameter with the buckets, machine-wide as well.
pub const BUCKETS: &str = "/sys/module/nf_conntrack/parameters/hashsize";
/// Beside the namespaces themselves (/run/netns), where only root writes.
const LOCK: &str = "/run/fwc-tests.lock";

thread_local! {
    static SHARED: Cell<usize> = const { Cell::new(0) };
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// A share in the machine, held by each namespace for as long as it exists.
pub struct Turn {
    lock: Option<Flock<File>>,
}

impl Turn {
    /// Waits until nobody has the limit lowered. A thread that lowered it itself has its turn already.
    pub fn shared() -> Turn {
        require_root();
        if ALONE.get() {
            return Turn { lock: None };
        }
        SHARED.set(SHARED.get() + 1);
        Turn { lock: Some(lock(FlockArg::LockShared)) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.lock.is_some() {
            SHARED.set(SHARED.get().saturating_sub(1));
        }
    }
}

fn lock(how: FlockArg) -> Flock<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(LOCK)
        .unwrap_or_else(|error| panic!("{LOCK} cannot be opened: {error}"));
    Flock::lock(file, how).unwrap_or_else(|(_, error)| panic!("{LOCK} cannot be locked: {error}"))
}

/// Puts back the limit, and the buckets where they changed: writing them moves all entries.
const RESTORE: &str = r#"
echo "$1" > "$2"
[ "$(cat "$4")" = "$3" ] || echo "$3" > "$4"
"#;

/// `net.netfilter.nf_conntrack_max` and the buckets for this test alone, until it is dropped or the test process dies.
///
/// Make it before the namespaces of the test, in the same thread: they then belong to its turn.
pub struct ConntrackMax {
    // Fields are dropped in this order: the old figure comes back before others may start.
    _restore: Guard,
    _lock: Flock<File>,
}

impl ConntrackMax {
    /// Waits for the other tests' namespaces to go, then allows only `entries` entries per namespace.
    pub fn lower(entries: u32) -> ConntrackMax {
        let turn = Self::own();
        fs::write(LIMIT, entries.to_string()).unwrap_or_else(|error| {
            panic!("{LIMIT} cannot be written: {error}; it is writable in the machine's first namespace only")
        });
        turn
    }

    /// The same for more entries than the machine allows: whoever fills so large a table wants the machine to itself, too.
    pub fn raise(entries: u32) -> ConntrackMax {
        ConntrackMax::lower(entries)
    }

    /// Waits likewise, and changes nothing: the test itself does.
    pub fn own() -> ConntrackMax {
        require_root();
        assert!(
            SHARED.get() == 0 && !ALONE.get(),
            "change the limit before this test makes a namespace, otherwise it waits for itself"
        );
        let lock = lock(FlockArg::LockExclusive);
        if !fs::exists(LIMIT).unwrap_or(false) {
            run(&mut command(["modprobe", "nf_conntrack"]), "").expect_success("loading nf_conntrack");
        }
        let before = conntrack_max().to_string();
        let buckets = fs::read_to_string(BUCKETS).unwrap_or_else(|error| panic!("{BUCKETS} cannot be read: {error}"));
        let restore = Guard::new(RESTORE, &[&before, LIMIT, buckets.trim_end(), BUCKETS]);
        ALONE.set(true);
        ConntrackMax { _restore: restore, _lock: lock }
    }
}

impl Drop for ConntrackMax {
    fn drop(&mut self) {
        ALONE.set(false);
    }
}

/// The limit as it stands, in entries per namespace.
pub fn conntrack_max() -> u32 {
    let text = fs::read_to_string(LIMIT).unwrap_or_else(|error| panic!("{LIMIT} cannot be read: {error}"));
    text.trim().parse().unwrap_or_else(|error| panic!("{LIMIT} holds {text:?}: {error}"))
}
