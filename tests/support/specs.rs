//! Specs within the process: compiled, the examples, the folders of golden files.

use std::fs;
use std::path::{Path, PathBuf};

use fwc::backend::iptables::{Artifacts, IPSET_FILE, V4_FILE, V6_FILE};
use fwc::compile::{Compiled, check_text};

/// Compiles a spec text that names no set files. Panics with its errors.
#[track_caller]
pub fn compile(text: &str) -> Compiled {
    let outcome = check_text("spec.yaml", text, Path::new(""));
    let errors: Vec<_> = outcome.diagnostics.iter().filter(|found| found.is_error()).collect();
    outcome.compiled.unwrap_or_else(|| panic!("{errors:#?}\n{text}"))
}

/// The specs under examples, in the order of their names.
pub fn examples() -> Vec<PathBuf> {
    entries("examples", |path| path.extension().is_some_and(|extension| extension == "yaml"))
}

/// The folders in a folder, in the order of their names.
pub fn folders(of: &str) -> Vec<PathBuf> {
    entries(of, Path::is_dir)
}

fn entries(of: &str, wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).unwrap_or_else(|error| panic!("{of}: {error}"));
    let mut found: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| wanted(path)).collect();
    assert!(!found.is_empty(), "{of} is empty");
    found.sort();
    found
}

/// Writes iptables-restore files, and the file for ipset when there is one, into a directory.
pub fn write_files(directory: &Path, files: &Artifacts) {
    let all = [(V4_FILE, Some(&files.v4)), (V6_FILE, Some(&files.v6)), (IPSET_FILE, files.ipset.as_ref())];
    for (name, text) in all.into_iter().filter_map(|(name, text)| text.map(|text| (name, text))) {
        fs::write(directory.join(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// What does not hold of a spec's rules, each with a packet.
pub fn broken(compiled: &fwc::compile::Compiled) -> Vec<String> {
    let dump = fwc::dump::of_ruleset(compiled.ruleset(), compiled.whole);
    let space = fwc::proof::claim::space(Some(&compiled.policy), [&dump]).unwrap();
    let paths = fwc::proof::claim::Paths::of(&space, &dump).unwrap();
    let failures = fwc::proof::claim::rules(&space, &compiled.policy, &dump, &paths).unwrap();
    let told = failures.iter().map(|failure| {
        let packet = fwc::proof::witness::witness(&space, &failure.packets, failure.path).unwrap().unwrap();
        format!("{:?} {:?}: {packet}", failure.claim, failure.second)
    });
    let tracks = fwc::net::Family::BOTH.iter().any(|&family| dump.tracks(family));
    let wrong = (tracks != compiled.ruleset().tracks || tracks != compiled.policy.tracks)
        .then(|| format!("whether anything is tracked: {tracks}"));
    told.chain(wrong).collect()
}
