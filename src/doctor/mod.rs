//! Is the conntrack table the problem, who fills it, and what would help: facts in, answers out.
//!
//! Nothing here looks at a host: [`Facts`] are what somebody has found out, [`Tally`] counts the entries while they are read, and [`Report`]
//! is what follows from both.

mod facts;
mod findings;
mod group;
mod picture;
mod proposal;
mod report;
mod sizing;
mod tally;

pub use facts::{Facts, NatRule, Table, Unseen};
pub use findings::findings;
pub use group::{Group, Service, State, Who};
pub use report::Report;
pub use tally::{Tally, Usage};

/// How many hundredths of `whole` are in `part`, rounded down; nothing of nothing is none.
fn percent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(u64::MAX)
}
