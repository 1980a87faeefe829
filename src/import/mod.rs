//! Foreign rulesets: the traps in them, and the specs that mean the same.

pub mod draft;
pub mod leaf;
pub mod lint;
mod read;
mod words;

pub use read::read;

use crate::proof::Survey;
