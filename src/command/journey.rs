//! A packet's way through the rules, as `fwc test` and `fwc trace` tell it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::compile::Compiled;
use crate::packet::why::{self, Cause};
use crate::packet::{Fragment, Journey, Packet, Side, Step, Translation};
use crate::parse::keys;
use crate::ruleset::{Hook, Leg};
use crate::source::{Place, Sources};
use crate::spec::{Fate, Tracking};

/// A spec with its texts, to point at.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) compiled: &'a Compiled,
    pub(super) sources: &'a Sources,
}

/// The spec's word for a value.
pub(super) fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word)
}

pub(super) fn fate(fate: Fate) -> &'static str {
    word(&keys::FATE, &fate)
}

pub(super) fn tracking(tracking: Tracking) -> &'static str {
    word(&keys::TRACKING, &tracking)
}

fn hook(hook: Hook) -> &'static str {
    match hook {
        Hook::RawPrerouting => "raw prerouting",
        Hook::RawOutput => "raw output",
        Hook::NatPrerouting => "nat prerouting",
        Hook::Input => "input",
        Hook::Forward => "forward",
        Hook::Output => "output",
        Hook::NatPostrouting => "nat postrouting",
    }
}

/// A packet with what a test says of it: `tcp ... syn, in over eth0, new`.
pub(super) fn packet(packet: &Packet) -> String {
    let interface = packet.interface.as_ref().map_or(String::new(), |interface| format!(" over {interface}"));
    let direction = word(&keys::DIRECTION, &packet.direction);
    let fragment = match packet.fragment {
        Fragment::Whole => "",
        Fragment::First => ", first fragment",
        Fragment::Later => ", later fragment",
    };
    format!("{}, {direction}{interface}, {}{fragment}", packet.text(), word(&keys::STATE, &packet.state))
}

fn side((address, port): Side) -> String {
    port.map_or_else(|| address.to_string(), |port| std::net::SocketAddr::new(address, port).to_string())
}

fn translation(translation: Translation) -> String {
    match translation {
        // The answer to a masqueraded packet: it came to an address that is not known here.
        Translation::Destination { from, to } if from == to => format!("destination becomes {} again", side(to)),
        Translation::Destination { from, to } => format!("destination {} becomes {}", side(from), side(to)),
        Translation::Source { from, to: Some(to) } => format!("source {} becomes {}", side(from), side(to)),
        Translation::Source { from, to: None } => {
            format!("source {} becomes the address of the outgoing interface", side(from))
        }
    }
}

/// The way for people, each hook with what decided and where the spec says so.
pub(super) fn human(told: Told<'_>, journey: &Journey<'_>) -> String {
    let mut text = String::new();
    for step in &journey.steps {
        for (what, cause) in lines(told, journey, step) {
            let because = cause.as_ref().map_or(String::new(), |cause| format!(": {}", cause.words));
            let _ = writeln!(text, "  {:<16} {what}{because}", hook(step.hook));
            if let Some(place) = cause.and_then(|cause| cause.place) {
                let (position, line) = quoted(told.sources, place);
                let _ = writeln!(text, "  {:<16}   {position} | {line}", "");
            }
        }
    }
    if journey.decision().is_none() {
        let cause = why::of_fate(&told.compiled.policy, told.compiled.ruleset(), journey);
        let _ = writeln!(text, "  {:<16} accept: {}", "forward", cause.words);
    }
    let _ = writeln!(text, "  = {}, {}", fate(journey.fate), tracking(journey.tracking));
    text
}

