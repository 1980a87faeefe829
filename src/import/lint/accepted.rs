//! FWC702, FWC704, FWC705 and FWC707: what the filter accepts and drops beside NOTRACK.

use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{neighbour_drop, pmtu_black_hole, source_port_hole, untracked_unaccepted};
use crate::dump::{Condition, Dump, Effect, Hook, Side, States, Test, Verdict};
use crate::import::leaf::{Known, Leaf};
use crate::net::{Family, RangeSet};
use crate::proof::bdd::{Result, Set};
use crate::proof::condition::Moment;
use crate::proof::way::Path;
use crate::source::Place;

pub(super) fn find(known: &Known<'_>) -> Result<Vec<Diagnostic>> {
    let mut found = holes(known)?;
    for &family in &known.dump.families {
        found.extend(black_hole(known, family)?);
    }
    found.extend(unaccepted(known)?);
    found.extend(neighbours(known)?);
    Ok(found)
}

/// The rules of the filter on a path.
fn filter<'k, 'a>(known: &'k Known<'a>, path: Path) -> impl Iterator<Item = &'k Leaf<'a>> {
    known.leaves.iter().filter(move |leaf| leaf.path == path && !leaf.is_raw())
}

/// Packets that open a flow, let in by a rule that asks for a source port and for no port of this host.
fn holes(known: &Known<'_>) -> Result<Vec<Diagnostic>> {
    let space = known.space;
    let untracked = &known.paths.on(Path::In).untracked;
    let follows = known.follows()?.minus(untracked)?;
    let low = space.port(Side::Destination, &RangeSet::range(1, 1023))?;
    let abroad =
        known.abroad(Side::Destination)?.and(&low)?.minus(&follows)?.and(&known.paths.on(Path::In).accepted)?;
    let openers = [(true, space.flags(SYN | ACK, SYN)?), (false, space.protocol(&RangeSet::single(17))?)];
    let mut found = Vec::new();
    for leaf in filter(known, Path::In).filter(|leaf| leaf.rule.verdict == Verdict::Accept) {
        let asks = |side| leaf.guard.iter().any(|one| !one.negated && is_port(&one.test, side));
        if !asks(Side::Source) || asks(Side::Destination) {
            continue;
        }
        for (tcp, opens) in &openers {
            let part = leaf.packets.and(&abroad)?.and(opens)?;
            if !part.is_empty() {
                found.push(source_port_hole::report(leaf.rule.place, &known.example(&part, Path::In)?, *tcp));
            }
        }
    }
    found.extend(untracked_holes(known, &abroad, &openers)?);
    Ok(found)
}

/// The same in two steps: untracked by source port alone, and let in because it is untracked.
fn untracked_holes(known: &Known<'_>, abroad: &Set, openers: &[(bool, Set)]) -> Result<Vec<Diagnostic>> {
    let mut let_in = known.space.engine.none();
    for leaf in filter(known, Path::In).filter(|leaf| leaf.rule.verdict == Verdict::Accept) {
        let asks_port = leaf.guard.iter().any(|one| !one.negated && is_port(&one.test, Side::Destination));
        if !asks_port && leaf.guard.iter().any(says_untracked) {
            let_in = let_in.or(&leaf.packets)?;
        }
    }
    let mut found = Vec::new();
    for leaf in known.leaves.iter().filter(|leaf| leaf.path == Path::In && leaf.untracks()) {
        let asks = |side| leaf.guard.iter().any(|one| !one.negated && is_port(&one.test, side));
        if !asks(Side::Source) || asks(Side::Destination) {
            continue;
        }
        for (tcp, opens) in openers {
            let part = leaf.packets.and(&let_in)?.and(abroad)?.and(opens)?;
            if !part.is_empty() {
                found.push(source_port_hole::untracked(leaf.rule.place, &known.example(&part, Path::In)?, *tcp));
            }
        }
    }
    Ok(found)
}

const SYN: u8 = 2;
const ACK: u8 = 16;

fn is_port(test: &Test, asked: Side) -> bool {
    matches!(test, Test::Port(side, ports) if *side == asked && !ports.is_all())
}

