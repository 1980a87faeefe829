//! `fwc check` against ferm: whole processes that compile and touch no kernel.

use super::Effort;
use super::inputs;
use super::process::{milliseconds, peak_megabytes};
use super::report::{Report, Target, Unit};
use super::sample::Samples;
use super::support::tools::{command, require, run};
use super::support::{Spec, cli};

const SERVICES: usize = 10_000;

pub fn measure(effort: Effort, report: &mut Report) {
    report.group("fwc check");
    one(effort, report);
    many(effort, report);
    growth(effort, report);
}

/// One service: what starting the program costs.
fn one(effort: Effort, report: &mut Report) {
    let spec = Spec::new(&inputs::spec(1));
    let path = spec.path();
    let (mut nothing, mut check) = (Samples::default(), Samples::default());
    for _ in 0..effort.many {
        nothing.push(milliseconds(&mut command(["true"])));
        check.push(milliseconds(&mut cli::command(&["check", &path])));
    }
    report.add("start.true", "a process that does nothing (true)", Unit::Milliseconds, &nothing, None);
    report.add("check.1", "fwc check, 1 service", Unit::Milliseconds, &check, Some(Target::AtMost(3.0)));
    let own = check.minus(&nothing);
    report.add("check.1.own", "what of it is not the start of any process", Unit::Milliseconds, &own, None);
}

/// So many services that the work counts.
fn many(effort: Effort, report: &mut Report) {
    require(&["ferm"]);
    let spec = Spec::new(&inputs::spec(SERVICES)).file("services.ferm", &inputs::ferm(SERVICES));
    let path = spec.path();
    let ferm_file = path.replace("spec.yaml", "services.ferm");
    let ferm_words = ["ferm", "--noexec", "--lines", &ferm_file];
    let rules = run(&mut command(ferm_words), "").expect_success("ferm").matches("\n-A ").count();
    assert_eq!(rules, 4 * SERVICES, "ferm makes one rule a service in each of four chains");

    let [mut ferm, mut check, mut compile] = std::array::from_fn(|_| Samples::default());
    for _ in 0..effort.few {
        ferm.push(milliseconds(&mut command(ferm_words)));
        check.push(milliseconds(&mut cli::command(&["check", &path])));
        compile.push(milliseconds(&mut cli::command(&["compile", &path, "--target", "iptables"])));
    }
    let mut memory = Samples::default();
    memory.push(peak_megabytes(&[env!("CARGO_BIN_EXE_fwc"), "check", &path]));

    report.add("ferm.10000", "ferm --noexec --lines, 10,000 services", Unit::Milliseconds, &ferm, None);
    report.add("check.10000", "fwc check, 10,000 services", Unit::Milliseconds, &check, None);
    report.add("compile.10000", "fwc compile --target iptables, 10,000 services", Unit::Milliseconds, &compile, None);
    let times = ferm.over(&check);
    report.add("check.ratio", "ferm's time over that of fwc check", Unit::Ratio, &times, Some(Target::AtLeast(40.0)));
    let times = ferm.over(&compile);
    report.add(
        "compile.ratio",
        "ferm's time over that of fwc compile",
        Unit::Ratio,
        &times,
        Some(Target::AtLeast(40.0)),
    );
    let limit = Some(Target::AtMost(100.0));
    report.add("check.memory", "fwc check, 10,000 services: peak memory", Unit::Megabytes, &memory, limit);
}

/// Sizes from 1,000 to 100,000, evenly spread on a scale of logarithms.
const SIZES: [usize; 5] = [1_000, 3_162, 10_000, 31_623, 100_000];

/// How the time grows with the services.
fn growth(effort: Effort, report: &mut Report) {
    let specs = SIZES.map(|services| Spec::new(&inputs::spec(services)));
    let mut times: [Samples; SIZES.len()] = Default::default();
    for _ in 0..effort.some {
        for (spec, times) in specs.iter().zip(&mut times) {
            times.push(milliseconds(&mut cli::command(&["check", &spec.path()])));
        }
    }
    let mut exponents = Samples::default();
    for round in 0..effort.some {
        let points = SIZES.iter().zip(&times).map(|(&services, times)| (services as f64, times.all()[round]));
        exponents.push(exponent(points));
    }
    let [.., largest] = &specs;
    let [.., longest] = &times;
    let mut memory = Samples::default();
    memory.push(peak_megabytes(&[env!("CARGO_BIN_EXE_fwc"), "check", &largest.path()]));
    let at_most = |limit| Some(Target::AtMost(limit));
    report.add("check.100000", "fwc check, 100,000 services", Unit::Milliseconds, longest, at_most(1_000.0));
    let what = "fwc check, 100,000 services: peak memory";
    report.add("check.100000.memory", what, Unit::Megabytes, &memory, at_most(300.0));
    let what = "exponent of its time, 1,000 to 100,000 services";
    report.add("check.exponent", what, Unit::Exponent, &exponents, at_most(1.1));
}

/// The `b` of `y = a x^b` that fits best: the slope of a straight line through the logarithms, by least squares.
fn exponent(points: impl Iterator<Item = (f64, f64)>) -> f64 {
    let logs: Vec<(f64, f64)> = points.map(|(x, y)| (x.ln(), y.ln())).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / logs.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| logs.iter().map(|&(a, b)| of(a - x, b - y)).sum::<f64>();
    sum(&|a, b| a * b) / sum(&|a, _| a * a)
}
