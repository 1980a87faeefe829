//! The golden files of the diagnostics.
//!
//! Each folder of `tests/diagnostics` holds a spec (`spec.yaml`, or the directory `spec`) with the files that it names, and
//! `expected.txt`: a line with the codes, then what a person sees. `FWC_BLESS=1 cargo test --test diagnostics` writes
//! `expected.txt` anew; read what changed before you commit it.

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use fwc::diagnostic::human::{self, Look};
use fwc::diagnostic::json;
use fwc::diagnostic::{Diagnostic, finding};
use fwc::packet::{assertion, failure};
use fwc::source::Sources;
use support::folders;
use support::golden::{differs, hold};

/// Everything that needs no host: what `fwc check` reports, and `fwc test` where there are no errors.
fn check(spec: &Path) -> (Sources, Vec<Diagnostic>) {
    let mut outcome = fwc::compile::check(spec);
    if let Some(compiled) = &outcome.compiled {
        for result in assertion::run(&compiled.policy, compiled.ruleset()) {
            outcome.diagnostics.extend(failure::diagnostics(&compiled.policy, compiled.ruleset(), &result));
        }
    }
    (outcome.sources, outcome.diagnostics)
}

/// Codes that no folder can show, because they need a live host, a kernel or a thousand mistakes, with the test that makes
/// them happen.
const ELSEWHERE: &[(&str, &str)] = &[
    ("FWC121", "tests/hostile.rs"),
    ("FWC302", "tests/live_nat.rs"),
    ("FWC401", "tests/lockout.rs"),
    ("FWC402", "tests/others.rs"),
    ("FWC403", "src/command/host/mod.rs"),
    ("FWC404", "tests/live_nat.rs"),
    ("FWC405", "tests/open_sockets.rs"),
    ("FWC406", "tests/others.rs"),
    ("FWC407", "tests/others.rs"),
    ("FWC408", "tests/open_sockets.rs"),
    ("FWC430", "tests/sizing.rs"),
    ("FWC431", "tests/sizing.rs"),
    ("FWC432", "tests/sizing.rs"),
    ("FWC433", "tests/sizing.rs"),
    ("FWC434", "tests/sizing.rs"),
    ("FWC435", "tests/sizing.rs"),
    ("FWC436", "tests/ownership.rs"),
    ("FWC420", "tests/doctor/facts.rs"),
    ("FWC421", "tests/doctor/facts.rs"),
    ("FWC422", "tests/doctor/facts.rs"),
    ("FWC423", "tests/doctor/facts.rs"),
    ("FWC424", "tests/doctor/facts.rs"),
    ("FWC425", "tests/doctor/facts.rs"),
    ("FWC501", "tests/commands/apply.rs"),
    ("FWC502", "tests/transaction.rs"),
    ("FWC503", "tests/transaction.rs"),
    ("FWC504", "tests/commands/rootless.rs"),
    ("FWC505", "tests/commands/apply.rs"),
    ("FWC510", "tests/rollback/session.rs"),
    ("FWC511", "tests/rollback/session.rs"),
    ("FWC512", "tests/rollback/session.rs"),
    ("FWC513", "tests/rollback/disk.rs"),
    ("FWC514", "tests/rollback/session.rs"),
    ("FWC515", "tests/rollback/session.rs"),
    ("FWC516", "tests/plan.rs"),
    ("FWC517", "tests/rollback/boot.rs"),
    ("FWC518", "tests/rollback/boot.rs"),
    ("FWC519", "tests/rollback/session.rs"),
    ("FWC520", "tests/rollback/damage.rs"),
    ("FWC530", "tests/plan.rs"),
    ("FWC611", "src/command/verify/report.rs"),
    ("FWC612", "src/command/verify/report.rs"),
    ("FWC613", "src/command/verify/report.rs"),
    ("FWC614", "src/command/verify/report.rs"),
    ("FWC603", "src/command/test/kernel.rs"),
    ("FWC604", "tests/test_kernel.rs"),
    ("FWC615", "tests/verify.rs"),
    ("FWC616", "src/command/verify/report.rs"),
    ("FWC701", "tests/lint.rs"),
    ("FWC702", "tests/lint.rs"),
    ("FWC703", "tests/lint.rs"),
    ("FWC704", "tests/lint.rs"),
    ("FWC705", "tests/lint.rs"),
    ("FWC706", "tests/lint.rs"),
    ("FWC707", "tests/lint.rs"),
    ("FWC708", "tests/lint.rs"),
    ("FWC709", "tests/lint.rs"),
    ("FWC710", "src/import/lint/rules.rs"),
    ("FWC720", "tests/lint.rs"),
    ("FWC751", "tests/import.rs"),
    ("FWC752", "tests/import.rs"),
    ("FWC753", "tests/import.rs"),
];

/// The folder of the golden files, relative to the crate, in which tests run: so that no machine's paths get into them.
const FOLDER: &str = "tests/diagnostics";

/// What is found in a folder's spec.
fn found(case: &Path) -> (Sources, Vec<Diagnostic>) {
    let directory = case.join("spec");
    check(&if directory.is_dir() { directory } else { case.join("spec.yaml") })
}

fn rendered(case: &Path) -> String {
    let (sources, diagnostics) = found(case);
    let codes: BTreeSet<&str> = diagnostics.iter().map(|diagnostic| diagnostic.finding.code).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    let text = human::render(&diagnostics, &sources, Look::plain()).unwrap();
    // Snippets end in blanks where a line of the spec is empty.
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("codes: {}\n\n{}\n", codes.join(" "), lines.join("\n"))
}

#[test]
fn diagnostics_are_as_expected() {
    hold(folders(FOLDER).iter().map(|case| differs(&case.join("expected.txt"), Some(&rendered(case)))));
}

#[test]
fn every_code_can_happen() {
    let mut seen: BTreeSet<String> = ELSEWHERE.iter().map(|(code, _)| (*code).to_string()).collect();
    for case in folders(FOLDER) {
        seen.extend(found(&case).1.iter().map(|diagnostic| diagnostic.finding.code.to_string()));
    }
    let unseen: Vec<&str> =
        finding::ALL.iter().map(|finding| finding.code).filter(|code| !seen.contains(*code)).collect();
    assert!(unseen.is_empty(), "no golden folder shows {unseen:?}");
    for (code, file) in ELSEWHERE {
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(code), "{file} does not speak of {code}");
    }
}

/// The documented shape, with both places of a clash in two files.
#[test]
fn programs_get_the_same_places() {
    let (sources, diagnostics) = check(Path::new("tests/diagnostics/directory/spec"));
    let text = json::render([(diagnostics.as_slice(), &sources)]).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["format"], "fwc-diagnostics");
    assert_eq!(document["version"], 1);
    let clash = &document["diagnostics"][1];
    let expected = serde_json::json!({
        "code": "FWC104",
        "severity": "error",
        "message": "service `web` is given twice",
        "help": "remove one of the two, or give one another name",
        "labels": [
            {"file": "tests/diagnostics/directory/spec/20-more.yaml", "line": 4, "column": 3, "end_line": 4, "end_column": 6,
             "start_byte": 61, "end_byte": 64, "text": "again here"},
            {"file": "tests/diagnostics/directory/spec/10-base.yaml", "line": 4, "column": 3, "end_line": 4, "end_column": 6,
             "start_byte": 45, "end_byte": 48, "text": "first given here"},
        ],
    });
    assert_eq!(clash, &expected);
}