/// Errors about untracked flows are invalid for conntrack.
fn black_hole(known: &Known<'_>, family: Family) -> Result<Option<Diagnostic>> {
    let space = known.space;
    let of_family = space.family(family)?;
    let untracked = known.paths.on(Path::In).untracked.or(&known.paths.on(Path::Out).untracked)?;
    if untracked.and(&of_family)?.minus(&known.loopback()?)?.is_empty() {
        return Ok(None);
    }
    let (kind, code) = if family == Family::V4 { (3, RangeSet::single(4)) } else { (2, RangeSet::all()) };
    let errors = space.icmp(family, &RangeSet::single(kind), &code)?;
    let invalid = space.state(States { invalid: true, ..States::default() })?;
    // What a block list in raw drops is not about flows of this host.
    let input = known.paths.on(Path::In);
    let abroad = known.abroad(Side::Destination)?.and(&input.entered)?;
    let lost = errors.and(&invalid)?.and(&abroad)?.minus(&input.accepted)?;
    if lost.is_empty() {
        return Ok(None);
    }
    let packet = known.example(&lost, Path::In)?;
    let place = dropping(known, Path::In, &lost)?;
    Ok(place.map(|(place, rule)| pmtu_black_hole::report(place, rule, &packet, family == Family::V6)))
}

/// The rule that drops packets of a set, or the chain whose policy does.
fn dropping(known: &Known<'_>, path: Path, set: &Set) -> Result<Option<(Place, bool)>> {
    for leaf in known.leaves.iter().filter(|leaf| leaf.path == path) {
        let drops = matches!(leaf.rule.verdict, Verdict::Drop | Verdict::Reject);
        if drops && !leaf.packets.and(set)?.is_empty() {
            return Ok(Some((leaf.rule.place, true)));
        }
    }
    let hook = if path == Path::In { Hook::Input } else { Hook::Output };
    let policy = known
        .dump
        .chains
        .iter()
        .find(|chain| chain.base.is_some_and(|base| base.hook == hook && base.policy == crate::spec::Fate::Drop));
    Ok(policy.map(|chain| (chain.place, false)))
}

/// Untracked packets that are dropped, and would be accepted if nothing untracked them.
fn unaccepted(known: &Known<'_>) -> Result<Vec<Diagnostic>> {
    let mut tracked: Dump = known.dump.clone();
    for chain in &mut tracked.chains {
        chain.rules.iter_mut().for_each(|rule| rule.effects.retain(|effect| *effect != Effect::Notrack));
    }
    let other = Known::of(known.space, &tracked)?;
    // A connection is opened by SYN alone, and by nothing else.
    let syn = known.space.flags(SYN | ACK, SYN)?;
    let new =
        known.space.state(States { new: true, ..States::default() })?.minus(&known.space.has_flags()?.minus(&syn)?)?;
    let new = new.or(&known.space.state(States { established: true, ..States::default() })?.minus(&syn)?)?;
    let mut found = Vec::new();
    for (path, near) in [(Path::In, Side::Destination), (Path::Out, Side::Source)] {
        let (now, then) = (known.paths.on(path), other.paths.on(path));
        let lost = now.untracked.and(&then.accepted)?.minus(&now.accepted)?.and(&new)?.and(&known.abroad(near)?)?;
        for (leaf, part) in known.untracking(path, &lost)? {
            let opens = part.and(&known.space.state(States { new: true, ..States::default() })?)?;
            let part = if opens.is_empty() { part } else { opens };
            let mut accepts = None;
            for candidate in filter(&other, path).filter(|leaf| leaf.rule.verdict == Verdict::Accept) {
                if accepts.is_none() && !candidate.packets.and(&part)?.is_empty() {
                    accepts = Some(candidate.rule.place);
                }
            }
            found.push(untracked_unaccepted::report(leaf.rule.place, accepts, &known.example(&part, path)?));
        }
    }
    Ok(found)
}

/// Rules that drop untracked packets, and neighbour discovery with them: whatever conntrack is asked, it says untracked.
fn neighbours(known: &Known<'_>) -> Result<Vec<Diagnostic>> {
    let types = RangeSet::range(133, 137);
    let discovery = known.space.icmp(Family::V6, &types, &RangeSet::all())?.minus(&known.loopback()?)?;
    let mut found = Vec::new();
    for leaf in filter(known, Path::In).filter(|leaf| leaf.family == Family::V6) {
        let drops = matches!(leaf.rule.verdict, Verdict::Drop | Verdict::Reject);
        if !drops || !leaf.guard.iter().any(says_untracked) {
            continue;
        }
        let rest: Vec<Condition> =
            leaf.guard.iter().filter(|one| !says_untracked(one)).map(|&one| one.clone()).collect();
        let moment = Moment {
            hook: leaf.base.hook,
            after_conntrack: true,
            untracked: discovery.clone(),
            never: known.space.engine.none(),
        };
        let met = known.conditions.all(&rest, &moment)?.and(&discovery)?.and(&leaf.reach)?;
        if !met.is_empty() {
            found.push(neighbour_drop::report(leaf.rule.place));
        }
    }
    Ok(found)
}

/// Whether a condition asks for what is not tracked.
pub(super) fn says_untracked(condition: &&Condition) -> bool {
    matches!(condition.test, Test::State(states) if states.untracked != condition.negated)
}
