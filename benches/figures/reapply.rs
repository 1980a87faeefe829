//! A small change to a large table: what differs is sent, against a load of everything.

use std::thread::sleep;

use super::Effort;
use super::apply::SETTLE;
use super::inputs;
use super::load::applied;
use super::report::{Report, Target, Unit};
use super::sample::Samples;
use super::support::{Namespace, Spec};

/// A change goes there and back.
const SERVICES: usize = 10_000;
const ADDRESSES: u32 = 1_000_000;
const PREFIXES: u32 = 100_000;
/// What changes of a list.
const FEW: usize = 10;

pub fn measure(effort: Effort, report: &mut Report) {
    let services = inputs::spec(SERVICES);
    let changed = services.replacen(":1000\n", ":999\n", 1);
    let specs = [Spec::new(&services), Spec::new(&changed)];
    one("one of 10,000 services", "services.10000", &specs, effort.few, report);
    let list = |list: &str| Spec::new(inputs::BLOCK_SPEC).file(inputs::BLOCK_FILE, list);
    for (what, id, lines) in [
        ("ten of 1,000,000 addresses", "addresses.1000000", inputs::address_list(ADDRESSES)),
        ("ten of 100,000 prefixes", "prefixes.100000", inputs::prefix_list(PREFIXES)),
    ] {
        let fewer: String = lines.lines().skip(FEW).map(|line| format!("{line}\n")).collect();
        one(what, id, &[list(&lines), list(&fewer)], effort.few, report);
    }
}

fn one(what: &str, id: &str, specs: &[Spec; 2], rounds: usize, report: &mut Report) {
    report.group(&format!("apply again: {what}"));
    let namespace = Namespace::new("reapply");
    let [mut whole, mut whole_sent, mut update, mut update_sent] = std::array::from_fn(|_| Samples::default());
    for _ in 0..rounds {
        namespace.write_nft("flush ruleset");
        sleep(SETTLE);
        let (took, sent) = applied(&namespace, &specs[0].path());
        assert!(!sent.is_update, "there is nothing to update");
        whole.push(took);
        whole_sent.push(sent.microseconds / 1e3);
        let (took, sent) = applied(&namespace, &specs[1].path());
        assert!(sent.is_update, "the table is loaded");
        update.push(took);
        update_sent.push(sent.microseconds / 1e3);
    }
    report.add(format!("whole.{id}"), "fwc apply of everything", Unit::Milliseconds, &whole, None);
    report.add(format!("update.{id}"), "fwc apply of the change", Unit::Milliseconds, &update, None);
    report.add(
        format!("update-ratio.{id}"),
        "its time over that of everything",
        Unit::Ratio,
        &update.over(&whole),
        None,
    );
    report.add(format!("whole-kernel.{id}"), "the transaction of everything", Unit::Milliseconds, &whole_sent, None);
    report.add(format!("update-kernel.{id}"), "the transaction of the change", Unit::Milliseconds, &update_sent, None);
    let ratio = update_sent.over(&whole_sent);
    let target = Some(Target::AtMost(0.05));
    report.add(format!("update-kernel-ratio.{id}"), "its time over that of everything", Unit::Ratio, &ratio, target);
}
