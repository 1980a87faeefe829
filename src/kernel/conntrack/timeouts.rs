//! How long conntrack keeps entries.

use std::fs;

use crate::net::Seconds;
use crate::spec::Timeout;

/// Each timeout that this kernel has, as it is set in the network namespace of the calling thread.
#[must_use]
pub fn timeouts() -> Vec<(Timeout, Seconds)> {
    let read = |timeout: Timeout| {
        let text = fs::read_to_string(format!("/proc/sys/net/netfilter/{}", timeout.sysctl())).ok()?;
        Some((timeout, Seconds(text.trim().parse().ok()?)))
    };
    Timeout::ALL.into_iter().filter_map(|name| read(Timeout(name))).collect()
}
