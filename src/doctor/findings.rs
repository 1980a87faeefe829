//! What is wrong.

use super::report::{Counter, Report};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{
    conntrack_chains, conntrack_filling, conntrack_full, conntrack_insert_failed, conntrack_was_full, stateless_barred,
};
use crate::policy::table_advice;

/// A table is called nearly full from here, hundredths.
const HIGH: u64 = 80;
/// A table that will be full within these seconds is called nearly full, too, if it holds a tenth already: one that is empty grows fast and
/// means nothing by it.
const SOON: u64 = 600;
const TENTH: u64 = 10;
/// A hash chain is called long from here, entries on average.
const LONG: f64 = 8.0;

/// Everything that is wrong, the worst first.
#[must_use]
pub fn findings(report: &Report) -> Vec<Diagnostic> {
    let Some(table) = &report.table else { return Vec::new() };
    let rises = |counter: fn(&super::report::Counters) -> Counter| {
        report.counters.as_ref().map(counter).filter(|counter| counter.per_second > 0.0)
    };
    let help = cure(report, table.max);
    let mut found = Vec::new();
    let (drops, evicted) = (rises(|all| all.drop), rises(|all| all.early_drop));
    if table.count >= table.max || drops.is_some() || evicted.is_some() {
        let rate = drops.or(evicted).map(|counter| counter.per_second);
        found.push(conntrack_full::report(table.count, table.max, rate, drops.is_some(), &help));
    } else {
        found.extend(has_been_full(report, &help));
        let soon = table.seconds_until_full.filter(|&seconds| seconds <= SOON && table.percent >= TENTH);
        if table.percent >= HIGH || soon.is_some() {
            found.push(conntrack_filling::report(table.count, table.max, table.percent, soon, &help));
        }
    }
    let too_long = rises(|all| all.chain_too_long);
    if table.average_chain > LONG || too_long.is_some() {
        found.push(conntrack_chains::report(table.average_chain, table.count, table.buckets, table.max));
    }
    if let Some(counter) = rises(|all| all.insert_failed) {
        found.push(conntrack_insert_failed::report(counter.per_second));
    }
    if !found.is_empty() {
        let advice = table_advice(Some(table.max));
        found.extend(
            report
                .proposal
                .barred
                .iter()
                .map(|barred| stateless_barred::report(&barred.who, barred.percent, &barred.rules, &advice)),
        );
    }
    found
}

/// The counters are the truth. The log counts where they could not be read: it names a namespace by a number that another one may have had before.
fn has_been_full(report: &Report, help: &str) -> Option<Diagnostic> {
    let (lost, thrown_out) = report.counters.as_ref().map_or((0, 0), |all| (all.drop.total, all.early_drop.total));
    let log = report.log.as_ref().filter(|_| report.counters.is_none() || lost + thrown_out > 0);
    let lines = log.map_or(0, |log| log.here);
    let ago = log.and_then(|log| log.last_seconds_ago);
    (lost + thrown_out + lines > 0).then(|| conntrack_was_full::report(lost, thrown_out, lines, ago, help))
}

/// What helps against a full table.
fn cure(report: &Report, max: u64) -> String {
    let proposal = &report.proposal;
    if proposal.spec.is_none() && report.users.is_none() {
        return "run `fwc doctor` as root: it then sees who fills the table, and proposes a spec".to_string();
    }
    if proposal.spec.is_none() {
        return format!("nothing that fills it can be stateless: enlarge the table with {}", table_advice(Some(max)));
    }
    let how = if proposal.beside_loaded {
        "make the proposed entries stateless in the spec that is loaded"
    } else {
        "`fwc doctor --spec > cure.yaml`, look at it, then `fwc apply cure.yaml`"
    };
    let rest = if proposal.frees_percent < 50 { "; the rest needs a larger table" } else { "" };
    format!("the proposed spec takes {}% of the entries out of the table: {how}{rest}", proposal.frees_percent)
}
