//! FWC701, FWC706 and FWC708: of two legs, one is untracked and the other is not.

use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{half_pair, loopback_pair, wildcard_notrack};
use crate::dump::{Hook, InterfacePattern, Side, Verdict, Way};
use crate::import::leaf::Known;
use crate::import::words::{self, Syntax};
use crate::proof::bdd::{Result, Set};
use crate::proof::way::{Path, Walk};

pub(super) fn find(known: &Known<'_>) -> Result<Vec<Diagnostic>> {
    let mirror = Walk::new(known.space, known.dump, true);
    let mut found = Vec::new();
    for (path, back, near, hook) in
        [(Path::In, Path::Out, Side::Destination, Hook::Output), (Path::Out, Path::In, Side::Source, Hook::Prerouting)]
    {
        let there = known.paths.on(path);
        let back = mirror.path(back)?;
        let asked = known.abroad(near)?.and(&there.entered)?.and(&back.entered)?;
        let alone = there.untracked.minus(&back.untracked)?.and(&asked)?.minus(&translated(known)?)?;
        for (leaf, part) in known.untracking(path, &alone)? {
            let missing = words::answering(Syntax::of(leaf.base_chain), leaf.rule, hook);
            let packet = known.example(&part, path)?;
            found.push(half_pair::report(leaf.rule.place, &packet, words::chain_name(hook), missing.as_deref()));
        }
    }
    found.extend(loopback(known, &mirror)?);
    found.extend(routed(known, &mirror)?);
    Ok(found)
}

/// Packets of translated flows: raw saw them with other addresses.
fn translated(known: &Known<'_>) -> Result<Set> {
    known.space.translated(Side::Destination)?.or(&known.space.translated(Side::Source)?)
}

/// Over loopback both legs pass output.
fn loopback(known: &Known<'_>, mirror: &Walk<'_>) -> Result<Vec<Diagnostic>> {
    let lo = known.space.interface(Way::Out, &[InterfacePattern::exact("lo")])?;
    let (there, back) = (known.paths.on(Path::Out), mirror.path(Path::Out)?);
    let alone = there.untracked.minus(&back.untracked)?.and(&lo)?.and(&back.entered)?.minus(&translated(known)?)?;
    let passes = passes_loopback(known)?;
    let mut found = Vec::new();
    for (leaf, part) in known.untracking(Path::Out, &alone)? {
        let packet = known.example(&part, Path::Out)?;
        let missing = words::loopback(Syntax::of(leaf.base_chain));
        found.push(loopback_pair::report(leaf.rule.place, &packet, missing, passes));
    }
    Ok(found)
}

/// Whether everything over loopback is accepted, tracked or not.
fn passes_loopback(known: &Known<'_>) -> Result<bool> {
    let lo = |way| known.space.interface(way, &[InterfacePattern::exact("lo")]);
    let mut families = Vec::new();
    for &family in &known.dump.families {
        families.push(known.space.family(family)?);
    }
    let families = known.space.engine.any(families)?;
    for (path, way) in [(Path::Out, Way::Out), (Path::In, Way::In)] {
        let there = known.paths.on(path);
        if !lo(way)?.and(&there.entered)?.and(&families)?.minus(&there.accepted)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is routed passes prerouting in both directions. A host that forwards has rules for it, or translates what leaves.
fn routed(known: &Known<'_>, mirror: &Walk<'_>) -> Result<Vec<Diagnostic>> {
    let forwards = known.dump.chains.iter().any(|chain| {
        let hook = chain.base.map(|base| base.hook);
        let rules = &chain.rules;
        (hook == Some(Hook::Forward) && !rules.is_empty())
            || (hook == Some(Hook::Postrouting)
                && rules.iter().any(|rule| matches!(rule.verdict, Verdict::Translate(_))))
    });
    if !forwards {
        return Ok(Vec::new());
    }
    let (there, back) = (known.paths.on(Path::Forward), mirror.path(Path::Forward)?);
    let mut alone = there.untracked.minus(&back.untracked)?.and(&there.accepted)?.minus(&translated(known)?)?;
    alone = alone.minus(&known.own()?)?;
    for side in [Side::Source, Side::Destination] {
        alone = alone.minus(&known.space.local(side)?)?;
    }
    let mut found = Vec::new();
    for (leaf, part) in known.untracking(Path::Forward, &alone)? {
        let packet = known.example(&part, Path::Forward)?;
        let nft = Syntax::of(leaf.base_chain) == Syntax::Nft;
        found.push(wildcard_notrack::report(leaf.rule.place, &packet, nft));
    }
    Ok(found)
}
