//! What does not hold, as diagnostics: the plainest packet, and the rules that decide about it on both sides.

use super::forms::Form;
use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{accepted_differs, form_differs, legs_apart, ruleset_differs, tracking_differs};
use crate::dump::{Dump, Effect, Test};
use crate::proof::TooLarge;
use crate::proof::claim::{Aspect, Claim, Failure};
use crate::proof::space::Space;
use crate::proof::way::{Decision, Walk};
use crate::proof::witness::{Witness, witness};

/// A claim about the rules by themselves that does not hold.
pub(super) fn of_rules(
    space: &Space,
    compiled: &Compiled,
    rules: &Dump,
    failure: &Failure,
) -> Result<Option<Diagnostic>, TooLarge> {
    let Some(packet) = witness(space, &failure.packets, failure.path)? else { return Ok(None) };
    let told = packet.to_string();
    let (rule, spec) = words(failure);
    let diagnostic = match failure.claim {
        Claim::Legs => legs_apart::report(&told, rule, spec),
        Claim::Tracking | Claim::Translated => tracking_differs::report(&told, rule, spec),
        Claim::Nat => tracking_differs::nat(&told),
        Claim::Openers => accepted_differs::opener(&told),
        Claim::Accepted | Claim::Same(_) => accepted_differs::report(&told, rule, spec),
    };
    let diagnostic = label(diagnostic, space, rules, &packet, "by the rules", compiled, is_about_tracking(failure))?;
    Ok(Some(if diagnostic.labels.is_empty() { diagnostic.at(compiled.whole, "") } else { diagnostic }))
}

/// A form that does something else than the rules.
pub(super) fn of_form(
    space: &Space,
    compiled: &Compiled,
    rules: &Dump,
    form: &Form,
    failure: &Failure,
) -> Result<Option<Diagnostic>, TooLarge> {
    let Some(packet) = witness(space, &failure.packets, failure.path)? else { return Ok(None) };
    let (by_rules, by_form) = words(failure);
    let told = packet.to_string();
    let diagnostic = if form.own {
        form_differs::report(&form.name, &told, by_form, by_rules)
    } else {
        ruleset_differs::report(&form.name, &told, by_form, by_rules)
    };
    let diagnostic = label(diagnostic, space, &form.dump, &packet, "here", compiled, is_about_tracking(failure))?;
    label(diagnostic, space, rules, &packet, "by the spec", compiled, is_about_tracking(failure)).map(Some)
}

/// What the first and the second of two do with the packets.
fn words(failure: &Failure) -> (&'static str, &'static str) {
    let (yes, no) = match failure.claim {
        Claim::Legs | Claim::Tracking | Claim::Same(Aspect::Tracking) => ("untracked", "tracked"),
        Claim::Nat | Claim::Translated | Claim::Same(Aspect::Translation) => ("translated so", "not translated so"),
        Claim::Accepted | Claim::Openers | Claim::Same(Aspect::Accepted) => ("accepted", "dropped"),
    };
    if failure.second == Some(true) { (no, yes) } else { (yes, no) }
}

fn is_about_tracking(failure: &Failure) -> bool {
    matches!(failure.claim, Claim::Legs | Claim::Tracking | Claim::Same(Aspect::Tracking))
}

