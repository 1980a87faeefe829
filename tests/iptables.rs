//! The iptables-restore files: golden texts, and the kernel's word on them.
//!
//! Each folder of `tests/golden/iptables` holds a spec (`spec.yaml`) and the files that it becomes. `FWC_BLESS=1 cargo test --test iptables`
//! writes them anew; read what changed before you commit it.

#[path = "support/generate.rs"]
mod generate;
#[path = "iptables/interpreter.rs"]
mod interpreter;
#[path = "iptables/many.rs"]
mod many;
#[path = "support/near.rs"]
mod near;
mod support;

use fwc::backend::Header;
use fwc::backend::iptables::{Artifacts, IPSET_FILE, V4_FILE, V6_FILE, artifacts};
use fwc::net::Family;
use fwc::packet::evaluate_as_is;
use interpreter::Rules;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use support::golden::{differs, hold};
use support::{Namespace, compile, folders, require, write_files};

const FOLDER: &str = "tests/golden/iptables";
const HEADER: Header = Header { version: "0.0.0", spec_hash: "0" };

fn files(text: &str) -> Artifacts {
    artifacts(compile(text).ruleset(), &HEADER)
}

#[test]
fn texts_are_as_expected() {
    hold(folders(FOLDER).iter().flat_map(|case| {
        let now = files(&std::fs::read_to_string(case.join("spec.yaml")).unwrap());
        let now = [(V4_FILE, Some(now.v4)), (V6_FILE, Some(now.v6)), (IPSET_FILE, now.ipset)];
        now.map(|(name, now)| differs(&case.join(name), now.as_deref()))
    }));
}

#[test]
fn a_set_may_be_large_in_ipv6_only() {
    let addresses: String = (1..40).map(|n| format!("\"2001:db8:1::{:x}\", ", n * 2)).collect();
    let now = files(&format!(
        "sets: {{peers: [{addresses} 192.0.2.9]}}\nservices: {{web: {{listen: \"*:80\", from: $peers}}}}\n"
    ));
    let ipset = now.ipset.expect("an ipset");
    assert!(ipset.contains("create fwc-peers-ip6 hash:ip family inet6") && !ipset.contains("family inet "), "{ipset}");
    assert!(now.v6.contains("--match-set fwc-peers-ip6 src") && now.v6.contains(" ipset restore "), "{}", now.v6);
    assert!(now.v4.contains("-s 192.0.2.9 ") && now.v4.contains(" ipset restore "), "{}", now.v4);
}

/// Loads the files as their headers say, with both backends, each twice, and shows that nothing is left but what the files say.
const LOAD: &str = r#"
set -e
cd "$1"
# The legacy programs lock a file that all namespaces share; a lock a namespace is enough.
export XTABLES_LOCKFILE="$1/xtables.lock"
for backend in nft legacy; do
    for round in 1 2; do
        if [ -e rules.ipset ]; then ipset restore -file rules.ipset; fi
        iptables-$backend-restore --test rules.v4
        iptables-$backend-restore rules.v4
        ip6tables-$backend-restore --test rules.v6
        ip6tables-$backend-restore rules.v6
    done
    # nft says on standard error that it sees rules of the other backend.
    for family in ip ip6; do
        file=rules.v4
        if [ $family = ip6 ]; then file=rules.v6; fi
        ${family}tables-$backend-save 2>/dev/null >saved
        test "$(grep -c ^-A saved)" = "$(grep -c ^-A $file)"
        ${family}tables-$backend-restore </dev/null
        printf '*filter\nCOMMIT\n*raw\nCOMMIT\n*nat\nCOMMIT\n' | ${family}tables-$backend-restore
    done
done
"#;

/// Whether all four restore programs take the files, in a network namespace of their own.
fn kernel_takes(files: &Artifacts) -> Result<(), String> {
    require(&["iptables-nft-restore", "iptables-legacy-restore", "ipset"]);
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), files);
    let ran = Namespace::new("restore").run(["sh", "-c", LOAD, "load", folder.path().to_str().unwrap()]);
    if ran.status == 0 { Ok(()) } else { Err(ran.to_string()) }
}

#[test]
fn every_restore_program_takes_the_texts() {
    for case in folders(FOLDER) {
        let text = std::fs::read_to_string(case.join("spec.yaml")).unwrap();
        kernel_takes(&files(&text)).unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    }
}

#[test]
fn every_restore_program_takes_generated_texts() {
    let mut runner = TestRunner::deterministic();
    for strategy in [generate::spec().boxed(), generate::nat_spec().boxed(), many::spec().boxed()] {
        for _ in 0..6 {
            let text = strategy.new_tree(&mut runner).unwrap().current();
            kernel_takes(&files(&text)).unwrap_or_else(|error| panic!("{error}\n{text}"));
        }
    }
}

/// Leads packets through the texts and through the evaluator.
fn texts_mean_what_the_rules_mean(text: &str, seed: u64, packets: usize) {
    let compiled = compile(text);
    let files = artifacts(compiled.ruleset(), &HEADER);
    let ipset = files.ipset.as_deref();
    let (v4, v6) = (Rules::read(&files.v4, ipset), Rules::read(&files.v6, ipset));
    let mut dice = near::Dice(seed);
    for _ in 0..packets {
        let packet = near::packet(compiled.ruleset(), &mut dice);
        let rules = if packet.family() == Family::V4 { &v4 } else { &v6 };
        let journey = evaluate_as_is(compiled.ruleset(), &packet);
        let got = rules.judge(&packet, compiled.ruleset().tracks);
        assert_eq!(got, (journey.fate, journey.tracking), "{text}\n{packet:?}");
    }
}

#[test]
fn expected_texts_mean_what_the_rules_mean() {
    for case in folders(FOLDER) {
        texts_mean_what_the_rules_mean(&std::fs::read_to_string(case.join("spec.yaml")).unwrap(), 1, 4_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_same_spec_gives_the_same_bytes(text in prop_oneof![generate::spec(), generate::nat_spec()]) {
        let first = files(&text);
        assert_eq!(first, files(&text));
        assert_eq!(first, artifacts(compile(&text).ruleset(), &HEADER));
    }
    #[test]
    fn generated_texts_mean_what_the_rules_mean(
        text in prop_oneof![generate::spec(), generate::nat_spec()],
        seed in any::<u64>(),
    ) {
        texts_mean_what_the_rules_mean(&text, seed, 300);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn trees_mean_what_the_rules_mean(text in many::spec(), seed in any::<u64>()) {
        texts_mean_what_the_rules_mean(&text, seed, 1_000);
    }
}
