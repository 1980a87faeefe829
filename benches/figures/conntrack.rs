//! `fwc doctor` beside `conntrack -L | wc -l` on a large table, and the deleting of stale entries beside `conntrack -D`.
//!
//! The machine's `nf_conntrack_max` is raised meanwhile, and put back by a guard, however this ends.

use std::process::Command;

use super::Effort;
use super::process::{milliseconds, peak_megabytes};
use super::report::{Report, Target, Unit};
use super::sample::Samples;
use super::support::tools::command;
use super::support::{ConntrackMax, Link, Namespace, Nginx, Spec, cli};

const LARGE: usize = 1_000_000;
const STALE: usize = 100_000;
/// So many that the large table is not taken for nearly full.
const MAX: u32 = 1_500_000;
/// Entries that one source address has.
const PORTS: usize = 10_000;

/// What makes entries of udp port 53 stale, and no others.
const SPEC: &str =
    "policy: {input: accept}\nservices: {names: {listen: \"203.0.113.5:53\", protocol: udp, stateless: true}}\n";

/// A host whose table is full tracks: otherwise `fwc apply` is what makes it begin, and pays for that.
const TRACKING: &str = "
flush ruleset
table inet before {
    chain input {
        type filter hook input priority filter; policy accept;
        ct state established accept
    }
}
";

pub fn measure(effort: Effort, report: &mut Report) {
    let _limit = ConntrackMax::raise(MAX);
    report.group("the conntrack table");
    deleting(effort, report);
    doctor(effort, report);
}

/// Fills the table with `count` entries of this kind. Not timed.
fn fill(namespace: &Namespace, count: usize, kind: &str) {
    let before = namespace.conntrack_count();
    let line = |flow: usize| {
        let (host, port) = (flow / PORTS, 20_000 + flow % PORTS);
        format!("-A -s 198.18.{}.{} -d 203.0.113.5 {kind} --sport {port} -t 3600\n", host / 250, host % 250 + 1)
    };
    let lines: String = (0..count).map(line).collect();
    namespace.run_with(["conntrack", "-R", "-"], &lines).expect_success("conntrack -R");
    assert_eq!(namespace.conntrack_count() - before, count as u64, "the table does not hold what was put in");
}

fn doctor(effort: Effort, report: &mut Report) {
    let link = Link::new("doctor");
    let _nginx = Nginx::start(&link.server, &["203.0.113.5:80"]);
    for (share, kind) in [
        (6, "-p tcp --dport 80 --state TIME_WAIT"),
        (2, "-p tcp --dport 443 --state ESTABLISHED"),
        (2, "-p udp --dport 53 -u SEEN_REPLY"),
    ] {
        fill(&link.server, LARGE / 10 * share, kind);
    }
    let (mut ours, mut theirs) = (Samples::default(), Samples::default());
    for _ in 0..effort.few {
        ours.push(in_namespace(&link.server, &mut examine()));
        theirs.push(in_namespace(&link.server, &mut command(["sh", "-c", "conntrack -L 2>/dev/null | wc -l"])));
    }
    report.add("doctor.1000000", "fwc doctor, 1,000,000 entries", Unit::Milliseconds, &ours, None);
    report.add("conntrack-list.1000000", "conntrack -L | wc -l", Unit::Milliseconds, &theirs, None);
    let what = "the time of conntrack -L | wc -l over that of fwc";
    report.add("doctor.ratio", what, Unit::Ratio, &theirs.over(&ours), Some(Target::AtLeast(1.0)));
    let mut peak = Samples::default();
    let words = ["sh", "-c", DOCTOR, env!("CARGO_BIN_EXE_fwc")];
    peak.push(link.server.enter(|| peak_megabytes(&words)));
    let what = "fwc doctor, 1,000,000 entries, peak memory";
    report.add("doctor.memory", what, Unit::Megabytes, &peak, Some(Target::AtMost(100.0)));
}

/// Findings are no failure here; with the shell around it, it is not faster than it is.
const DOCTOR: &str = "\"$0\" doctor 2>/dev/null; test $? -le 1";

fn examine() -> Command {
    command(["sh", "-c", DOCTOR, env!("CARGO_BIN_EXE_fwc")])
}

fn deleting(effort: Effort, report: &mut Report) {
    let link = Link::new("deleting");
    let spec = Spec::new(SPEC);
    let kind = "-p udp --dport 53 -u SEEN_REPLY";
    let (mut ours, mut theirs) = (Samples::default(), Samples::default());
    for _ in 0..effort.few {
        for who in [true, false] {
            link.server.write_nft(TRACKING);
            fill(&link.server, STALE, kind);
            if who {
                let mut apply = cli::command(&["apply", &spec.path()]);
                ours.push(in_namespace(&link.server, apply.env("FWC_STATE_DIR", link.server.state_dir())));
            } else {
                let words = ["conntrack", "-D", "-p", "udp", "-d", "203.0.113.5", "--dport", "53"];
                theirs.push(in_namespace(&link.server, &mut command(words)));
            }
            assert_eq!(link.server.conntrack_count(), 0, "all of them are deleted");
        }
    }
    report.add("stale.100000", "fwc apply that deletes 100,000 entries", Unit::Milliseconds, &ours, None);
    report.add("conntrack-delete.100000", "conntrack -D with the same filter", Unit::Milliseconds, &theirs, None);
    let what = "the time of conntrack -D over that of fwc";
    report.add("stale.ratio", what, Unit::Ratio, &theirs.over(&ours), Some(Target::AtLeast(3.0)));
}

fn in_namespace(namespace: &Namespace, command: &mut Command) -> f64 {
    namespace.enter(|| milliseconds(command))
}
