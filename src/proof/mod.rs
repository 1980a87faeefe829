//! Proofs over all packets.
//!
//! Sets of packets are binary decision diagrams ([`bdd`]), so that "for every packet" is one comparison. [`space`] says which bits stand for which
//! field; [`condition`] turns a rule's conditions into a set; [`way`] leads all packets at once through a [`crate::dump::Dump`], hook by hook;
//! [`meaning`] says, from the policy alone and without its rules, what ought to come out; [`claim`] holds the two against each other; [`witness`]
//! turns a difference into a packet and the rules that decide it.
//!
//! What is trusted: that the readers in [`crate::dump`] read what the kernel would, which tests hold against the kernel.

pub mod bdd;
pub mod claim;
pub mod condition;
pub mod meaning;
mod names;
mod partition;
pub mod single;
pub mod space;
mod survey;
pub mod way;
pub mod witness;

pub use survey::Survey;

/// The diagrams have grown larger than memory allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the proof needs more memory or time than it may have")
    }
}

impl std::error::Error for TooLarge {}
