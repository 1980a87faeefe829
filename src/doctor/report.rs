//! The answers, as programs read them. Keys may be added within a version; none is removed or changes its meaning.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::proposal::{self, Proposal};
use super::sizing::{self, Sizing};
use super::{Facts, Unseen, Usage, Who, findings, percent};
use crate::diagnostic::Diagnostic;
use crate::kernel::conntrack::Statistics;
use crate::policy::table_bytes;

/// What doctor found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `fwc-doctor`.
    pub format: &'static str,
    /// 1.
    pub version: u32,
    /// Nothing was found.
    pub healthy: bool,
    /// The codes of what was found.
    pub findings: Vec<&'static str>,
    /// The table; none where the kernel does not track connections.
    pub(super) table: Option<Table>,
    /// The counters.
    pub(super) counters: Option<Counters>,
    /// Lines `table full` of the kernel's log.
    pub(super) log: Option<Log>,
    /// Who fills the table, the largest first.
    pub(super) users: Option<Vec<User>>,
    /// The entries by state, the most frequent first.
    pub(super) states: Option<Vec<StateShare>>,
    /// NAT rules but fwc's own, for people.
    pub(super) nat: Vec<String>,
    /// What could be stateless.
    pub(super) proposal: Proposal,
    /// How large the table should be instead.
    pub(super) sizing: Option<Sizing>,
    /// How long entries are kept, seconds, by the key of a spec.
    pub(super) timeouts: BTreeMap<&'static str, u32>,
    /// What could not be seen.
    pub(super) unseen: Vec<Unseen>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Table {
    pub count: u64,
    pub max: u64,
    pub buckets: u64,
    pub percent: u64,
    /// Entries more, a second.
    pub growth_per_second: f64,
    /// At this growth; none where it does not grow.
    pub seconds_until_full: Option<u64>,
    /// How many entries a hash chain holds on average, each entry being in two chains.
    pub average_chain: f64,
    /// Memory of the entries, of the buckets, and of both when the table is full.
    pub bytes_of_entries: u64,
    pub bytes_of_buckets: u64,
    pub bytes_when_full: u64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Counters {
    /// The time between the two looks, seconds.
    pub interval: f64,
    pub drop: Counter,
    pub early_drop: Counter,
    pub insert_failed: Counter,
    pub chain_too_long: Counter,
    pub invalid: Counter,
}

/// A counter since the namespace was made, and its growth.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Counter {
    pub total: u64,
    pub per_second: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Log {
    /// Lines about this namespace, or about none by name.
    pub here: u64,
    /// Lines about other namespaces.
    pub elsewhere: u64,
    pub last_seconds_ago: Option<u64>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct User {
    /// `service`, `outgoing`, `forwarded`, `translated`, `loopback` or `unserved`.
    pub kind: &'static str,
    /// For people.
    pub title: String,
    pub entries: u64,
    pub percent: u64,
    pub states: BTreeMap<&'static str, u64>,
    /// Of a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Listening>,
    /// Of outgoing and forwarded flows: protocol number and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<(u8, u16)>,
    /// Hundredths of all entries that `stateless: true` on this one would free.
    pub stateless_frees_percent: u64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Listening {
    pub protocol: String,
    pub port: u16,
    pub addresses: Vec<IpAddr>,
    pub process: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct StateShare {
    pub state: &'static str,
    pub entries: u64,
    pub percent: u64,
    /// How long an entry in it is kept, seconds.
    pub timeout: Option<u32>,
}

impl Report {
    /// What follows from the facts, with the findings as diagnostics.
    #[must_use]
    pub fn of(facts: &Facts) -> (Self, Vec<Diagnostic>) {
        let mut report = Report {
            format: "fwc-doctor",
            version: 1,
            healthy: true,
            findings: Vec::new(),
            table: Table::of(facts),
            counters: Counters::of(facts),
            log: facts.log.map(|log| Log {
                here: log.here,
                elsewhere: log.elsewhere,
                last_seconds_ago: log.last.map(|last| last.as_secs()),
            }),
            users: facts.usage.as_ref().map(users),
            states: facts.usage.as_ref().map(|usage| states(usage, facts)),
            nat: facts.nat.iter().map(|rule| rule.text.clone()).collect(),
            proposal: proposal::propose(facts),
            sizing: None,
            timeouts: facts.timeouts.iter().map(|(timeout, seconds)| (timeout.0, seconds.0)).collect(),
            unseen: facts.unseen.clone(),
        };
        let found = findings(&report);
        report.healthy = found.is_empty();
        report.findings = found.iter().map(|found| found.finding.code).collect();
        report.sizing = (!report.healthy).then(|| sizing::propose(facts)).flatten();
        (report, found)
    }

    /// The proposed spec alone.
    #[must_use]
    pub fn spec(&self) -> Option<&str> {
        self.proposal.spec.as_deref()
    }
}

impl Table {
    fn of(facts: &Facts) -> Option<Self> {
        let super::Table { before, now } = facts.table?;
        let seconds = facts.interval.as_secs_f64().max(1e-3);
        let growth = (now.count as f64 - before.count as f64) / seconds;
        let left = now.max.saturating_sub(now.count);
        let until = match left {
            0 => Some(0),
            _ if growth > 0.0 => Some((left as f64 / growth) as u64),
            _ => None,
        };
        let buckets = table_bytes(0, now.buckets);
        Some(Table {
            count: now.count,
            max: now.max,
            buckets: now.buckets,
            percent: percent(now.count, now.max),
            growth_per_second: growth,
            seconds_until_full: until,
            average_chain: 2.0 * now.count as f64 / now.buckets.max(1) as f64,
            bytes_of_entries: table_bytes(now.count, 0),
            bytes_of_buckets: buckets,
            bytes_when_full: table_bytes(now.max, now.buckets),
        })
    }
}

impl Counters {
    fn of(facts: &Facts) -> Option<Self> {
        let (before, now) = facts.counters?;
        let seconds = facts.interval.as_secs_f64().max(1e-3);
        let counter = |figure: fn(&Statistics) -> u64| {
            let total = figure(&now);
            Counter { total, per_second: total.saturating_sub(figure(&before)) as f64 / seconds }
        };
        Some(Counters {
            interval: facts.interval.as_secs_f64(),
            drop: counter(|all| all.drop),
            early_drop: counter(|all| all.early_drop),
            insert_failed: counter(|all| all.insert_failed),
            chain_too_long: counter(|all| all.chain_too_long),
            invalid: counter(|all| all.invalid),
        })
    }
}

fn users(usage: &Usage) -> Vec<User> {
    let loopback = usage.groups.iter().find(|group| group.who == Who::Loopback).map_or(0, |group| group.entries);
    let user = |group: &super::Group| {
        let (kind, frees) = match group.who {
            Who::Service(_) => ("service", group.entries + loopback),
            Who::Outgoing(..) => ("outgoing", group.entries + loopback),
            Who::Forwarded(..) => ("forwarded", group.entries + loopback),
            Who::Translated => ("translated", 0),
            Who::Loopback => ("loopback", group.entries),
            Who::Unserved(_) => ("unserved", 0),
        };
        let (service, to) = match group.who {
            Who::Service(index) => (usage.services.get(index), None),
            Who::Outgoing(protocol, port) | Who::Forwarded(protocol, port) => (None, Some((protocol, port))),
            _ => (None, None),
        };
        User {
            kind,
            title: usage.title(group.who),
            entries: group.entries,
            percent: percent(group.entries, usage.entries),
            states: group.states.iter().map(|(state, count)| (state.name(), *count)).collect(),
            service: service.map(|service| Listening {
                protocol: service.protocol.to_string(),
                port: service.port,
                addresses: service.addresses.clone(),
                process: service.process.clone(),
            }),
            to,
            stateless_frees_percent: percent(frees, usage.entries),
        }
    };
    usage.groups.iter().map(user).collect()
}

fn states(usage: &Usage, facts: &Facts) -> Vec<StateShare> {
    let share = |&(state, entries): &(super::State, u64)| {
        let set = facts.timeouts.iter().find(|(timeout, _)| Some(*timeout) == state.timeout());
        StateShare {
            state: state.name(),
            entries,
            percent: percent(entries, usage.entries),
            timeout: set.map(|(_, seconds)| seconds.0),
        }
    };
    usage.states.iter().map(share).collect()
}
