//! Generated specs all the way: the program compiles each, the same way each time, and the kernel takes every form.

#[path = "support/generate.rs"]
mod generate;
mod support;

use std::collections::BTreeMap;
use std::fs;

use fwc::backend::iptables::{IPSET_FILE, V4_FILE, V6_FILE};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use support::cli::iptables_load;
use support::{Namespace, Spec, Variant, fwc, try_apply};

/// How many specs of each kind go all the way.
const CASES: usize = 8;

/// All artifacts of a spec by their file names.
fn artifacts(spec: &Spec) -> (tempfile::TempDir, BTreeMap<String, String>) {
    let folder = tempfile::tempdir().expect("a directory");
    let to = format!("{}/", folder.path().display());
    fwc(&["compile", &spec.path(), "-o", &to]).expect_success("fwc compile");
    let files = fs::read_dir(folder.path()).expect("the directory").map(|entry| {
        let entry = entry.expect("an entry");
        let text = fs::read_to_string(entry.path()).expect("a text");
        (entry.file_name().into_string().expect("a name"), text)
    });
    let files = files.collect();
    (folder, files)
}

/// Compiles a spec, loads it in every form, and holds what is there against what was asked for.
fn all_the_way(text: &str) {
    // The same text elsewhere.
    let (spec, again) = (Spec::new(text), Spec::new(text));
    let (folder, files) = artifacts(&spec);
    assert_eq!(files, artifacts(&again).1, "{text}");
    let namespace = Namespace::new("generated");
    // NAT in the spec is refused beside stateless entries, and nothing else is on this host.
    let as_applied = |how: &str| {
        let status = namespace.fwc(&["status"]);
        assert_eq!(status.status, 0, "after {how} of\n{text}\n{status}");
    };
    try_apply(&namespace, &spec, &[]).expect_success(text);
    as_applied("fwc apply");
    let listed = namespace.ok(["nft", "-s", "list", "table", "inet", "fwc"]);
    namespace.ok(["nft", "flush", "ruleset"]);
    namespace.write_nft(&files["fwc.nft"]);
    as_applied("nft -f of the text");
    namespace.ok(["nft", "flush", "ruleset"]);
    namespace.write_nft(&listed);
    as_applied("nft -f of the listing");
    namespace.fwc(&["remove"]).expect_success("fwc remove");
    assert_eq!(namespace.ok(["nft", "list", "ruleset"]), "");
    for variant in [Variant::Nft, Variant::Legacy] {
        let namespace = Namespace::new("generated-files");
        iptables_load(&namespace, folder.path(), variant);
    }
    for file in [V4_FILE, V6_FILE] {
        assert!(files[file].contains("COMMIT"), "{file} of\n{text}");
    }
    assert_eq!(
        files.contains_key(IPSET_FILE),
        files[V4_FILE].contains("--match-set") || files[V6_FILE].contains("--match-set")
    );
}

fn some(strategy: &impl Strategy<Value = String>) {
    let mut runner = TestRunner::deterministic();
    for _ in 0..CASES {
        all_the_way(&strategy.new_tree(&mut runner).expect("a spec").current());
    }
}

#[test]
fn specs_go_all_the_way() {
    some(&generate::spec());
}

#[test]
fn nat_specs_go_all_the_way() {
    some(&generate::nat_spec());
}

/// A spec with a piece of it gone, doubled, or put elsewhere.
fn damaged() -> impl Strategy<Value = String> {
    let spec = prop_oneof![generate::spec(), generate::nat_spec()];
    (spec, any::<prop::sample::Index>(), 0usize..40, any::<prop::sample::Index>(), 0u8..3).prop_map(
        |(text, from, length, to, how)| {
            let characters: Vec<char> = text.chars().collect();
            let start = from.index(characters.len());
            let end = (start + length).min(characters.len());
            let piece: String = characters[start..end].iter().collect();
            let (head, tail): (String, String) =
                (characters[..start].iter().collect(), characters[end..].iter().collect());
            let without = format!("{head}{tail}");
            match how {
                0 => without,
                1 => format!("{head}{piece}{piece}{tail}"),
                _ => {
                    let at = to.index(without.len());
                    format!("{}{piece}{}", &without[..at], &without[at..])
                }
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a slip of the editor makes of a spec: it compiles, or there is a diagnostic with a place and a help.
    #[test]
    fn damaged_specs_end_in_rules_or_in_diagnostics(text in damaged()) {
        let folder = std::path::Path::new("");
        let outcome = fwc::compile::check_text("spec.yaml", &text, folder);
        let errors: Vec<_> = outcome.diagnostics.iter().filter(|found| found.is_error()).collect();
        prop_assert_eq!(outcome.compiled.is_some(), errors.is_empty(), "{}", text);
        for found in &outcome.diagnostics {
            prop_assert!(!found.labels.is_empty() && !found.help.is_empty(), "{:?} in\n{}", found, text);
        }
        let again = fwc::compile::check_text("spec.yaml", &text, folder);
        prop_assert_eq!(outcome.diagnostics, again.diagnostics);
    }
}