/// Points at the rules that decide about a packet.
fn label(
    mut diagnostic: Diagnostic,
    space: &Space,
    dump: &Dump,
    packet: &Witness,
    who: &str,
    compiled: &Compiled,
    tracking: bool,
) -> Result<Diagnostic, TooLarge> {
    let decisions = Walk::new(space, dump, false).decisions(packet.path, packet.family, &packet.member)?;
    for decision in &decisions {
        if let Some(rule) = decision.notrack.filter(|rule| rule.place != compiled.whole) {
            diagnostic = diagnostic.at(rule.place, format!("untracked {who}"));
        }
    }
    if tracking && !decisions.iter().any(|decision| decision.notrack.is_some()) {
        let raw = decisions.iter().find(|decision| decision.chain.base.is_some_and(|base| base.priority < 0));
        let place = raw.or(decisions.first()).map(|decision| decision.chain.place);
        return Ok(match place.filter(|place| *place != compiled.whole) {
            Some(place) => diagnostic.at(place, format!("nothing untracks it {who}")),
            None => diagnostic,
        });
    }
    if tracking {
        return Ok(diagnostic);
    }
    let last = decisions.iter().rev().find(|decision| !decision.passes).or(decisions.last());
    if let Some((place, text)) =
        last.map(|decision| decided(decision, who)).filter(|(place, _)| *place != compiled.whole)
    {
        diagnostic = diagnostic.at(place, text);
    } else if let Some(decision) = last {
        let why =
            decision.rule.and_then(|rule| rule.comment.clone()).map_or("the policy".to_string(), |why| why.to_string());
        let place = policy_place(compiled, decision).unwrap_or(compiled.whole);
        if place != compiled.whole {
            diagnostic = diagnostic.at(place, format!("{} {who}: {why}", fate(decision.passes)));
        }
    }
    Ok(diagnostic)
}

/// The spec's token for what a chain does where no rule decides.
fn policy_place(compiled: &Compiled, decision: &Decision<'_>) -> Option<crate::source::Place> {
    if decision.rule.is_some() {
        return None;
    }
    match decision.chain.base?.hook {
        crate::dump::Hook::Input => compiled.policy.written.input,
        crate::dump::Hook::Output => compiled.policy.written.output,
        crate::dump::Hook::Forward => compiled.policy.written.forward,
        crate::dump::Hook::Prerouting | crate::dump::Hook::Postrouting => None,
    }
}

fn decided(decision: &Decision<'_>, who: &str) -> (crate::source::Place, String) {
    match decision.rule {
        Some(rule) => (rule.place, format!("{} {who}", fate(decision.passes))),
        None => (decision.chain.place, format!("{} {who} by the chain's policy", fate(decision.passes))),
    }
}

fn fate(passes: bool) -> &'static str {
    if passes { "accepted" } else { "dropped" }
}

