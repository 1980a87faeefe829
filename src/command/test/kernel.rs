//! `fwc test --kernel`: the tests' packets through the real kernel, in a private namespace.

use serde_json::{Value, json};

use super::super::host::sandbox::Sandbox;
use super::super::host::{kernel_failure, load, socket};
use super::super::journey::{fate, tracking};
use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{kernel_disagrees, kernel_unreached};
use crate::kernel::probe::{Observation, Outcome, States, Testbed};
use crate::net::Interface;
use crate::packet::assertion::{LegResult, TestResult};
use crate::packet::{Journey, Packet};
use crate::source::Place;

/// What the kernel showed.
#[derive(Default)]
pub(super) struct Shown {
    /// What is wrong: packets that were not sent, and those of which the kernel says something else.
    pub(super) found: Vec<Diagnostic>,
    packets: usize,
    agreed: usize,
}

impl Shown {
    pub(super) fn words(&self) -> String {
        let plural = if self.packets == 1 { "" } else { "s" };
        format!("the kernel shows the same for {} of {} packet{plural}", self.agreed, self.packets)
    }

    pub(super) fn json(&self) -> Value {
        json!({ "packets": self.packets, "agreed": self.agreed })
    }
}

/// Loads the spec and sends both legs of each test that is about something.
pub(super) fn send<'a>(
    sandbox: Result<Sandbox, Diagnostic>,
    compiled: &Compiled,
    results: impl Iterator<Item = &'a TestResult<'a>>,
) -> Shown {
    let legs: Vec<(Place, &LegResult<'_>)> = results
        .filter(|result| result.impossible.is_none())
        .flat_map(|result| result.legs.iter().map(|leg| (result.test.packet.place, leg)))
        .collect();
    let mut shown = Shown { packets: legs.len(), ..Shown::default() };
    let packets: Vec<Packet> = legs.iter().map(|(_, leg)| leg.packet.clone()).collect();
    match sandbox.and_then(|sandbox| outcomes(&sandbox, compiled, &packets)) {
        Err(failure) => shown.found.push(failure),
        Ok(outcomes) => {
            for ((place, leg), outcome) in legs.iter().zip(outcomes) {
                match difference(&leg.journey, &leg.packet, &outcome, *place) {
                    Some(found) => shown.found.push(found),
                    None => shown.agreed += 1,
                }
            }
        }
    }
    shown
}

fn outcomes(sandbox: &Sandbox, compiled: &Compiled, packets: &[Packet]) -> Result<Vec<Outcome>, Diagnostic> {
    let ruleset = compiled.ruleset();
    let rules = ruleset.chains.iter().flat_map(|chain| &chain.rules);
    let mut names: Vec<Interface> = rules.flat_map(|rule| rule.matching.interfaces.iter().cloned()).collect();
    names.extend(packets.iter().filter_map(|packet| packet.interface.clone()));
    names.sort();
    names.dedup();
    let prepared = load::prepare(compiled)?;
    sandbox.load(&prepared, &mut socket()?)?;
    let mut testbed = Testbed::lay_out(&names, ruleset.tracks).map_err(|error| kernel_failure(&error))?;
    testbed.send(packets, States::Asked).map_err(|error| kernel_failure(&error))
}

/// Where the kernel shows something else than the rules say, or nothing.
fn difference(journey: &Journey<'_>, packet: &Packet, outcome: &Outcome, place: Place) -> Option<Diagnostic> {
    let text = packet.text().to_string();
    let Observation { fate: done, tracking: followed, .. } = match outcome {
        Outcome::NotSent(reason) => return Some(kernel_unreached::report(&text, &reason.to_string(), place)),
        Outcome::Decided(observation) => *observation,
    };
    // What is dropped before conntrack looks is neither.
    let same = done == journey.fate && followed.is_none_or(|followed| followed == journey.tracking);
    let says = format!("{}, {}", fate(journey.fate), tracking(journey.tracking));
    let does = followed.map_or(fate(done).to_string(), |followed| format!("{}, {}", fate(done), tracking(followed)));
    (!same).then(|| kernel_disagrees::report(&text, &says, &does, place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::check_text;
    use crate::packet::assertion;
    use crate::spec::{Fate, Tracking};

    #[test]
    fn another_verdict_and_another_tracking_are_told() {
        let text = "services: {web: {listen: \"*:80\", stateless: true}}\ntests:\n  - {packet: \"tcp 192.0.2.1:1024 > 203.0.113.5:80\", expect: accept}\n";
        let compiled = check_text("spec.yaml", text, std::path::Path::new(".")).compiled.unwrap();
        let results = assertion::run(&compiled.policy, compiled.ruleset());
        let leg = &results[0].legs[0];
        let told = |fate, tracking| {
            let seen = Observation { fate, tracking, state: None, filter: None };
            difference(&leg.journey, &leg.packet, &Outcome::Decided(seen), results[0].test.packet.place)
        };
        assert!(told(Fate::Accept, Some(Tracking::Untracked)).is_none());
        for (fate, tracking) in [(Fate::Drop, Some(Tracking::Untracked)), (Fate::Accept, Some(Tracking::Tracked))] {
            let found = told(fate, tracking).unwrap();
            assert_eq!(found.finding.code, "FWC603");
            assert!(found.message.contains("accept, untracked"), "{}", found.message);
        }
    }
}
