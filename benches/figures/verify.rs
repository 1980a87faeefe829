//! `fwc verify`: whole processes that prove a spec, with every form of its rules.

use super::Effort;
use super::inputs;
use super::process::{milliseconds, peak_megabytes};
use super::report::{Report, Target, Unit};
use super::sample::Samples;
use super::support::{Spec, cli};

pub fn measure(effort: Effort, report: &mut Report) {
    report.group("fwc verify");
    let [small, large] = [1_000, 10_000].map(|services| Spec::new(&inputs::spec(services)));
    let (mut thousand, mut ten_thousand) = (Samples::default(), Samples::default());
    for _ in 0..effort.few {
        thousand.push(milliseconds(&mut cli::command(&["verify", &small.path()])));
        ten_thousand.push(milliseconds(&mut cli::command(&["verify", &large.path()])));
    }
    let mut memory = Samples::default();
    memory.push(peak_megabytes(&[env!("CARGO_BIN_EXE_fwc"), "verify", &large.path()]));
    let at_most = |limit| Some(Target::AtMost(limit));
    report.add("verify.1000", "fwc verify, 1,000 services", Unit::Milliseconds, &thousand, at_most(200.0));
    report.add("verify.10000", "fwc verify, 10,000 services", Unit::Milliseconds, &ten_thousand, at_most(2_000.0));
    report.add("verify.memory", "fwc verify, 10,000 services: peak memory", Unit::Megabytes, &memory, None);
}
