//! What was found out about a host.

use std::time::Duration;

use serde::Serialize;

use super::Usage;
use crate::kernel::conntrack::Statistics;
use crate::kernel::host::ConntrackTable;
use crate::kernel::log::FullLines;
use crate::net::Seconds;
use crate::policy::footprint::{Footprint, Target};
use crate::spec::Timeout;

/// What was found out about a host. What could not be seen is none, and among the [`Unseen`].
#[derive(Debug, Clone)]
pub struct Facts {
    /// The table; none where the kernel does not track connections.
    pub table: Option<Table>,
    /// The time between the two looks.
    pub interval: Duration,
    /// The kernel's counters at the first and at the second look.
    pub counters: Option<(Statistics, Statistics)>,
    /// The kernel's log.
    pub log: Option<FullLines>,
    /// The host's memory, bytes.
    pub memory: Option<u64>,
    /// How long entries are kept.
    pub timeouts: Vec<(Timeout, Seconds)>,
    /// The ports that this host takes for its own connections.
    pub local_ports: (u16, u16),
    /// The entries.
    pub usage: Option<Usage>,
    /// NAT rules but fwc's own.
    pub nat: Vec<NatRule>,
    /// Whether fwc has loaded a spec here already.
    pub loaded: bool,
    /// What could not be seen.
    pub unseen: Vec<Unseen>,
}

/// The table at two looks.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// At the first.
    pub before: ConntrackTable,
    /// At the second.
    pub now: ConntrackTable,
}

/// A live NAT rule, as far as it matters to what is stateless.
#[derive(Debug, Clone)]
pub struct NatRule {
    /// For people.
    pub text: String,
    /// Which packets it could match.
    pub footprint: Footprint,
    /// Where they go then, if it changes that.
    pub target: Option<Target>,
}

/// Something that could not be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// What, as in `the entries`.
    pub what: String,
    /// Why not.
    pub why: String,
}
