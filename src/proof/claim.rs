//! What is proven, each a sentence about every packet.

use std::collections::{BTreeMap, BTreeSet};

use super::bdd::{Result, Set};
use super::meaning::{Meaning, Reader};
use super::space::Space;
use super::way::{Outcome, Path, Walk};
use super::{Survey, names::LOOPBACK};
use crate::dump::{Dump, Hook, InterfacePattern, Parts, Side, Translation, Way};
use crate::net::Family;
use crate::policy::Policy;

/// A claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// The two legs of every untracked flow are untracked together.
    Legs,
    /// What is untracked is exactly what the spec says, and nothing that it says is tracked.
    Tracking,
    /// No NAT rule meets an untracked flow.
    Nat,
    /// What is translated, and how, is exactly what the spec says.
    Translated,
    /// What is accepted is exactly what the spec says.
    Accepted,
    /// No reply leg lets a bare SYN in.
    Openers,
    /// Two forms of the rules do the same with every packet.
    Same(Aspect),
}

/// In which way two forms can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    /// What is accepted.
    Accepted,
    /// What is untracked.
    Tracking,
    /// What is translated.
    Translation,
}

/// Packets for which a claim does not hold.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The claim.
    pub claim: Claim,
    /// On which path.
    pub path: Path,
    /// The packets: never empty.
    pub packets: Set,
    /// Whether the second of the two legs or forms is the one that accepts (or untracks) them.
    pub second: Option<bool>,
}

/// What a ruleset does with every packet, on every path.
pub struct Paths {
    outcomes: [Outcome; 3],
}

impl Paths {
    /// Leads all packets through a ruleset.
    pub fn of(space: &Space, dump: &Dump) -> Result<Self> {
        let walk = Walk::new(space, dump, false);
        let [input, output, forward] = Path::ALL.map(|path| walk.path(path));
        Ok(Paths { outcomes: [input?, output?, forward?] })
    }

    /// On one path.
    #[must_use]
    pub fn on(&self, path: Path) -> &Outcome {
        let [input, output, forward] = &self.outcomes;
        match path {
            Path::In => input,
            Path::Out => output,
            Path::Forward => forward,
        }
    }
}

/// A space in which these rulesets, and what a policy means, can be told apart.
pub fn space<'a>(policy: Option<&Policy>, dumps: impl IntoIterator<Item = &'a Dump>) -> Result<Space> {
    let mut survey = Survey::default();
    dumps.into_iter().for_each(|dump| survey.dump(dump));
    policy.into_iter().for_each(|policy| survey.policy(policy));
    Space::of(&survey)
}

/// Holds the rules of a policy against what it means: every claim but [`Claim::Same`].
pub fn rules(space: &Space, policy: &Policy, dump: &Dump, paths: &Paths) -> Result<Vec<Failure>> {
    let reader = Reader::new(space, policy);
    let mut failures = legs(space, dump, paths, &|path| reader.possible(path))?;
    let touched = |path: Path| path != Path::Forward || policy.forward.is_some();
    for path in Path::ALL {
        let (outcome, meaning) = (paths.on(path), reader.path(path)?);
        failures.extend(tracking(space, path, outcome, &meaning)?);
        let accepted = if touched(path) { &meaning.accepted } else { &outcome.accepted };
        failures.extend(differs(Claim::Accepted, path, &outcome.accepted, accepted)?);
        failures.extend(openers(space, path, outcome, &meaning)?);
        let meant = if touched(path) { &meaning.translations } else { &outcome.translations };
        failures.extend(translations(
            space,
            Claim::Translated,
            path,
            (&outcome.translations, meant),
            &space.engine.all(),
        )?);
        failures.extend(failure(Claim::Nat, path, outcome.missed.and(&abroad(space, path)?)?, None));
    }
    Ok(failures)
}

