//! The nf_tables form: one table, `inet fwc`.
//!
//! `plan` decides how a ruleset becomes sets and few rules, so that the cost per packet does not grow with the number of services; the
//! [`Program`] that it makes can be written as `nft -f` text (`text`) or as netlink messages ([`netlink`]). Both say the same. `memory` estimates
//! what the kernel needs for it.

pub mod key_type;
mod keys;
mod memory;
pub mod netlink;
mod plan;
mod program;
mod text;

pub use key_type::Field;
pub use keys::{Element, Keys, Value};
pub use memory::{KernelMemory, Part};
pub use program::{
    Chain, Condition, ConntrackState, Direction, Elements, Program, Rule, SIGNATURE, Selector, Set, SetId, Side, TABLE,
    TABLE_COMMENT, Verdict,
};
