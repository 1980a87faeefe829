//! Proofs over all packets, held against the evaluator and against specs of every shape.

#[path = "support/generate.rs"]
mod generate;
mod support;

use fwc::compile::Compiled;
use fwc::dump::of_ruleset;
use fwc::proof::claim::{self, Paths};
use fwc::proof::witness::witness;
use proptest::prelude::*;
use support::{compile, examples};

/// What does not hold of a spec's rules, each with a packet.
fn broken(compiled: &Compiled) -> Vec<String> {
    let dump = of_ruleset(compiled.ruleset(), compiled.whole);
    let space = claim::space(Some(&compiled.policy), [&dump]).unwrap();
    let paths = Paths::of(&space, &dump).unwrap();
    let failures = claim::rules(&space, &compiled.policy, &dump, &paths).unwrap();
    let told = failures.iter().map(|failure| {
        let packet = witness(&space, &failure.packets, failure.path).unwrap().unwrap();
        format!("{:?} {:?}: {packet}", failure.claim, failure.second)
    });
    told.collect()
}

#[test]
fn the_examples_mean_what_they_say() {
    for file in examples() {
        let compiled = fwc::compile::check(&file).compiled.unwrap();
        assert_eq!(broken(&compiled), Vec::<String>::new(), "{}", file.display());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_spec_means_what_it_says(text in generate::spec()) {
        prop_assert_eq!(broken(&compile(&text)), Vec::<String>::new(), "{}", text);
    }

    #[test]
    fn every_spec_with_nat_means_what_it_says(text in generate::nat_spec()) {
        prop_assert_eq!(broken(&compile(&text)), Vec::<String>::new(), "{}", text);
    }
}
