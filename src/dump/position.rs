//! By what a person finds a rule again.

use std::fmt::{self, Display};

/// Where in its chain a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// The handle that `nft -a list ruleset` shows and `nft delete rule` takes.
    Handle(u64),
    /// The number that `iptables -L --line-numbers` shows and `iptables -D` takes: 1 for the first.
    Number(usize),
}

impl Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Handle(handle) => write!(f, "handle {handle}"),
            Position::Number(number) => write!(f, "rule {number}"),
        }
    }
}
