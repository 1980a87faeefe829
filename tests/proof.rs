//! Proofs over all packets, held against the evaluator and against specs of every shape.

#[path = "support/generate.rs"]
mod generate;
#[path = "support/near.rs"]
mod near;
mod support;

use fwc::dump::of_ruleset;
use fwc::packet::evaluate_as_is;
use fwc::proof::claim::Paths;
use fwc::proof::single;
use fwc::proof::way::Path;
use fwc::spec::{Direction, Fate, Tracking};
use proptest::prelude::*;
use support::{broken, compile, examples};

/// Packets at the edges of the rules: what the proof says of each is what the evaluator says.
fn agrees(text: &str, seed: u64) {
    let compiled = compile(text);
    let dump = of_ruleset(compiled.ruleset(), compiled.whole);
    let mut dice = near::Dice(seed);
    let packets: Vec<_> = (0..100).map(|_| near::packet(compiled.ruleset(), &mut dice)).collect();
    let mut survey = fwc::proof::Survey::default();
    survey.dump(&dump);
    packets.iter().for_each(|packet| survey.packet(packet));
    let space = fwc::proof::space::Space::of(&survey).unwrap();
    let paths = Paths::of(&space, &dump).unwrap();
    for packet in packets {
        let set = single::set(&space, &packet).unwrap();
        let path = match packet.direction {
            Direction::In => Path::In,
            Direction::Out => Path::Out,
            Direction::Forward => Path::Forward,
        };
        // Over loopback a packet is never routed.
        if path == Path::Forward && packet.interface.as_ref().is_some_and(|name| name.as_str() == "lo") {
            continue;
        }
        let outcome = paths.on(path);
        let within = |all: &fwc::proof::bdd::Set| {
            let (inside, outside) = (set.and(all).unwrap(), set.minus(all).unwrap());
            inside.is_empty() != outside.is_empty() && !inside.is_empty()
        };
        let journey = evaluate_as_is(compiled.ruleset(), &packet);
        assert_eq!(within(&outcome.accepted), journey.fate == Fate::Accept, "{text}\n{packet:?}");
        if compiled.ruleset().tracks && journey.fate == Fate::Accept {
            assert_eq!(within(&outcome.untracked), journey.tracking == Tracking::Untracked, "{text}\n{packet:?}");
        }
    }
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
    fn the_evaluator_agrees(text in generate::spec(), seed in any::<u64>()) {
        agrees(&text, seed);
    }

    #[test]
    fn the_evaluator_agrees_about_nat(text in generate::nat_spec(), seed in any::<u64>()) {
        agrees(&text, seed);
    }

    #[test]
    fn every_spec_that_tracks_nothing_means_what_it_says(text in generate::quiet_spec()) {
        prop_assert_eq!(broken(&compile(&text)), Vec::<String>::new(), "{}", text);
    }

    #[test]
    fn every_spec_with_nat_beside_it_means_what_it_says(text in generate::overlap_spec()) {
        prop_assert_eq!(broken(&compile(&text)), Vec::<String>::new(), "{}", text);
    }

    #[test]
    fn every_spec_without_ports_means_what_it_says(text in generate::plain_spec()) {
        prop_assert_eq!(broken(&compile(&text)), Vec::<String>::new(), "{}", text);
    }

    #[test]
    fn every_spec_with_nat_means_what_it_says(text in generate::nat_spec()) {
        prop_assert_eq!(broken(&compile(&text)), Vec::<String>::new(), "{}", text);
    }
}
