//! What a transaction is made of: messages as the nf_tables backend writes them.

pub use crate::backend::nft::netlink::{ANEW, Messages, Part, Subject};
