//! `fwc apply` against what the kernel itself takes for the transaction, `nft -f` of the same content, and ferm with iptables-restore.

use std::fmt::Write as _;
use std::thread::sleep;

use super::Effort;
use super::apply::{SETTLE, apply, in_turns};
use super::inputs;
use super::process::{output, peak_megabytes};
use super::report::{Report, Target, Unit};
use super::sample::Samples;
use super::support::tools::{command, require};
use super::support::{Namespace, Spec, cli};

/// ferm takes minutes for more.
const MOST_FOR_FERM: usize = 10_000;

/// What is loaded.
struct Content {
    /// As in `10,000 services`.
    what: String,
    /// As in `services.10000`.
    id: String,
    spec: Spec,
    rounds: usize,
    /// fwc's time over the kernel's, at most.
    over_kernel: f64,
    /// nft's time over fwc's, at least.
    over_fwc: f64,
    has_ferm: bool,
}

pub fn measure(effort: Effort, report: &mut Report) {
    require(&["ferm", "iptables-nft-restore"]);
    let rounds = |count: usize| if count < 100_000 { effort.some } else { effort.few };
    for count in [10, 1_000, 10_000, 100_000] {
        let has_ferm = count <= MOST_FOR_FERM;
        let mut spec = Spec::new(&inputs::spec(count));
        if has_ferm {
            spec = spec.file("services.ferm", &inputs::ferm(count));
        }
        let (what, id) = (format!("{} services", thousands(count)), format!("services.{count}"));
        let rounds = rounds(count);
        one(&Content { what, id, spec, rounds, over_kernel: 2.0, over_fwc: 2.0, has_ferm }, report);
    }
    for count in [10_000, 100_000, 1_000_000] {
        for (kind, list, over_fwc) in
            [("addresses", inputs::address_list(count), 2.0), ("prefixes", inputs::prefix_list(count), 3.0)]
        {
            let spec = Spec::new(inputs::BLOCK_SPEC).file(inputs::BLOCK_FILE, &list);
            let count = count as usize;
            let (what, id) = (format!("{} {kind}", thousands(count)), format!("{kind}.{count}"));
            let rounds = rounds(count);
            one(&Content { what, id, spec, rounds, over_kernel: 1.5, over_fwc, has_ferm: false }, report);
        }
    }
}

fn one(content: &Content, report: &mut Report) {
    let Content { what, id, spec, rounds, .. } = content;
    report.group(&format!("load {what} into a namespace without rules"));
    let namespace = Namespace::new("load");
    let path = spec.path();
    let own = path.replace("spec.yaml", "fwc.nft");
    cli::fwc(&["compile", &path, "--target", "nft", "-o", &own]).expect_success("fwc compile");
    let mut kernel = Samples::default();
    let mut ours = Samples::default();
    for _ in 0..*rounds {
        namespace.write_nft("flush ruleset");
        sleep(SETTLE);
        let (took, sent) = applied(&namespace, &path);
        ours.push(took);
        kernel.push(sent.microseconds / 1e3);
    }
    report.add(format!("load.{id}"), "fwc apply", Unit::Milliseconds, &ours, None);
    report.add(format!("kernel.{id}"), "of it, the transaction in the kernel", Unit::Milliseconds, &kernel, None);
    let ratio = ours.over(&kernel);
    report.add(
        format!("load-kernel.{id}"),
        "fwc's time over the kernel's",
        Unit::Ratio,
        &ratio,
        Some(Target::AtMost(content.over_kernel)),
    );
    let [ours, nft] = in_turns(&namespace, *rounds, [&|| apply(&namespace, &path), &|| command(["nft", "-f", &own])]);
    report.add(format!("load-nft.{id}"), "nft -f of fwc's own text", Unit::Milliseconds, &nft, None);
    let ratio = nft.over(&ours);
    report.add(
        format!("load-nft-ratio.{id}"),
        "nft's time over that of fwc",
        Unit::Ratio,
        &ratio,
        Some(Target::AtLeast(content.over_fwc)),
    );
    if content.has_ferm {
        ferm(content, &namespace, report);
    }
    memory(content, &namespace, &own, report);
}

fn ferm(Content { id, spec, rounds, .. }: &Content, namespace: &Namespace, report: &mut Report) {
    let path = spec.path();
    let line = format!("ferm --noexec --lines {} | iptables-nft-restore", path.replace("spec.yaml", "services.ferm"));
    let rounds = rounds.div_ceil(3);
    let [ours, ferm] = in_turns(namespace, rounds, [&|| apply(namespace, &path), &|| command(["sh", "-c", &line])]);
    report.add(format!("load-ferm.{id}"), "ferm and iptables-nft-restore", Unit::Milliseconds, &ferm, None);
    let ratio = ferm.over(&ours);
    report.add(
        format!("load-ferm-ratio.{id}"),
        "their time over that of fwc",
        Unit::Ratio,
        &ratio,
        Some(Target::AtLeast(20.0)),
    );
}

fn memory(Content { id, spec, .. }: &Content, namespace: &Namespace, own: &str, report: &mut Report) {
    let state = format!("FWC_STATE_DIR={}", namespace.state_dir().to_str().expect("a path that is text"));
    let path = spec.path();
    let peak = |words: &[&str]| {
        namespace.write_nft("flush ruleset");
        let mut peak = Samples::default();
        peak.push(namespace.enter(|| peak_megabytes(words)));
        peak
    };
    let ours = peak(&["env", &state, env!("CARGO_BIN_EXE_fwc"), "apply", &path]);
    let nft = peak(&["nft", "-f", own]);
    report.add(format!("load-memory.{id}"), "fwc apply, peak memory", Unit::Megabytes, &ours, None);
    report.add(format!("load-nft-memory.{id}"), "nft -f, peak memory", Unit::Megabytes, &nft, None);
    let ratio = ours.over(&nft);
    report.add(
        format!("load-memory-ratio.{id}"),
        "fwc's memory over that of nft",
        Unit::Ratio,
        &ratio,
        Some(Target::AtMost(0.5)),
    );
}

/// What `fwc apply` says of its transaction.
pub struct Sent {
    pub microseconds: f64,
    pub is_update: bool,
}

/// Applies, and gives the milliseconds of the whole process with what it says of the transaction.
pub fn applied(namespace: &Namespace, path: &str) -> (f64, Sent) {
    let mut command = apply(namespace, path);
    command.args(["--format", "json"]);
    let (took, said) = namespace.enter(|| output(&mut command));
    let said: serde_json::Value = serde_json::from_str(&said).expect("a report in JSON");
    let microseconds = said["transaction_microseconds"].as_f64().expect("a time");
    (took, Sent { microseconds, is_update: said["update"].as_bool().expect("whether it was an update") })
}

/// A number as people read it.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        let _ = write!(text, "{digit}");
    }
    text
}
