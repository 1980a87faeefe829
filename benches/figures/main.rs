//! `make bench`: measures fwc beside ferm, nft and iptables, in one run, on one machine.
//!
//! Times differ from machine to machine, so that what counts are ratios of figures taken in turns. benches/README.md says
//! how each comes about. Nothing here fails because something was slow.

mod apply;
mod blocked;
mod case;
mod check;
mod conntrack;
mod flood;
mod hand;
mod inputs;
mod load;
mod memory;
mod packets;
mod process;
mod reapply;
mod report;
mod sample;
#[path = "../../tests/support/mod.rs"]
mod support;
mod traffic;
mod verify;
mod web;

use std::path::Path;

use report::Report;
use support::tools;

/// How often each thing is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Rounds of what takes milliseconds.
    many: usize,
    /// Rounds of what takes tenths of a second.
    some: usize,
    /// Rounds of what takes seconds.
    few: usize,
}

const FULL: Effort = Effort { many: 20, some: 15, few: 5 };
/// For a look while working on it.
const QUICK: Effort = Effort { many: 5, some: 3, few: 1 };

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if process::is_peak_run(&words) {
        return;
    }
    // Cargo adds this word.
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "--bench").collect();
    let (options, groups): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.starts_with('-'));
    let known = ["check", "verify", "memory", "apply", "load", "reapply", "conntrack", "packets", "blocked", "web"];
    if options.iter().any(|word| *word != "--quick") || groups.iter().any(|word| !known.contains(word)) {
        eprintln!("usage: benches/run [--quick] [{}]", known.join("] ["));
        std::process::exit(2);
    }
    let effort = if options.is_empty() { FULL } else { QUICK };
    let wanted = |group: &str| groups.is_empty() || groups.contains(&group);

    tools::require_root();
    let mut report = Report::new();
    if wanted("check") {
        check::measure(effort, &mut report);
    }
    if wanted("verify") {
        verify::measure(effort, &mut report);
    }
    if wanted("memory") {
        memory::measure(&mut report);
    }
    if wanted("apply") {
        apply::measure(effort, &mut report);
    }
    if wanted("load") {
        load::measure(effort, &mut report);
    }
    if wanted("reapply") {
        reapply::measure(effort, &mut report);
    }
    if wanted("conntrack") {
        conntrack::measure(effort, &mut report);
    }
    if wanted("packets") {
        packets::measure(effort, &mut report);
    }
    if wanted("blocked") {
        blocked::measure(effort, &mut report);
    }
    if wanted("web") {
        web::measure(effort, &mut report);
    }
    report.write(&Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench.json"));
}