/// Legs: of two packets that answer each other, both are untracked or none. `possible` says which packets can come by on a path.
pub fn legs(space: &Space, dump: &Dump, paths: &Paths, possible: &dyn Fn(Path) -> Result<Set>) -> Result<Vec<Failure>> {
    let mirror = Walk::new(space, dump, true);
    let lo = [InterfacePattern::exact(LOOPBACK)];
    let (lo_in, lo_out) = (space.interface(Way::In, &lo)?, space.interface(Way::Out, &lo)?);
    // Fragments are the same flow as the whole packet that they make, and are put together before raw where anything is tracked.
    let whole = space.parts(Parts { whole: true, first: false, later: false })?;
    let whole = whole.minus(&space.translated(Side::Destination)?)?;
    let back_out = mirror.raw(Path::Out)?;
    let back_through = mirror.raw(Path::Forward)?;
    // To this host and back, by whatever interface.
    let abroad = whole.and(&space.local(Side::Destination)?)?.minus(&lo_in)?.minus(&lo_out)?;
    // Over loopback both legs pass output, and only then prerouting. Through this host, both pass prerouting.
    let pairs = [
        (Path::In, paths.on(Path::In), &back_out, abroad.and(&possible(Path::In)?)?),
        (Path::Out, paths.on(Path::Out), &back_out, whole.and(&lo_out)?),
        (Path::Forward, paths.on(Path::Forward), &back_through, whole.and(&possible(Path::Forward)?)?),
    ];
    let mut failures = Vec::new();
    for (path, there, back, asked) in pairs {
        let asked = asked.and(&there.entered)?.and(&back.entered)?;
        failures.extend(differs(Claim::Legs, path, &there.untracked.and(&asked)?, &back.untracked.and(&asked)?)?);
    }
    Ok(failures)
}

/// Over loopback, output has decided before the packet comes in.
fn tracking(space: &Space, path: Path, outcome: &Outcome, meaning: &Meaning) -> Result<Vec<Failure>> {
    let abroad = abroad(space, path)?;
    let mut failures = Vec::new();
    let (one, other) = (outcome.untracked.and(&abroad)?, meaning.untracked.and(&abroad)?);
    failures.extend(differs(Claim::Tracking, path, &one, &other)?);
    failures.extend(failure(Claim::Tracking, path, meaning.contradictions.clone(), None));
    Ok(failures)
}

/// What does not come in over loopback.
fn abroad(space: &Space, path: Path) -> Result<Set> {
    match path {
        Path::In => space.interface(Way::In, &[InterfacePattern::exact(LOOPBACK)])?.not(),
        Path::Out | Path::Forward => Ok(space.engine.all()),
    }
}

/// A TCP packet with SYN and without ACK opens a flow, unless conntrack knows better. Only what may open one is let through.
fn openers(space: &Space, path: Path, outcome: &Outcome, meaning: &Meaning) -> Result<Option<Failure>> {
    let known = crate::dump::States { established: true, related: true, ..crate::dump::States::default() };
    let known = space.state(known)?.minus(&outcome.untracked)?;
    let bare = space.flags(18, 2)?.minus(&known)?.and(&outcome.accepted)?;
    Ok(failure(Claim::Openers, path, bare.minus(&meaning.openers)?, Some(false)))
}

/// Holds two forms against each other, for the packets of these families.
pub fn same(space: &Space, one: &Paths, other: &Paths, families: &[Family]) -> Result<Vec<Failure>> {
    let families: Result<Vec<Set>> = families.iter().map(|&family| space.family(family)).collect();
    let asked = space.engine.any(families?)?;
    let mut failures = Vec::new();
    for path in Path::ALL {
        let (a, b) = (one.on(path), other.on(path));
        let pairs = [(Aspect::Tracking, &a.untracked, &b.untracked), (Aspect::Accepted, &a.accepted, &b.accepted)];
        for (aspect, a, b) in pairs {
            failures.extend(differs(Claim::Same(aspect), path, &a.and(&asked)?, &b.and(&asked)?)?);
        }
        let both = (&a.translations, &b.translations);
        failures.extend(translations(space, Claim::Same(Aspect::Translation), path, both, &asked)?);
    }
    Ok(failures)
}