/// What of a form is not understood: nothing is proven about it then.
pub(super) fn unread(form: &Form) -> impl Iterator<Item = Diagnostic> + '_ {
    let name = form.name.as_str();
    let report = move |why: &str| {
        if form.own { form_differs::unread(name, why) } else { ruleset_differs::unread(name, why) }
    };
    let unread = form.dump.unread.iter().map(move |unread| report(&unread.why).at(unread.place, ""));
    let opaque = form.dump.rules().filter_map(move |(_, rule)| {
        let test = rule.conditions.iter().find(|condition| !condition.test.is_understood())?;
        let Test::Opaque { text, .. } = &test.test else { return None };
        // Where a question is not understood, both answers are tried: that is enough as long as nothing differs.
        form.own.then(|| report(&format!("`{text}` is not understood")).at(rule.place, ""))
    });
    let effects = form.dump.rules().filter_map(move |(_, rule)| {
        let effect = rule.effects.iter().find_map(|effect| match effect {
            Effect::Other(text) => Some(text),
            Effect::Notrack | Effect::Mark(_) | Effect::Harmless(_) => None,
        })?;
        Some(report(&format!("`{effect}` changes packets or their flows, and is not followed")).at(rule.place, ""))
    });
    unread.chain(opaque).chain(effects)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::check_text;
    use crate::diagnostic::finding::proof_too_large;
    use crate::dump::{Verdict, of_ruleset};
    use crate::proof::bdd::Engine;
    use crate::proof::claim::{self, Paths};
    use crate::proof::{Survey, space::Space};

    const SPEC: &str = "policy: {input: drop, output: drop}\nservices:\n  web: {listen: \"203.0.113.5:80\", stateless: true}\n  \
        ssh: {listen: \"*:22\"}\nclients:\n  dns: {to: \"9.9.9.9:53\", stateless: true}\n";

    fn compiled() -> Compiled {
        check_text("spec.yaml", SPEC, std::path::Path::new("")).compiled.expect("a sound spec")
    }

    /// The codes that a change of the rules brings about, and what the first says.
    fn codes(change: impl Fn(&mut Dump)) -> (Vec<&'static str>, Diagnostic) {
        let compiled = compiled();
        let mut rules = of_ruleset(compiled.ruleset(), compiled.whole);
        change(&mut rules);
        let space = claim::space(Some(&compiled.policy), [&rules]).unwrap();
        let paths = Paths::of(&space, &rules).unwrap();
        let failures = claim::rules(&space, &compiled.policy, &rules, &paths).unwrap();
        let found: Vec<Diagnostic> =
            failures.iter().filter_map(|failure| of_rules(&space, &compiled, &rules, failure).unwrap()).collect();
        (found.iter().map(|found| found.finding.code).collect(), found[0].clone())
    }

    /// Takes the rules out that match.
    fn without(dump: &mut Dump, is: impl Fn(&crate::dump::Rule) -> bool) {
        dump.chains.iter_mut().for_each(|chain| chain.rules.retain(|rule| !is(rule)));
    }

    #[test]
    fn a_leg_that_is_missing_is_fwc611_and_fwc612() {
        let leg = |rule: &crate::dump::Rule, name: &str| {
            rule.effects == [Effect::Notrack] && rule.comment.as_deref() == Some(name)
        };
        let (found, first) = codes(|dump| without(dump, |rule| leg(rule, "the reply leg of services.web")));
        assert_eq!(found.get(..2), Some(["FWC611", "FWC612"].as_slice()));
        assert!(first.message.contains("203.0.113.5:80") && !first.labels.is_empty(), "{first:?}");
    }

    #[test]
    fn an_accept_that_is_missing_is_fwc613() {
        let (found, first) = codes(|dump| {
            without(dump, |rule| {
                rule.verdict == Verdict::Accept && rule.comment.as_deref() == Some("the request leg of services.ssh")
            });
        });
        assert_eq!(found, ["FWC613"]);
        assert!(first.message.contains(":22 syn") && first.message.contains("dropped by the rules"), "{first:?}");
    }

    #[test]
    fn a_guard_that_is_missing_is_fwc613() {
        let (found, first) = codes(|dump| {
            for rule in dump.chains.iter_mut().flat_map(|chain| &mut chain.rules) {
                rule.conditions.retain(|condition| !matches!(condition.test, Test::TcpFlags { .. }));
            }
        });
        assert!(found.iter().all(|code| *code == "FWC613") && found.len() >= 2, "{found:?}");
        assert!(first.message.contains(":53 >") && first.message.contains("syn"), "{first:?}");
    }

    #[test]
    fn a_form_that_differs_is_fwc614() {
        let compiled = compiled();
        let rules = of_ruleset(compiled.ruleset(), compiled.whole);
        let mut dump = rules.clone();
        without(&mut dump, |rule| rule.comment.as_deref() == Some("DHCP"));
        let space = claim::space(Some(&compiled.policy), [&rules]).unwrap();
        let (one, other) = (Paths::of(&space, &rules).unwrap(), Paths::of(&space, &dump).unwrap());
        let form = Form { name: "the nft text".to_string(), dump, own: true };
        let failures = claim::same(&space, &one, &other, &form.dump.families).unwrap();
        let found = of_form(&space, &compiled, &rules, &form, &failures[0]).unwrap().unwrap();
        assert_eq!(found.finding.code, "FWC614");
        assert!(found.message.contains("dropped by the nft text, and accepted by the rules"), "{}", found.message);
    }

    #[test]
    fn a_proof_without_memory_is_fwc616() {
        let compiled = compiled();
        let rules = of_ruleset(compiled.ruleset(), compiled.whole);
        let mut survey = Survey::default();
        survey.dump(&rules);
        survey.policy(&compiled.policy);
        let proof = Space::with(Engine::within(64), &survey).and_then(|space| Paths::of(&space, &rules).map(drop));
        assert_eq!(proof, Err(TooLarge));
        assert_eq!(proof_too_large::report(compiled.whole).finding.code, "FWC616");
    }
}
