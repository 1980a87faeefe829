//! FWC302: NAT rules on the live host.

use serde::Serialize;

use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{live_nat, unseen_host};
use crate::kernel::host;
use crate::kernel::nat::{NatKind, NatRule, survey};
use crate::kernel::socket::Socket;
use crate::policy::footprint::{Footprint, NatHook, led_into, touched, why};
use crate::policy::{Entry, Policy, spec_nat_let_through, table_advice, title};
use crate::spec::{NatConflict, Tracking};

/// What was found about one NAT rule.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verdict {
    /// Where it is and what it does.
    pub(crate) rule: String,
    /// The stateless entry whose flows it may touch.
    pub(crate) touches: Option<String>,
    /// Why.
    pub(crate) why: String,
}

/// Holds the host's NAT rules against the stateless entries, and gives the verdict about each of them and of the spec's own. Nothing stateless, nothing
/// to say.
pub(crate) fn check(compiled: &Compiled, socket: &mut Socket) -> (Vec<Diagnostic>, Vec<Verdict>) {
    let policy = &compiled.policy;
    let Some(first) = policy.entries.iter().find(|entry| entry.tracking == Tracking::Untracked) else {
        return (Vec::new(), Vec::new());
    };
    let survey = survey(socket);
    let advice = table_advice(host::conntrack().map(|table| table.max));
    let mut found: Vec<Diagnostic> =
        survey.unread.iter().map(|part| unseen_host::report(&part.what, &part.why.to_string())).collect();
    let mut verdicts = Vec::new();
    for rule in survey.rules {
        let (entry, why) = judge(policy, &rule);
        let touches = entry.map(title);
        if entry.is_some() || policy.nat_conflict != NatConflict::Overlap {
            let told = entry.unwrap_or(first);
            found.push(live_nat::report(&rule.text, touches.as_deref(), &title(told), &why, told.place, &advice));
        }
        verdicts.push(Verdict { rule: rule.text, touches, why });
    }
    let own = spec_nat_let_through(policy).into_iter();
    verdicts.extend(own.map(|(rule, why)| Verdict { rule: format!("`nat` of the spec: {rule}"), touches: None, why }));
    (found, verdicts)
}

/// The stateless entry that a rule may touch, and why it does or does not.
fn judge<'a>(policy: &'a Policy, rule: &NatRule) -> (Option<&'a Entry>, String) {
    let footprint = footprint(rule);
    let unclear = if rule.matching.understood {
        ""
    } else {
        "; it has a condition that fwc does not follow, which could only make it match less"
    };
    if let Some(entry) = touched(&footprint, policy) {
        let met = why::meeting(&footprint, policy, entry).unwrap_or_else(|| "it may meet the rule".to_string());
        return (Some(entry), format!("{met}{unclear}"));
    }
    if let Some(entry) = rule.target.as_ref().and_then(|target| led_into(policy, &footprint, target)) {
        return (Some(entry), format!("the rule may lead flows to its server, whose replies are not tracked{unclear}"));
    }
    let apart = why::apart(&footprint, policy);
    let leads = if rule.target.is_some() { ", and it leads to no stateless server" } else { "" };
    (None, format!("{apart}{leads}"))
}

/// What the rule could match. A condition that is not understood only makes it match less.
pub(in crate::command) fn footprint(rule: &NatRule) -> Footprint {
    let matching = &rule.matching;
    Footprint {
        hooks: hooks(rule),
        family: matching.family,
        protocols: matching.protocol.clone(),
        source: matching.source.clone(),
        destination: matching.destination.clone(),
        source_ports: matching.source_ports.clone(),
        destination_ports: matching.destination_ports.clone(),
    }
}

/// Where the rule can be met. A chain that others jump to is met wherever its kind of NAT is allowed.
fn hooks(rule: &NatRule) -> &'static [NatHook] {
    match (rule.hook, &rule.kind) {
        (Some(NatHook::Prerouting), _) => &[NatHook::Prerouting],
        (Some(NatHook::Output), _) => &[NatHook::Output],
        (Some(NatHook::Postrouting), _) | (None, NatKind::Masquerade) => &[NatHook::Postrouting],
        (Some(NatHook::Input), _) => &[NatHook::Input],
        (None, NatKind::Snat) => &[NatHook::Postrouting, NatHook::Input],
        (None, NatKind::Dnat | NatKind::Redirect) => &[NatHook::Prerouting, NatHook::Output],
        (None, NatKind::Other(_)) => NatHook::ALL,
    }
}
