//! `fwc test SPEC`: the spec's tests, held against its rules.

mod kernel;
mod report;

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::host::sandbox::Sandbox;
use super::journey::{Told, fate, journey_json, packet_json, place_json, tracking};
use super::output::{Output, remark};
use super::{Failure, exit};
use crate::cli::{Report, TestArgs};
use crate::compile;
use crate::diagnostic::{self, Diagnostic};
use crate::packet::assertion::{self, LegResult, TestResult};
use crate::packet::failure;
use crate::ruleset::Leg;

pub(super) fn run(output: Output, arguments: &TestArgs) -> Result<ExitCode, Failure> {
    // The namespace has to be made while the process has one thread and nothing else has happened.
    let sandbox = arguments.kernel.then(Sandbox::enter);
    let outcome = compile::check(&arguments.spec);
    let Some(compiled) = &outcome.compiled else {
        output.diagnostics(&outcome.sources, &outcome.diagnostics);
        return Ok(ExitCode::from(exit::REFUSED));
    };
    let told = Told { compiled, sources: &outcome.sources };
    let name = arguments.spec.display().to_string();
    let results: Vec<Held<'_>> = assertion::run(&compiled.policy, compiled.ruleset())
        .into_iter()
        .map(|result| Held { failures: failure::diagnostics(&compiled.policy, compiled.ruleset(), &result), result })
        .collect();
    let mut found = outcome.diagnostics.clone();
    found.extend(results.iter().flat_map(|held| held.failures.iter().cloned()));
    let kernel = sandbox.map(|sandbox| kernel::send(sandbox, compiled, results.iter().map(|held| &held.result)));
    if let Some(kernel) = &kernel {
        found.extend(kernel.found.iter().cloned());
    }
    diagnostic::sort(&mut found);
    output.diagnostics(&outcome.sources, &found);
    match arguments.report {
        Some(Report::Junit) => output.data(&report::junit(&name, told, &results))?,
        Some(Report::Tap) => output.data(&report::tap(told, &results))?,
        None => {
            let mut text = human(&name, told, &results);
            let mut document = document(&name, told, &results);
            if let Some(kernel) = &kernel {
                let _ = writeln!(text, "{name}: {}", kernel.words());
                document["kernel"] = kernel.json();
            }
            output.result(&text, &document)?;
        }
    }
    if results.is_empty() && !output.is_json() {
        remark(&format!("{name} has no `tests`"));
    }
    let shown = kernel.is_none_or(|kernel| kernel.found.is_empty());
    let passed = results.iter().all(|held| held.result.passed());
    Ok(if passed && shown { ExitCode::SUCCESS } else { ExitCode::from(exit::REFUSED) })
}

/// A test's result with what is wrong with it.
struct Held<'a> {
    result: TestResult<'a>,
    failures: Vec<Diagnostic>,
}

fn human(name: &str, told: Told<'_>, results: &[Held<'_>]) -> String {
    let mut text = String::new();
    for held in results {
        let verdict = if held.result.passed() { "ok    " } else { "FAILED" };
        let line = told.sources.position(held.result.test.packet.place).line;
        let _ = writeln!(text, "{verdict} line {line:<4} {}", title(&held.result));
        for leg in &held.result.legs {
            let _ = writeln!(text, "         {}", became(leg));
        }
    }
    let failed = results.iter().filter(|held| !held.result.passed()).count();
    let plural = if results.len() == 1 { "" } else { "s" };
    let failed = if failed == 0 { "all pass".to_string() } else { format!("{failed} failed") };
    if !results.is_empty() {
        let _ = writeln!(text, "{name}: {} test{plural}, {failed}", results.len());
    }
    text
}

/// The test's packet, on its way.
fn title(result: &TestResult<'_>) -> String {
    result.legs.first().map_or(String::new(), |leg| super::journey::packet(&leg.packet))
}

/// What became of a packet.
fn became(leg: &LegResult<'_>) -> String {
    let what = if leg.leg == Leg::Request { "packet" } else { "answer" };
    let mut text = format!("{what}: {}, {}", fate(leg.journey.fate), tracking(leg.journey.tracking));
    let wrong: Vec<&str> = leg.expected_fate.map(fate).into_iter().chain(leg.expected_tracking.map(tracking)).collect();
    if !wrong.is_empty() {
        let _ = write!(text, "; the test expects {}", wrong.join(" and "));
    }
    text
}

fn document(name: &str, told: Told<'_>, results: &[Held<'_>]) -> Value {
    let failed = results.iter().filter(|held| !held.result.passed()).count();
    json!({
        "format": "fwc-test",
        "version": 1,
        "spec": name,
        "passed": results.len() - failed,
        "failed": failed,
        "tests": results.iter().map(|held| test_json(told, held)).collect::<Vec<_>>(),
    })
}

fn test_json(told: Told<'_>, held: &Held<'_>) -> Value {
    let test = held.result.test;
    json!({
        "number": held.result.number,
        "at": place_json(told.sources, test.packet.place),
        "expect": test.expect.map(|expect| fate(expect.value)),
        "tracking": test.tracking.map(|said| tracking(said.value)),
        "passed": held.result.passed(),
        "failures": held.failures.iter().map(failure_json).collect::<Vec<_>>(),
        "legs": held.result.legs.iter().map(|leg| leg_json(told, leg)).collect::<Vec<_>>(),
    })
}

fn failure_json(failure: &Diagnostic) -> Value {
    json!({ "code": failure.finding.code, "message": failure.message, "help": failure.help })
}

fn leg_json(told: Told<'_>, leg: &LegResult<'_>) -> Value {
    json!({
        "leg": if leg.leg == Leg::Request { "request" } else { "reply" },
        "passed": leg.passed(),
        "sent": packet_json(&leg.packet),
        "evaluator": journey_json(told, &leg.journey),
    })
}
