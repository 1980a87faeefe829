//! A foreign ruleset as a spec, with proof.
//!
//! A draft is read off the rules that accept, untrack, drop by source and translate, as well as it can be. Nothing is trusted of that: the
//! spec is compiled and its rules are held against the ruleset, packet for packet.

mod atom;
mod merge;
mod name;
mod nat;
mod piece;
mod proof;
mod text;

use atom::{Atoms, Left};
use merge::Entry;
use nat::Item;
use piece::{Piece, pieces};

use super::leaf::{Known, Leaf};
use crate::compile;
use crate::diagnostic::finding::{cannot_say, import_refused};
use crate::diagnostic::{Diagnostic, sort};
use crate::dump::{ChainKind, Dump, Effect, Hook, Rule, Test, Verdict, of_ruleset};
use crate::net::{AddressSet, Family};
use crate::proof::bdd::Result;
use crate::proof::claim::{self, Paths};
use crate::proof::way::Path;
use crate::source::{Place, Sources};
use crate::spec::Fate;

/// What became of a ruleset.
#[derive(Debug)]
pub struct Imported {
    /// The spec, with a header that says whether it is proven.
    pub text: String,
    /// What is said about it.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether the spec means the same as the ruleset, for every packet of the ruleset's families.
    pub same: bool,
}

/// A spec before it is written.
struct Draft {
    families: Vec<Family>,
    input: Fate,
    output: Fate,
    forward: Option<Fate>,
    ping: bool,
    block: AddressSet,
    block_places: Vec<Place>,
    entries: Vec<Entry>,
    nat: Vec<Item>,
}

/// Makes a spec of a ruleset and proves it. `name` is what the ruleset is called in the header.
///
/// # Errors
/// When the proof needs more memory than it may have.
pub fn import(dump: &Dump, sources: &mut Sources, name: &str) -> Result<Imported> {
    let frame = frame(dump)?;
    let always = compile::check_text("always", &frame, std::path::Path::new(""));
    let always = always.compiled.map(|compiled| of_ruleset(compiled.ruleset(), compiled.whole)).unwrap_or_default();
    let space = claim::space(None, [dump, &always])?;
    let known = Known::of(&space, dump)?;
    let always = Paths::of(&space, &always)?;
    let (draft, left) = draft(&known, &always)?;
    let body = text::of(&draft, sources);
    let mut diagnostics: Vec<Diagnostic> =
        dump.unread.iter().map(|unread| cannot_say::unread(unread.place, &unread.why)).collect();
    // What is done to packets and flows in ways that are not followed leaves nothing proven.
    let others = dump.rules().filter(|(_, rule)| rule.effects.iter().any(|one| matches!(one, Effect::Other(_))));
    diagnostics.extend(others.filter_map(|(_, rule)| effect(rule)));
    let is_followed = diagnostics.is_empty();
    let outcome = compile::check_text("spec.yaml", &body, std::path::Path::new(""));
    let told = match &outcome.compiled {
        Some(compiled) => {
            let rules = of_ruleset(compiled.ruleset(), compiled.whole);
            let held = proof::hold(dump, &rules, compiled.whole, &left)?;
            diagnostics.extend(held.diagnostics);
            let same = held.same && is_followed;
            (same, verdict(same, held.more, name, dump, diagnostics.len()))
        }
        None => {
            diagnostics.extend(refusals(&outcome, sources, &body));
            (false, format!("# not proven: fwc refuses this spec, which is what it makes of {name}\n"))
        }
    };
    let known_places: Vec<Place> =
        diagnostics.iter().flat_map(|one| one.labels.iter().map(|label| label.place)).collect();
    diagnostics.extend(effects(dump).filter(|one| !one.labels.iter().any(|label| known_places.contains(&label.place))));
    sort(&mut diagnostics);
    let (same, header) = told;
    Ok(Imported { text: header + &body, diagnostics, same })
}

fn verdict(same: bool, more: bool, name: &str, dump: &Dump, count: usize) -> String {
    let mut text = if same {
        format!("# proven: means the same as {name} for every packet\n")
    } else {
        let count = if more { format!("more than {count}") } else { count.to_string() };
        let what = if count == "1" { "difference is" } else { "differences are" };
        format!("# not the same as {name}: {count} {what} told by `fwc import`\n")
    };
    if let [only] = dump.families.as_slice() {
        let other = if *only == Family::V4 { Family::V6 } else { Family::V4 };
        text += &format!("# that is about {only}; the spec filters {other} too, of which {name} says nothing\n");
    }
    text
}

/// Errors of the spec, shown in the spec.
fn refusals(outcome: &compile::Outcome, sources: &mut Sources, body: &str) -> Vec<Diagnostic> {
    let file = sources.add("the imported spec", body);
    let errors = outcome.diagnostics.iter().filter(|one| one.is_error());
    errors
        .map(|one| {
            let place = one.labels.first().map_or_else(|| sources.whole(file), |label| Place { file, ..label.place });
            import_refused::refused(place, one.finding.code, &one.message, &one.help)
        })
        .collect()
}

/// What rules do besides deciding, and a spec does not do.
fn effects(dump: &Dump) -> impl Iterator<Item = Diagnostic> + '_ {
    dump.rules().filter_map(|(_, rule)| effect(rule))
}

