//! The live kernel: one netlink socket, transactions, read-back, what others loaded, namespaces, facts about the host.
//!
//! Nothing here knows diagnostics: it gives typed facts and errors, and the commands say what they mean to the user.
//! Bytes from the kernel are parsed with bounds checks only; no byte sequence can make this module panic.

pub mod changes;
pub mod conntrack;
pub mod counters;
pub mod difference;
mod element;
pub mod error;
pub mod host;
mod key_words;
pub mod legacy;
pub mod listing;
pub mod log;
pub mod messages;
pub mod namespace;
pub mod nf_tables;
pub mod normal;
pub mod ownership;
pub mod parts;
pub mod probe;
pub mod sample;
pub mod sizing;
pub mod snapshot;
pub mod socket;
pub mod sockets;
pub mod table;
pub mod transaction;
pub mod update;
pub mod version;
pub mod wire;

pub use error::KernelError;
