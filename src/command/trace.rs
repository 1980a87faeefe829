//! `fwc trace SPEC PACKET`: the way of one packet, and of its answer.

use std::process::ExitCode;
use std::str::FromStr;

use serde_json::json;

use super::journey::{self, Told, journey_json, packet_json};
use super::output::Output;
use super::{Failure, exit};
use crate::cli::TraceArgs;
use crate::compile;
use crate::diagnostic::{Diagnostic, finding};
use crate::net::{Interface, Invalid, PacketText};
use crate::packet::assertion::is_answered;
use crate::packet::{Fragment, Packet, answer, evaluate};
use crate::parse::keys;
use crate::source::Sources;
use crate::spec::{Direction, Fate, State};

pub(super) fn run(output: Output, arguments: &TraceArgs) -> Result<ExitCode, Failure> {
    let mut outcome = compile::check(&arguments.spec);
    let mut found = std::mem::take(&mut outcome.diagnostics);
    // Mistakes in the spec and on the command line are told in one run.
    let packet = read(arguments, &mut outcome.sources, &mut found);
    output.diagnostics(&outcome.sources, &found);
    let (Some(compiled), Some(packet)) = (&outcome.compiled, packet) else {
        return Ok(ExitCode::from(exit::REFUSED));
    };
    let told = Told { compiled, sources: &outcome.sources };
    let there = evaluate(compiled.ruleset(), &packet);
    // Nothing comes back from what was dropped.
    let answered = there.fate == Fate::Accept && is_answered(&packet) && packet.fragment != Fragment::Later;
    let back = answered.then(|| answer(compiled.ruleset(), &packet, &there));
    let mut text = format!("{}\n{}", journey::packet(&packet), journey::human(told, &there));
    if let Some((answer, way)) = &back {
        text.push_str(&format!("\nthe answer: {}\n{}", journey::packet(answer), journey::human(told, way)));
    }
    let document = json!({
        "format": "fwc-trace",
        "version": 1,
        "spec": arguments.spec.display().to_string(),
        "sent": packet_json(&packet),
        "way": journey_json(told, &there),
        "answer": back.as_ref().map(|(answer, way)| {
            json!({ "sent": packet_json(answer), "way": journey_json(told, way) })
        }),
    });
    output.result(&text, &document)?;
    Ok(ExitCode::SUCCESS)
}

/// The packet of the command line. Its texts become sources, so that mistakes are shown in them.
fn read(arguments: &TraceArgs, sources: &mut Sources, found: &mut Vec<Diagnostic>) -> Option<Packet> {
    let packet: Option<PacketText> = value("PACKET", &arguments.packet, sources, found);
    let interface: Option<Option<Interface>> = match &arguments.interface {
        None => Some(None),
        Some(text) => value("--interface", text, sources, found).map(Some),
    };
    let direction = named(&keys::DIRECTION, &arguments.direction).unwrap_or(Direction::In);
    let state = named(&keys::STATE, &arguments.state).unwrap_or(State::New);
    let fragment = match arguments.fragment.as_deref() {
        Some("first") => Fragment::First,
        Some("later") => Fragment::Later,
        _ => Fragment::Whole,
    };
    Some(Packet { interface: interface?, state, fragment, ..Packet::new(packet?, direction) })
}

fn value<T: FromStr<Err = Invalid>>(
    name: &str,
    text: &str,
    sources: &mut Sources,
    found: &mut Vec<Diagnostic>,
) -> Option<T> {
    let file = sources.add(name, text);
    text.parse().map_err(|mistake| found.push(finding::invalid(&mistake, sources.whole(file)))).ok()
}

fn named<T: Copy>(words: &[(&'static str, T)], text: &str) -> Option<T> {
    words.iter().find(|(word, _)| *word == text).map(|&(_, value)| value)
}
