//! What an apply did, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::command::host::load::{Prepared, Sent};
use crate::command::host::nat::Verdict;
use crate::command::host::sizing::Change;
use crate::command::memory::Estimate;
use crate::command::status::Waits;
use crate::command::waiting;
use crate::compile::Compiled;
use crate::spec::{Fate, Tracking};

/// What an apply did.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    format: &'static str,
    version: u32,
    result: &'static str,
    spec_sha256: String,
    entries: usize,
    stateless: usize,
    chains: usize,
    rules: usize,
    sets: usize,
    elements: usize,
    /// Bytes of the one transaction.
    bytes: usize,
    /// Whether it held only what differs from the table before, so that the counters of the rest go on.
    update: bool,
    /// How long the kernel took to carry it out, in microseconds. Nothing was carried out where this is 0.
    transaction_microseconds: u64,
    /// What the kernel needs for the table, estimated.
    kernel_memory: Estimate,
    /// How often the ruleset was looked at before it held still.
    attempts: u32,
    /// Entries of flows that are no longer tracked, deleted from the conntrack table.
    pub(super) stale_entries_deleted: usize,
    /// They were left, as `--keep-conntrack` asks.
    pub(super) conntrack_kept: bool,
    /// What of the `conntrack` section was not set already.
    pub(super) sizing: Vec<Change>,
    /// The NAT rules that were looked at, the host's and the spec's, and why they touch a stateless flow or none.
    pub(super) nat_rules: Vec<Verdict>,
    /// What `fwc rollback` does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rollback: Option<String>,
    /// Where it has to be confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confirm: Option<Confirm>,
    /// Of a dry run: the apply that was not confirmed in time, and is rolled back first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pending: Option<Waits>,
}

/// How to keep what was loaded.
#[derive(Debug, Serialize)]
pub(super) struct Confirm {
    /// In how many seconds.
    pub(super) within: u32,
    /// Until when.
    pub(super) until: String,
    /// By which command.
    pub(super) command: String,
}

impl Report {
    pub(super) fn new(result: &'static str, compiled: &Compiled, prepared: &Prepared, attempts: u32) -> Self {
        let entries = &compiled.policy.entries;
        let program = &prepared.program;
        Report {
            format: "fwc-apply",
            version: 1,
            result,
            spec_sha256: compiled.hash.clone(),
            entries: entries.len(),
            stateless: entries.iter().filter(|entry| entry.tracking == Tracking::Untracked).count(),
            chains: program.chains.len(),
            rules: program.chains.iter().map(|chain| chain.rules.len()).sum(),
            sets: program.sets.len(),
            elements: program.sets.iter().map(|set| set.elements.len()).sum(),
            bytes: prepared.messages.bytes.len(),
            update: false,
            transaction_microseconds: 0,
            kernel_memory: Estimate::of(program),
            attempts,
            stale_entries_deleted: 0,
            conntrack_kept: false,
            sizing: Vec::new(),
            nat_rules: Vec::new(),
            rollback: None,
            confirm: None,
            pending: None,
        }
    }

    /// What went to the kernel.
    pub(super) fn sent(&mut self, sent: &Sent) {
        self.bytes = sent.bytes();
        self.update = sent.is_update();
        self.transaction_microseconds = u64::try_from(sent.took().as_micros()).unwrap_or(u64::MAX);
    }

    pub(super) fn human(&self, compiled: &Compiled) -> String {
        let mut text = format!(
            "table inet fwc: {}\n  {}, {} stateless; {} chains, {} rules, {} sets with {} elements; one transaction of {} bytes{}\n",
            self.result,
            crate::command::entries(self.entries),
            self.stateless,
            self.chains,
            self.rules,
            self.sets,
            self.elements,
            self.bytes,
            if self.update { ", of what differs" } else { "" },
        );
        if let Some(memory) = self.kernel_memory.words() {
            let _ = writeln!(text, "  {memory}");
        }
        let policy = &compiled.policy;
        let tracked = if policy.tracks { "what is not stateless is tracked" } else { "nothing is tracked" };
        let word = |fate: Fate| if fate == Fate::Drop { "drop" } else { "accept" };
        let forward = policy.forward.map_or("untouched", word);
        let _ = writeln!(
            text,
            "  input {}, output {}, forward {forward}; {tracked}",
            word(policy.input),
            word(policy.output)
        );
        if self.stale_entries_deleted > 0 {
            let _ = writeln!(text, "  {} stale conntrack entries deleted", self.stale_entries_deleted);
        }
        if self.conntrack_kept {
            text.push_str("  conntrack entries of flows that are no longer tracked stay until they time out\n");
        }
        let set = if self.result == "loaded" { "set" } else { "to be set" };
        for Change { key, from, to, .. } in &self.sizing {
            let _ = writeln!(text, "  conntrack.{key}: {set} to {to}, was {from}");
        }
        text.push_str(&self.nat());
        if let Some(Confirm { within, until, command }) = &self.confirm {
            let _ =
                writeln!(text, "  NOT CONFIRMED: rolled back at {until} unless you say `{command}` within {within}s");
        }
        if let Some(waits) = &self.pending {
            let _ = writeln!(text, "  {}", waiting::words(waits));
        }
        if let Some(undo) = self.rollback.as_deref().filter(|undo| undo.starts_with("is not possible")) {
            let _ = writeln!(text, "  `fwc rollback` {undo}");
        }
        text
    }

    /// The NAT rules that were let through.
    fn nat(&self) -> String {
        let apart: Vec<&Verdict> = self.nat_rules.iter().filter(|one| one.touches.is_none()).collect();
        let mut text = match apart.len() {
            0 => return String::new(),
            1 => "  1 NAT rule touches no stateless flow:\n".to_string(),
            count => format!("  {count} NAT rules touch no stateless flow:\n"),
        };
        for Verdict { rule, why, .. } in apart {
            let _ = writeln!(text, "    {rule}: {why}");
        }
        text
    }
}