/// What happens in a chain, and why.
fn lines(told: Told<'_>, journey: &Journey<'_>, step: &Step<'_>) -> Vec<(String, Option<Cause>)> {
    let (policy, ruleset) = (&told.compiled.policy, told.compiled.ruleset());
    let mut lines = Vec::new();
    if let Some(rule) = step.untracked_by {
        lines.push(("untracked".to_string(), Some(why::of_rule(policy, ruleset, rule))));
    }
    match (step.hook, step.translation) {
        (_, Some(done)) => lines.push((translation(done), Some(why::of_step(policy, ruleset, step)))),
        (Hook::NatPrerouting | Hook::NatPostrouting, None) => {
            lines.extend(step.depends.iter().map(|rule| {
                let names: Vec<&str> = rule.matching.interfaces.iter().map(|name| name.as_str()).collect();
                let what = format!("source changes if it leaves by {}", names.join(" or "));
                (what, Some(why::of_rule(policy, ruleset, rule)))
            }));
        }
        (Hook::RawPrerouting | Hook::RawOutput, None) if step.decided_by.is_none() => {}
        (_, None) => {
            let decides = journey.decision().is_some_and(|decision| decision.hook == step.hook);
            let cause =
                if decides { why::of_fate(policy, ruleset, journey) } else { why::of_step(policy, ruleset, step) };
            lines.push((fate(step.fate).to_string(), Some(cause)));
        }
    }
    if lines.is_empty() {
        lines.push(("no rule is about it".to_string(), None));
    }
    lines
}

/// `web.yaml:6:13` and the line there, without its indent.
fn quoted(sources: &Sources, place: Place) -> (String, String) {
    let position = sources.position(place);
    let line = sources.get(place.file).and_then(|source| source.text.lines().nth(position.line.saturating_sub(1)));
    // A spec may hold anything; a terminal should not.
    let line: String =
        line.unwrap_or("").trim().chars().filter(|character| !character.is_control()).take(120).collect();
    (position.to_string(), line)
}

/// A packet for programs.
pub(super) fn packet_json(packet: &Packet) -> Value {
    json!({
        "packet": packet.text().to_string(),
        "direction": word(&keys::DIRECTION, &packet.direction),
        "interface": packet.interface.as_ref().map(|interface| interface.as_str()),
        "state": word(&keys::STATE, &packet.state),
        "fragment": match packet.fragment {
            Fragment::Whole => None,
            Fragment::First => Some("first"),
            Fragment::Later => Some("later"),
        },
    })
}

/// The way for programs.
pub(super) fn journey_json(told: Told<'_>, journey: &Journey<'_>) -> Value {
    let (policy, ruleset) = (&told.compiled.policy, told.compiled.ruleset());
    let steps: Vec<Value> = journey.steps.iter().map(|step| step_json(told, step)).collect();
    json!({
        "fate": fate(journey.fate),
        "tracking": tracking(journey.tracking),
        "fate_because": cause_json(told, &why::of_fate(policy, ruleset, journey)),
        "tracking_because": cause_json(told, &why::of_tracking(policy, ruleset, journey)),
        "steps": steps,
        "arrived": packet_json(&journey.arrived),
    })
}

fn step_json(told: Told<'_>, step: &Step<'_>) -> Value {
    let (policy, ruleset) = (&told.compiled.policy, told.compiled.ruleset());
    let rule = |rule| cause_json(told, &why::of_rule(policy, ruleset, rule));
    json!({
        "hook": hook(step.hook),
        "fate": fate(step.fate),
        "untracked_by": step.untracked_by.map(rule),
        "because": cause_json(told, &why::of_step(policy, ruleset, step)),
        "translation": step.translation.map(translation_json),
        "depends_on_interface": step.depends.iter().map(|one| rule(one)).collect::<Vec<_>>(),
    })
}

fn translation_json(translation: Translation) -> Value {
    let (of, from, to) = match translation {
        Translation::Destination { from, to } => ("destination", from, Some(to)),
        Translation::Source { from, to } => ("source", from, to),
    };
    json!({ "of": of, "from": side(from), "to": to.map(side) })
}

fn cause_json(told: Told<'_>, cause: &Cause) -> Value {
    let leg = cause.leg.map(|leg| if leg == Leg::Request { "request" } else { "reply" });
    json!({
        "kind": cause.kind,
        "name": cause.name,
        "leg": leg,
        "words": cause.words,
        "at": cause.place.map(|place| place_json(told.sources, place)),
    })
}

/// Where a token is.
pub(super) fn place_json(sources: &Sources, place: Place) -> Value {
    let position = sources.position(place);
    json!({ "file": position.name, "line": position.line, "column": position.column })
}
