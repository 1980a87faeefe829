//! The golden files of `fwc test` and `fwc trace`: what a person and a CI server read.
//!
//! Each folder of `tests/golden/told` holds a spec (`spec.yaml`). `test.txt` is what `fwc test` prints for it, with its exit code, `junit.xml` and `tap.txt`
//! are its reports. `packets.txt` has the words behind `fwc trace spec.yaml`, a line each, and `trace.txt` what comes of them.
//! `FWC_BLESS=1 cargo test --test told` writes them anew; read what changed before you commit it.

mod support;

use std::fs;

use support::golden::{differs, hold};
use support::{examples, folders, fwc};

/// Relative to the crate, in which tests run: so that no machine's paths get into the files.
const FOLDER: &str = "tests/golden/told";

/// What a command line leaves behind: both streams and the exit code.
fn told(words: &[&str]) -> String {
    let ran = fwc(words);
    let lines: Vec<&str> = ran.stderr.lines().map(str::trim_end).collect();
    let errors = if lines.is_empty() { String::new() } else { format!("--- stderr\n{}\n", lines.join("\n")) };
    format!("{}{errors}--- exit {}\n", ran.stdout, ran.status)
}

/// The words of a line; double quotes hold a packet together.
fn words(line: &str) -> Vec<&str> {
    let parts = line.split('"').enumerate();
    parts.flat_map(|(at, part)| if at % 2 == 1 { vec![part] } else { part.split_whitespace().collect() }).collect()
}

#[test]
fn tests_and_traces_are_told_as_expected() {
    let mut wrong = Vec::new();
    for case in folders(FOLDER) {
        let spec = case.join("spec.yaml");
        let spec = spec.to_str().unwrap();
        wrong.push(differs(&case.join("test.txt"), Some(&told(&["test", spec]))));
        wrong.push(differs(&case.join("junit.xml"), Some(&fwc(&["test", spec, "--report", "junit"]).stdout)));
        wrong.push(differs(&case.join("tap.txt"), Some(&fwc(&["test", spec, "--report", "tap"]).stdout)));
        let packets = fs::read_to_string(case.join("packets.txt")).unwrap_or_default();
        let traces: Vec<String> = packets
            .lines()
            .map(|line| {
                format!("$ fwc trace spec.yaml {line}\n{}", told(&[&["trace", spec], &words(line)[..]].concat()))
            })
            .collect();
        if !traces.is_empty() {
            wrong.push(differs(&case.join("trace.txt"), Some(&traces.join("\n"))));
        }
    }
    hold(wrong);
}

#[test]
fn the_examples_pass_their_tests() {
    for example in examples() {
        let out = fwc(&["test", example.to_str().unwrap()]).expect_success("fwc test of an example");
        assert!(out.contains("all pass"), "{out}");
    }
}
