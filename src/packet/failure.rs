//! What is wrong with a test, in words: the diagnostics of failed tests.

use super::assertion::{Impossible, LegResult, TestResult};
use super::why::{self, Cause};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{test_failed, test_impossible};
use crate::policy::Policy;
use crate::ruleset::{Hook, Leg, Ruleset};
use crate::source::Place;
use crate::spec::{Fate, Test, Tracking};

/// A diagnostic for each thing that is not as the test says; none for a test that passes.
#[must_use]
pub fn diagnostics(policy: &Policy, ruleset: &Ruleset, result: &TestResult<'_>) -> Vec<Diagnostic> {
    let test = result.test;
    if let Some(impossible) = result.impossible {
        let packet = test.packet.place;
        return vec![match impossible {
            Impossible::Unanswered => {
                let place = test.reply.map_or(packet, |reply| reply.place);
                test_impossible::unanswered(&test.packet.value.to_string(), place)
            }
            Impossible::ForwardedLoopback => {
                test_impossible::forwarded_loopback(test.interface.as_ref().map_or(packet, |name| name.place))
            }
        }];
    }
    let of_leg = |leg| [fate(policy, ruleset, test, leg), tracking(policy, ruleset, test, leg)];
    result.legs.iter().flat_map(of_leg).flatten().collect()
}

fn fate(policy: &Policy, ruleset: &Ruleset, test: &Test, leg: &LegResult<'_>) -> Option<Diagnostic> {
    let expected = leg.expected_fate?;
    let cause = why::of_fate(policy, ruleset, &leg.journey);
    let place = test.expect.map_or(test.packet.place, |expect| expect.place);
    let message = match leg.journey.fate {
        Fate::Accept => format!("{} is accepted: {}", subject(leg), cause.words),
        Fate::Drop => format!("{} is dropped: {}", subject(leg), cause.words),
    };
    let does = if leg.journey.fate == Fate::Accept { "accepts it" } else { "drops it" };
    let help = match expected {
        Fate::Accept => how_to_accept(&cause, leg),
        Fate::Drop => how_to_drop(&cause),
    };
    let asserted = (place, format!("expects {}", word(expected)));
    Some(test_failed::report(
        message,
        help,
        asserted,
        by(&cause, if cause.kind == "beside" { "does not accept it" } else { does }),
    ))
}

fn tracking(policy: &Policy, ruleset: &Ruleset, test: &Test, leg: &LegResult<'_>) -> Option<Diagnostic> {
    let expected = leg.expected_tracking?;
    let cause = why::of_tracking(policy, ruleset, &leg.journey);
    let place = test.tracking.map_or(test.packet.place, |tracking| tracking.place);
    let (is, says, help) = match (expected, cause.kind, &cause.name) {
        (Tracking::Tracked, "entry", Some(name)) => {
            ("untracked", "tracked", format!("write `tracking: untracked`, or take `stateless: true` from `{name}`"))
        }
        (Tracking::Tracked, ..) => ("untracked", "tracked", "write `tracking: untracked`".to_string()),
        (Tracking::Untracked, ..) => {
            let help = "write `tracking: tracked`, or `stateless: true` in the entry that it belongs to";
            ("tracked", "untracked", help.to_string())
        }
    };
    let message = format!("{} is {is}: {}", subject(leg), cause.words);
    let asserted = (place, format!("expects {says}"));
    Some(test_failed::report(message, help, asserted, by(&cause, "leaves it untracked")))
}

/// The packet, as the sentence begins.
fn subject(leg: &LegResult<'_>) -> String {
    let what = if leg.leg == Leg::Request { "" } else { "the answer " };
    format!("{what}`{}`", leg.packet.text())
}

fn by(cause: &Cause, text: &'static str) -> Option<(Place, &'static str)> {
    cause.place.map(|place| (place, text))
}

fn word(fate: Fate) -> &'static str {
    if fate == Fate::Accept { "accept" } else { "drop" }
}

fn how_to_accept(cause: &Cause, leg: &LegResult<'_>) -> String {
    let section = match leg.journey.decision().map(|step| step.hook) {
        Some(Hook::Output) => "clients",
        Some(Hook::Forward) => "forward",
        _ => "services",
    };
    match (cause.kind, &cause.name) {
        ("block", _) => "write `expect: drop`, or take the source out of `block`".to_string(),
        ("beside", Some(name)) => format!("write `expect: drop`, or widen `{name}`"),
        _ if leg.leg == Leg::Reply => {
            "leave `reply` out, or add an entry that is about both directions of the flow".to_string()
        }
        _ => format!("write `expect: drop`, or add an entry under `{section}` that accepts it"),
    }
}

fn how_to_drop(cause: &Cause) -> String {
    match (cause.kind, &cause.name) {
        ("entry", Some(name)) => format!("write `expect: accept`, or say in `{name}` more narrowly who is accepted"),
        ("nat", Some(_)) => "write `expect: accept`, or remove the item: it admits what it translates".to_string(),
        ("policy", Some(key)) => format!("write `expect: accept`, or `drop` in `{key}`"),
        ("ping", _) => "write `expect: accept`, or `icmp: {ping: false}`".to_string(),
        ("established", _) => {
            "write `expect: accept`, or leave `state` out if the packet opens a connection".to_string()
        }
        ("untouched", _) => "write `expect: accept`, or `forward: drop` in `policy`".to_string(),
        _ => "write `expect: accept`: no key turns this off".to_string(),
    }
}