/// What is translated, and how.
type Translations = BTreeMap<(Hook, Translation), Set>;

/// Each translation must be done to the same packets by both.
fn translations(
    space: &Space,
    claim: Claim,
    path: Path,
    (one, other): (&Translations, &Translations),
    asked: &Set,
) -> Result<Vec<Failure>> {
    let keys: BTreeSet<&(Hook, Translation)> = one.keys().chain(other.keys()).collect();
    let mut failures = Vec::new();
    for key in keys {
        let of = |all: &Translations| all.get(key).map_or_else(|| Ok(space.engine.none()), |set| set.and(asked));
        failures.extend(differs(claim, path, &of(one)?, &of(other)?)?);
    }
    Ok(failures)
}

fn differs(claim: Claim, path: Path, one: &Set, other: &Set) -> Result<Option<Failure>> {
    if one == other {
        return Ok(None);
    }
    let more = one.minus(other)?;
    // What one does too much is worse than what it lacks.
    let (packets, second) = if more.is_empty() { (other.minus(one)?, true) } else { (more, false) };
    Ok(failure(claim, path, packets, Some(second)))
}

fn failure(claim: Claim, path: Path, packets: Set, second: Option<bool>) -> Option<Failure> {
    (!packets.is_empty()).then_some(Failure { claim, path, packets, second })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Compiled, check_text};
    use crate::dump::of_ruleset;

    fn compiled(text: &str) -> Compiled {
        check_text("spec.yaml", text, std::path::Path::new("")).compiled.expect("a sound spec")
    }

    fn failures(text: &str, change: impl Fn(&mut Dump)) -> Vec<(Claim, Path)> {
        let compiled = compiled(text);
        let mut dump = of_ruleset(compiled.ruleset(), compiled.whole);
        change(&mut dump);
        let space = space(Some(&compiled.policy), [&dump]).unwrap();
        let paths = Paths::of(&space, &dump).unwrap();
        let failures = rules(&space, &compiled.policy, &dump, &paths).unwrap();
        for failure in &failures {
            let witness = super::super::witness::witness(&space, &failure.packets, failure.path).unwrap().unwrap();
            println!("{:?} {:?}: {witness}", failure.claim, failure.second);
        }
        failures.iter().map(|f| (f.claim, f.path)).collect()
    }

    const SPEC: &str = "policy: {input: drop, output: drop, forward: drop}\nicmp: {ping: true}\nblock: [192.0.2.0/24, \"2001:db8:bad::/48\"]\nservices:\n  \
        web: {listen: \"203.0.113.5:80\", stateless: true, from: 198.51.100.0/24, interface: eth0}\n  any: {listen: \"*:8000-8080\", stateless: true}\n  \
        ssh: {listen: \"*:22\"}\nclients:\n  dns: {to: \"9.9.9.9:53\", protocol: [udp, tcp], stateless: true}\nforward:\n  \
        back: {to: \"10.0.0.8:443\", stateless: true}\n  kept: {to: \"10.0.0.9:443\"}\n";

    #[test]
    fn the_rules_of_a_spec_mean_what_it_says() {
        assert_eq!(failures(SPEC, |_| {}), []);
    }

    #[test]
    fn a_rule_that_is_missing_is_found() {
        let compiled = compiled(SPEC);
        let count: Vec<usize> =
            of_ruleset(compiled.ruleset(), compiled.whole).chains.iter().map(|chain| chain.rules.len()).collect();
        for (chain, rules) in count.into_iter().enumerate() {
            for rule in 0..rules {
                let found = failures(SPEC, |dump| drop(dump.chains[chain].rules.remove(rule)));
                assert_ne!(found, [], "rule {rule} of chain {chain}");
            }
        }
    }
}