fn effect(rule: &Rule) -> Option<Diagnostic> {
    let told = rule.effects.iter().find_map(|effect| match effect {
        Effect::Notrack => None,
        Effect::Harmless(text) => (!text.starts_with("counter")).then(|| format!("`{text}`")),
        Effect::Mark(text) | Effect::Other(text) => Some(format!("`{text}`")),
    });
    let told = told.or_else(|| (rule.verdict == Verdict::Reject).then(|| "an answer to what is dropped".to_string()));
    told.map(|what| cannot_say::left_out(rule.place, &what))
}

/// A spec that accepts nothing but what every spec does.
fn frame(dump: &Dump) -> Result<String> {
    let space = claim::space(None, [dump])?;
    let known = Known::of(&space, dump)?;
    let drop = Fate::Drop;
    let draft = Draft { input: drop, output: drop, forward: Some(drop), ..outline(&known) };
    Ok(text::of(&draft, &Sources::default()))
}

/// Policies, ping: all but entries.
fn outline(known: &Known<'_>) -> Draft {
    let forward = fate(known, Hook::Forward);
    Draft {
        families: known.dump.families.clone(),
        input: fate(known, Hook::Input),
        output: fate(known, Hook::Output),
        forward: (forward == Fate::Drop).then_some(forward),
        ping: pings(known),
        block: AddressSet::default(),
        block_places: Vec::new(),
        entries: Vec::new(),
        nat: Vec::new(),
    }
}

/// What becomes of a packet that no rule of a hook speaks of.
fn fate(known: &Known<'_>, hook: Hook) -> Fate {
    let ends = known.dump.families.iter().flat_map(|&family| known.dump.at(hook, family));
    let drops = ends.filter(|(_, base)| base.kind == ChainKind::Filter).any(|(_, base)| base.policy == Fate::Drop);
    let all = |leaf: &Leaf<'_>| leaf.guard.iter().all(|one| matches!(one.test, Test::Family(_)));
    let ended = known.leaves.iter().any(|leaf| {
        leaf.base.hook == hook
            && !leaf.is_raw()
            && matches!(leaf.rule.verdict, Verdict::Drop | Verdict::Reject)
            && !leaf.packets.is_empty()
            && all(leaf)
    });
    if drops || ended { Fate::Drop } else { Fate::Accept }
}

/// Whether echo requests are accepted by a rule that asks for ICMP, or echo replies by one that asks for them.
fn pings(known: &Known<'_>) -> bool {
    known.leaves.iter().filter(|leaf| leaf.rule.verdict == Verdict::Accept && !leaf.packets.is_empty()).any(|leaf| {
        let (icmp, request, reply) = if leaf.family == Family::V4 { (1, 8, 0) } else { (58, 128, 129) };
        pieces(&leaf.guard, leaf.family).iter().filter(|piece| piece.opens() && piece.why.is_none()).any(|piece| {
            let protocol = piece.protocol.as_ref().is_some_and(|one| one.as_single() == Some(icmp));
            let has = |kind| piece.icmp.as_ref().is_some_and(|types| types.contains(kind));
            let anybody = piece.source.is_none() && piece.destination.is_none() && piece.incoming.is_none();
            match leaf.base.hook {
                Hook::Input => anybody && protocol && (piece.icmp.is_none() || has(request)),
                Hook::Output => anybody && protocol && piece.outgoing.is_none() && has(reply),
                _ => false,
            }
        })
    })
}

/// Everything.
fn draft<'a>(known: &Known<'a>, always: &Paths) -> Result<(Draft, Vec<Left<'a>>)> {
    let mut draft = outline(known);
    let mut atoms = Atoms { known, always, found: Vec::new(), left: Vec::new() };
    atoms.read()?;
    let fates = [(Path::In, Some(draft.input)), (Path::Out, Some(draft.output)), (Path::Forward, draft.forward)];
    let accepting: Vec<Path> =
        fates.into_iter().filter(|(_, fate)| *fate != Some(Fate::Drop)).map(|(path, _)| path).collect();
    atoms.untracked(&accepting)?;
    let mut left = atoms.left;
    draft.entries = merge::entries(atoms.found);
    if draft.forward.is_none() && draft.entries.iter().any(|entry| entry.section == atom::Section::Forward) {
        draft.forward = Some(Fate::Accept);
    }
    draft.nat = nat::items(known, &mut left);
    blocked(known, &mut draft);
    Ok((draft, left))
}

/// Sources that are dropped before conntrack, whatever they send.
fn blocked(known: &Known<'_>, draft: &mut Draft) {
    let drops = known.leaves.iter().filter(|leaf| {
        leaf.path == Path::In && leaf.is_raw() && matches!(leaf.rule.verdict, Verdict::Drop | Verdict::Reject)
    });
    for leaf in drops {
        for piece in pieces(&leaf.guard, leaf.family) {
            let Some(source) = piece.source.clone() else { continue };
            if piece == (Piece { source: piece.source.clone(), ..Piece::default() }) {
                draft.block = draft.block.union(&source);
                draft.block_places.push(leaf.rule.place);
            }
        }
    }
}
