//! `fwc apply` against `nft -f`: whole processes that load into a namespace without rules.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use super::Effort;
use super::inputs;
use super::process::milliseconds;
use super::report::{Report, Target, Unit};
use super::sample::Samples;
use super::support::tools::command;
use super::support::{Namespace, Spec, cli};

const SERVICES: usize = 10_000;
const BLOCKED: u32 = 100_000;
/// The kernel frees a deleted table behind the transaction's back. This lets it end before the next one.
pub const SETTLE: Duration = Duration::from_millis(50);

pub fn measure(effort: Effort, report: &mut Report) {
    report.group("fwc apply, into a namespace without rules");
    let namespace = Namespace::new("apply");
    services(effort, report, &namespace);
    block(effort, report, &namespace);
}

fn services(effort: Effort, report: &mut Report, namespace: &Namespace) {
    let spec = Spec::new(&inputs::spec(SERVICES)).file("hand.nft", &inputs::nft_single_set(SERVICES));
    let path = spec.path();
    let [hand, own] = ["hand.nft", "fwc.nft"].map(|file| path.replace("spec.yaml", file));
    cli::fwc(&["compile", &path, "--target", "nft", "-o", &own]).expect_success("fwc compile");
    let [apply, hand, own] = in_turns(
        namespace,
        effort.some,
        [&|| apply(namespace, &path), &|| command(["nft", "-f", &hand]), &|| command(["nft", "-f", &own])],
    );
    report.add("apply.10000", "fwc apply, 10,000 stateless services", Unit::Milliseconds, &apply, None);
    report.add("nft.10000", "nft -f, one set of the same endpoints", Unit::Milliseconds, &hand, None);
    report.add(
        "nft-own.10000",
        "nft -f, all that fwc loads (fwc compile --target nft)",
        Unit::Milliseconds,
        &own,
        None,
    );
    let what = "fwc's time over that of nft with one set";
    report.add("apply.ratio", what, Unit::Ratio, &apply.over(&hand), Some(Target::AtMost(1.0)));
    let what = "fwc's time over that of nft with all that fwc loads";
    report.add("apply-own.ratio", what, Unit::Ratio, &apply.over(&own), None);
}

fn block(effort: Effort, report: &mut Report, namespace: &Namespace) {
    let list: String = inputs::blocked(BLOCKED).map(|address| format!("{address}\n")).collect();
    let spec =
        Spec::new(inputs::BLOCK_SPEC).file(inputs::BLOCK_FILE, &list).file("hand.nft", &inputs::nft_block(BLOCKED));
    let path = spec.path();
    let hand = path.replace("spec.yaml", "hand.nft");
    let [apply, hand] =
        in_turns(namespace, effort.some, [&|| apply(namespace, &path), &|| command(["nft", "-f", &hand])]);
    report.add("block.100000", "fwc apply, block list of 100,000 addresses", Unit::Milliseconds, &apply, None);
    report.add("nft-block.100000", "nft -f, the same list", Unit::Milliseconds, &hand, None);
    let what = "fwc's time over that of nft";
    report.add("block.ratio", what, Unit::Ratio, &apply.over(&hand), Some(Target::AtMost(1.0)));
}

/// `fwc apply` as it is run inside a namespace.
pub fn apply(namespace: &Namespace, path: &str) -> Command {
    let mut command = cli::command(&["apply", path]);
    command.env("FWC_STATE_DIR", namespace.state_dir());
    command
}

/// Runs each command `rounds` times inside the namespace, in turns, and in the opposite order each other round.
/// Before each one all rules are deleted, which is not timed.
pub fn in_turns<const N: usize>(
    namespace: &Namespace,
    rounds: usize,
    commands: [&dyn Fn() -> Command; N],
) -> [Samples; N] {
    let mut samples: [Samples; N] = std::array::from_fn(|_| Samples::default());
    for round in 0..rounds {
        for place in 0..N {
            let which = if round % 2 == 0 { place } else { N - 1 - place };
            namespace.write_nft("flush ruleset");
            sleep(SETTLE);
            let mut command = commands[which]();
            samples[which].push(namespace.enter(|| milliseconds(&mut command)));
        }
    }
    samples
}
