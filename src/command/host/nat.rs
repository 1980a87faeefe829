//! FWC302: NAT rules on the live host.

use serde::Serialize;

use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::live_nat;
use crate::dump::live::Live;
use crate::dump::nat::{NatRule, rules};
use crate::kernel::host;
use crate::policy::footprint::{led_into, touched, why};
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
pub(crate) fn check(compiled: &Compiled, live: &Live) -> (Vec<Diagnostic>, Vec<Verdict>) {
    let policy = &compiled.policy;
    let Some(first) = policy.entries.iter().find(|entry| entry.tracking == Tracking::Untracked) else {
        return (Vec::new(), Vec::new());
    };
    let advice = table_advice(host::conntrack().map(|table| table.max));
    let (mut found, mut verdicts) = (Vec::new(), Vec::new());
    for rule in rules(live) {
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
    let footprint = rule.footprint();
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
