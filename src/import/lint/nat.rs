//! FWC703: NAT beside NOTRACK.

use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::notrack_nat;
use crate::dump::Verdict;
use crate::import::leaf::Known;
use crate::proof::bdd::Result;
use crate::proof::condition::Moment;
use crate::proof::way::Path;

pub(super) fn find(known: &Known<'_>) -> Result<Vec<Diagnostic>> {
    let mut found = Vec::new();
    let untracking = known.leaves.iter().find(|leaf| leaf.untracks()).map(|leaf| leaf.rule.place);
    let translating: Vec<_> =
        known.leaves.iter().filter(|leaf| matches!(leaf.rule.verdict, Verdict::Translate(_))).collect();
    let (Some(untracks), Some(translates)) = (untracking, translating.first()) else { return Ok(found) };
    for path in Path::ALL {
        let mut missed = known.paths.on(path).missed.clone();
        if path == Path::Forward {
            missed = missed.minus(&known.own()?)?;
        }
        for (leaf, part) in known.untracking(path, &missed)? {
            let mut nat = None;
            for other in translating.iter().filter(|other| other.path == path) {
                let moment = Moment {
                    hook: other.base.hook,
                    after_conntrack: true,
                    untracked: known.space.engine.none(),
                    never: known.space.engine.none(),
                };
                let conditions: Vec<_> = other.guard.iter().map(|&one| one.clone()).collect();
                if nat.is_none() && !known.conditions.all(&conditions, &moment)?.and(&part)?.is_empty() {
                    nat = Some(other.rule.place);
                }
            }
            found.push(notrack_nat::overlaps(leaf.rule.place, nat, &known.example(&part, path)?));
        }
    }
    if found.is_empty() {
        found.push(notrack_nat::apart(untracks, translates.rule.place));
    }
    Ok(found)
}
