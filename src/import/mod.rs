//! Foreign rulesets: the traps in them.

pub mod leaf;
pub mod lint;
mod read;
mod words;

pub use read::read;

use crate::proof::Survey;
