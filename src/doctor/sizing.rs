//! How large the table should be instead, for what has to stay tracked, and why.

use serde::Serialize;

use super::{Facts, percent};
use crate::net::Seconds;
use crate::policy::table_bytes;
use crate::spec::Timeout;

/// Timeouts that a busy host can do with, seconds. An open connection has to outlive two hours of silence (RFC 5382, REQ-5: 2 h 4 min).
const ENOUGH: [(&str, u32); 8] = [
    ("tcp_established", 7440),
    ("tcp_time_wait", 30),
    ("tcp_fin_wait", 30),
    ("tcp_close_wait", 30),
    ("tcp_syn_sent", 30),
    ("tcp_syn_recv", 30),
    ("udp_stream", 60),
    ("udp", 10),
];
/// Shorter timeouts are proposed for states that hold this part of the entries, hundredths.
const WORTH: u64 = 10;
/// The part of the host's memory that a full table may take.
const MEMORY_SHARE: u64 = 4;
/// The largest table that is proposed, entries.
const LARGEST: u64 = 1 << 27;

/// A table to set instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Sizing {
    /// `nf_conntrack_max`, entries.
    pub max: u64,
    /// Hash buckets.
    pub buckets: u64,
    /// Memory that it takes when it is full, bytes.
    pub bytes_when_full: u64,
    /// Timeouts to shorten.
    pub timeouts: Vec<Shorter>,
    /// Why, a sentence each.
    pub reasons: Vec<String>,
    /// The section of a spec that says so.
    pub spec: String,
}

/// A timeout to shorten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Shorter {
    /// Its key in a spec.
    pub timeout: &'static str,
    /// As it is, seconds.
    pub now: u32,
    /// As it should be, seconds.
    pub proposed: u32,
    /// The part of the entries that wait for it, hundredths.
    pub percent: u64,
}

/// The proposal for a table that tracks; none where there is no table.
pub(super) fn propose(facts: &Facts) -> Option<Sizing> {
    let now = facts.table?.now;
    let wanted = (now.max.max(now.count).saturating_mul(4)).clamp(1 << 18, LARGEST).next_power_of_two();
    let mut max = wanted;
    while facts.memory.is_some_and(|memory| table_bytes(max, max) > memory / MEMORY_SHARE) && max / 2 > now.max {
        max /= 2;
    }
    let bytes = table_bytes(max, max);
    let timeouts = shorter(facts);
    let mut reasons = vec![
        format!("max: {max} instead of {} entries", now.max),
        "buckets: one an entry; each entry is in two chains, so chains hold two when the table is full".to_string(),
    ];
    reasons.push(match facts.memory {
        Some(memory) if bytes > memory / MEMORY_SHARE => format!(
            "memory: {} MB when full, {}% of this host's; no more would be wise",
            bytes.div_ceil(1_000_000),
            percent(bytes, memory)
        ),
        Some(memory) => {
            format!("memory: {} MB when full, {}% of this host's", bytes.div_ceil(1_000_000), percent(bytes, memory))
        }
        None => format!("memory: {} MB when full", bytes.div_ceil(1_000_000)),
    });
    reasons.extend(timeouts.iter().map(|shorter| {
        let Shorter { timeout, now, proposed, percent } = shorter;
        format!("{timeout}: {percent}% of the entries wait up to {now} s for it; {proposed} s will do")
    }));
    let spec = spec(max, &timeouts);
    Some(Sizing { max, buckets: max, bytes_when_full: bytes, timeouts, reasons, spec })
}

fn shorter(facts: &Facts) -> Vec<Shorter> {
    let Some(usage) = &facts.usage else { return Vec::new() };
    let enough = |(key, proposed): (&'static str, u32)| {
        let states = usage.states.iter().filter(|(state, _)| state.timeout() == Some(Timeout(key)));
        let share = percent(states.map(|(_, count)| count).sum(), usage.entries);
        let &(_, Seconds(now)) = facts.timeouts.iter().find(|(timeout, _)| timeout.0 == key)?;
        (share >= WORTH && now > proposed).then_some(Shorter { timeout: key, now, proposed, percent: share })
    };
    ENOUGH.into_iter().filter_map(enough).collect()
}

fn spec(size: u64, timeouts: &[Shorter]) -> String {
    let timeouts: Vec<String> =
        timeouts.iter().map(|shorter| format!("{}: {}s", shorter.timeout, shorter.proposed)).collect();
    let mut text = format!("conntrack:\n  max: {size}\n  buckets: {size}\n");
    if !timeouts.is_empty() {
        text.push_str(&format!("  timeouts: {{{}}}\n", timeouts.join(", ")));
    }
    text
}
