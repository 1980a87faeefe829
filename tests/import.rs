//! `fwc import`: what fwc writes itself comes back as a spec that is proven to mean the same; of foreign rulesets, everything that a spec
//! cannot say is named.
//!
//! `FWC_BLESS=1 cargo test --test import` writes `tests/golden/import` anew; read what changed before you commit it.

#[path = "support/generate.rs"]
mod generate;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use fwc::backend::{Header, iptables};
use fwc::import::draft::{Imported, import};
use fwc::source::Sources;
use proptest::prelude::*;

/// Imports the iptables files and the ipsets of a spec, as one ruleset.
fn there_and_back(path: &Path) -> (String, Imported, String) {
    let outcome = fwc::compile::check(path);
    let compiled = outcome.compiled.unwrap_or_else(|| panic!("{}: {:?}", path.display(), outcome.diagnostics));
    of_compiled(&compiled)
}

fn of_compiled(compiled: &fwc::compile::Compiled) -> (String, Imported, String) {
    let header = Header { version: "0.0.0", spec_hash: "0" };
    let files = iptables::artifacts(compiled.ruleset(), &header);
    let mut sources = Sources::default();
    let mut ids = vec![sources.add("rules.v4", files.v4.as_str()), sources.add("rules.v6", files.v6.as_str())];
    if let Some(ipset) = &files.ipset {
        ids.push(sources.add("rules.ipset", ipset.as_str()));
    }
    let dump = fwc::import::read(&ids, &mut sources).unwrap();
    let imported = import(&dump, &mut sources, "these").unwrap();
    let look = fwc::diagnostic::human::Look::plain();
    let told = fwc::diagnostic::human::render(&imported.diagnostics, &sources, look).unwrap_or_default();
    (files.v4, imported, told)
}

fn proven(what: &str, (rules, imported, told): (String, Imported, String)) {
    assert!(imported.same, "{what}\n--- imported\n{}\n--- told\n{told}\n--- of\n{rules}", imported.text);
    assert!(imported.text.starts_with("# proven: means the same as these for every packet\n"), "{}", imported.text);
    assert!(imported.diagnostics.is_empty(), "{told}");
}

fn specs(folder: &str, file: impl Fn(PathBuf) -> PathBuf) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| file(entry.unwrap().path())).collect();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    all.sort();
    assert!(all.len() > 4, "{folder}");
    all
}

#[test]
fn examples_come_back() {
    for spec in specs("examples", |path| path) {
        proven(&spec.display().to_string(), there_and_back(&spec));
    }
}

#[test]
fn golden_specs_come_back() {
    for spec in specs("tests/golden/iptables", |path| path.join("spec.yaml")) {
        proven(&spec.display().to_string(), there_and_back(&spec));
    }
}

fn compiled(text: &str) -> fwc::compile::Compiled {
    let outcome = fwc::compile::check_text("spec.yaml", text, Path::new(""));
    outcome.compiled.unwrap_or_else(|| panic!("{text}\n{:?}", outcome.diagnostics))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_specs_come_back(text in generate::spec()) {
        proven(&text, of_compiled(&compiled(&text)));
    }

    #[test]
    fn generated_specs_without_tracking_come_back(text in generate::quiet_spec()) {
        proven(&text, of_compiled(&compiled(&text)));
    }

    #[test]
    fn generated_specs_with_nat_come_back(text in generate::nat_spec()) {
        proven(&text, of_compiled(&compiled(&text)));
    }
}
