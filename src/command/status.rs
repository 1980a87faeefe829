//! `fwc status`: what is loaded, what it counted, whether it is still what was applied.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::process::ExitCode;

use serde::Serialize;

use super::host::{self, undoable};
use super::output::Output;
use super::{Failure, exit, watchdog};
use crate::backend::nft::Program;
use crate::cli::HostArgs;
use crate::diagnostic::Diagnostic;
use crate::kernel::counters::{Counter, CounterOwner, counters};
use crate::kernel::host::conntrack;
use crate::source::Sources;
use crate::state::journal;
use crate::state::{Directory, StateError, clock, directory};

pub(super) fn run(output: Output, arguments: &HostArgs) -> Result<ExitCode, Failure> {
    match look(arguments) {
        Ok(status) => {
            output.result(&status.human(), &status)?;
            let is_overdue = status.waits.as_ref().is_some_and(|waits| waits.overdue);
            let is_well = status.state == State::AsApplied && !is_overdue && status.damage.is_none();
            Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(exit::REFUSED) })
        }
        Err(diagnostic) => {
            output.diagnostics(&Sources::default(), &[diagnostic]);
            Ok(ExitCode::from(exit::HOST))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// The table is what fwc loaded, or compiled and nft loaded.
    AsApplied,
    /// Somebody changed it since.
    Drifted,
    /// There is no table.
    NotLoaded,
}

#[derive(Debug, Serialize)]
struct Status {
    format: &'static str,
    version: u32,
    state: State,
    /// The table's signature: version, spec and identity.
    comment: Option<String>,
    /// The apply that waits to be confirmed.
    #[serde(rename = "pending")]
    waits: Option<Waits>,
    /// Why nobody can tell what waits to be confirmed.
    damage: Option<String>,
    counters: Vec<Line>,
    conntrack: Option<Table>,
}

/// An apply that waits to be confirmed.
#[derive(Debug, Serialize)]
pub(super) struct Waits {
    pub(super) spec: String,
    pub(super) until: String,
    pub(super) seconds_left: u64,
    /// Whether its time is over and nobody has rolled it back.
    pub(super) overdue: bool,
    /// Whether the process that rolls back is there.
    armed: bool,
}

/// What waits to be confirmed, as far as this user may know.
pub(super) fn waits(netns: Option<&str>) -> Result<Option<Waits>, StateError> {
    let Some(directory) = Directory::existing(&directory::path(netns))? else { return Ok(None) };
    let account = match directory.account() {
        Err(StateError::Io(_, error)) if error.kind() == ErrorKind::PermissionDenied => None,
        account => account?,
    };
    let Some(account) = account else { return Ok(None) };
    let (Some(pending), Some(applied)) = (&account.pending, &account.applied) else { return Ok(None) };
    Ok(Some(Waits {
        spec: applied.spec.clone(),
        until: clock::date(pending.until),
        seconds_left: pending.left().as_secs(),
        overdue: pending.is_overdue(),
        armed: journal::watchdog(&directory, &account).is_some(),
    }))
}

/// A rollback that will happen and that no account tells of: the state directory was deleted, or an old one put back.
fn unknown_trial(netns: Option<&str>) -> Option<String> {
    let path = directory::path(netns);
    let account = Directory::existing(&path).ok().flatten().and_then(|directory| directory.account().ok()?);
    let last = account.map_or(0, |account| account.number);
    let unknown = watchdog::running(&path).into_iter().find(|running| running.number > last)?;
    Some(format!(
        "the apply that was last is not in it, and process {} rolls it back when its time is over; `fwc apply` or `fwc remove` ends that",
        unknown.pid
    ))
}

/// How full the conntrack table is: entries of this namespace, the most there may be, and buckets.
#[derive(Debug, Serialize)]
struct Table {
    count: u64,
    max: u64,
    buckets: u64,
}

/// Counters of one entry in one direction.
#[derive(Debug, Serialize)]
struct Line {
    /// `services`, `clients` or `forward`; none for what belongs to no entry.
    section: Option<String>,
    name: String,
    direction: String,
    packets: u64,
    bytes: u64,
}

fn look(arguments: &HostArgs) -> Result<Status, Diagnostic> {
    host::enter(arguments.netns.as_deref())?;
    let mut socket = host::socket()?;
    let failed = |error| host::kernel_failure(&error);
    let live = undoable::live(arguments.netns.as_deref(), &mut socket)?;
    let state = match &live {
        None => State::NotLoaded,
        Some(live) => {
            let signed = live
                .signature
                .as_deref()
                .and_then(|signature| Program::is_signed_with(signature, &live.identity.to_string()));
            if signed == Some(true) { State::AsApplied } else { State::Drifted }
        }
    };
    let counted = if live.is_some() { counters(&mut socket).map_err(failed)? } else { Vec::new() };
    let waits = waits(arguments.netns.as_deref());
    let damage = waits.as_ref().err().map(undoable::words).or_else(|| unknown_trial(arguments.netns.as_deref()));
    Ok(Status {
        format: "fwc-status",
        version: 1,
        state,
        comment: live.and_then(|live| live.signature),
        waits: waits.ok().flatten(),
        damage,
        counters: lines(&counted),
        conntrack: conntrack().map(|table| Table { count: table.count, max: table.max, buckets: table.buckets }),
    })
}

