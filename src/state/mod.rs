//! What fwc remembers of a host, so that every apply can be undone: the state directory.
//!
//! One small file, the account, is the only truth: it is replaced as a whole (a new file, fsync, rename, fsync of the directory), so that it is
//! the old one or the new one after a crash at any moment. What it speaks of (the former table, the texts of specs) lies in files beside it that are
//! written before the account names them, under a number of their own, and deleted only when it no longer does. Their content is on the disk before
//! they have their name; their names are there when the account's is, by the one fsync of the directory, and no transaction goes out before.
//!
//! ```text
//! account.json     what was applied last, what stood there before, what is pending, what is confirmed
//! account.json.damaged  an account that could not be read, kept for who wants to look into it
//! previous-N       the former table, as netlink messages that make it again
//! loaded-N         the table that apply N loaded, in the same form, once it was read back: where it is large, the former table of apply N + 1
//! spec-N.json      the texts of the spec of apply N with its set files
//! watchdog.json    the process that will roll back apply N: written by itself, once it is ready
//! spare            a few KiB that are given up when the disk is full, so that a confirm or a rollback can still be written down
//! lock             locked (flock) by the one fwc that changes anything
//! log              what was rolled back, when and why
//! ```
//!
//! An apply goes through these steps, each of which may be the last (`crash::STEPS`):
//!
//! 1. the texts and the former table are written beside the account;
//! 2. the account says `loading`, and keeps the account from before;
//! 3. the watchdog starts, where the apply is to be confirmed;
//! 4. the kernel takes the transaction, and meanwhile what it is sent is written beside the account;
//! 5. the table is read back;
//! 6. the account says `settled`, and that this is the loaded table.
//!
//! Whoever comes next and finds `loading` asks the kernel: a table that carries the signature of the new rules was loaded, anything else means that
//! the account from before still holds. A rollback is written down as begun before it is done, and doing it twice does no harm.
//!
//! The state of a named network namespace (`--netns NAME`) is in `netns/NAME`.

pub mod account;
pub mod clock;
pub mod crash;
pub mod directory;
pub mod error;
pub mod journal;
pub mod log;
pub mod plan;
pub mod remembered;
pub mod undo;

pub use account::{Account, Applied, Confirmed, FormerTable, Pending, Previous, Sizing, Stage};
pub use directory::{Directory, Lock};
pub use error::StateError;
