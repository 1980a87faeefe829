//! The forms that a ruleset takes for a kernel.

pub mod iptables;
pub mod nft;

/// What an artifact says about where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The version of fwc.
    pub version: &'a str,
    /// SHA-256 of the spec, in hex.
    pub spec_hash: &'a str,
}