/// Sums the counters of elements and rules by who they belong to and which way.
fn lines(counted: &[Counter]) -> Vec<Line> {
    let mut sums: BTreeMap<(Option<&str>, &str, &str), (u64, u64)> = BTreeMap::new();
    for counter in counted {
        let name = counter.comment.as_deref().unwrap_or("").trim_start_matches("fwc: ");
        let (section, direction) = match &counter.owner {
            CounterOwner::Element { set } => leg(set),
            CounterOwner::Rule { chain, .. } => (None, chain.as_ref()),
        };
        let sum = sums.entry((section, name, direction)).or_default();
        sum.0 = sum.0.saturating_add(counter.packets);
        sum.1 = sum.1.saturating_add(counter.bytes);
    }
    let line = |((section, name, direction), (packets, bytes)): ((Option<&str>, &str, &str), (u64, u64))| Line {
        section: section.map(str::to_string),
        name: name.to_string(),
        direction: direction.to_string(),
        packets,
        bytes,
    };
    sums.into_iter().map(line).collect()
}

/// How the names of sets that count begin, with the section and the direction that they count. Names of tracked entries' sets
/// count the first packets of connections.
const LEGS: [(&str, &str, &str); 9] = [
    ("service_requests", "services", "request"),
    ("service_replies", "services", "reply"),
    ("client_requests", "clients", "request"),
    ("client_replies", "clients", "reply"),
    ("forward_requests", "forward", "request"),
    ("forward_replies", "forward", "reply"),
    ("tracked_services", "services", "request"),
    ("tracked_clients", "clients", "request"),
    ("tracked_forward", "forward", "request"),
];

pub(super) fn leg(set: &str) -> (Option<&'static str>, &'static str) {
    let known = LEGS.iter().find(|(start, ..)| set.starts_with(start));
    known.map_or((None, "request"), |&(_, section, direction)| (Some(section), direction))
}

impl Status {
    fn human(&self) -> String {
        let mut text = String::from(match self.state {
            State::AsApplied => "table inet fwc: loaded, as it was applied\n",
            State::Drifted => "table inet fwc: loaded, but CHANGED since it was applied: `fwc apply` puts it right\n",
            State::NotLoaded => "table inet fwc: not loaded\n",
        });
        if let Some(comment) = &self.comment {
            let _ = writeln!(text, "  {comment}");
        }
        if let Some(damage) = &self.damage {
            let _ = writeln!(text, "  the state directory cannot be used: {damage}");
        }
        if let Some(Waits { spec, until, seconds_left, overdue, armed }) = &self.waits {
            let _ = match (overdue, armed) {
                (true, _) => writeln!(
                    text,
                    "  NOT CONFIRMED in time: the next fwc command that changes anything rolls {spec} back"
                ),
                (false, true) => {
                    writeln!(text, "  NOT CONFIRMED: {spec} is rolled back at {until}, in {seconds_left}s")
                }
                (false, false) => writeln!(
                    text,
                    "  NOT CONFIRMED: {spec} is to be rolled back at {until}, but the process for it is gone: `fwc rollback` does it now"
                ),
            };
        }
        if let Some(table) = &self.conntrack {
            let percent = table.count.saturating_mul(100).checked_div(table.max).unwrap_or(0);
            let _ = writeln!(text, "  conntrack: {} of {} entries ({percent}%)", table.count, table.max);
        }
        if !self.counters.is_empty() {
            let name = |line: &Line| match &line.section {
                Some(section) => format!("{section}.{}", line.name),
                None => line.name.clone(),
            };
            let width = self.counters.iter().map(|line| name(line).len()).max().unwrap_or(0).max(4);
            let _ = writeln!(text, "\n{:<width$}  {:<14}  {:>12}  {:>15}", "name", "direction", "packets", "bytes");
            for line in &self.counters {
                let Line { direction, packets, bytes, .. } = line;
                let _ = writeln!(text, "{:<width$}  {direction:<14}  {packets:>12}  {bytes:>15}", name(line));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_tells_section_and_direction_by_how_its_name_begins() {
        assert_eq!(leg("service_replies_v4"), (Some("services"), "reply"));
        assert_eq!(leg("service_requests_from_replicas_v4"), (Some("services"), "request"));
        assert_eq!(leg("tracked_clients_v6"), (Some("clients"), "request"));
    }
}
