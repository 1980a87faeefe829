//! FWC302: NAT rules on the live host.

use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{live_nat, unseen_host};
use crate::kernel::host;
use crate::kernel::nat::{NatKind, NatRule, survey};
use crate::kernel::socket::Socket;
use crate::policy::footprint::{Footprint, NatHook, led_into, touched};
use crate::policy::{table_advice, title};
use crate::spec::{NatConflict, Tracking};

/// Holds the host's NAT rules against the stateless entries. Nothing stateless, nothing to say.
pub(crate) fn check(compiled: &Compiled, socket: &mut Socket) -> Vec<Diagnostic> {
    let policy = &compiled.policy;
    let Some(first) = policy.entries.iter().find(|entry| entry.tracking == Tracking::Untracked) else {
        return Vec::new();
    };
    let survey = survey(socket);
    let advice = table_advice(host::conntrack().map(|table| table.max));
    let mut found: Vec<Diagnostic> =
        survey.unread.iter().map(|part| unseen_host::report(&part.what, &part.why.to_string())).collect();
    for rule in &survey.rules {
        let footprint = footprint(rule);
        let entry = touched(&footprint, policy)
            .or_else(|| rule.target.as_ref().and_then(|target| led_into(policy, &footprint, target)));
        if entry.is_none() && policy.nat_conflict == NatConflict::Overlap {
            continue;
        }
        let place = entry.unwrap_or(first).place;
        let name = title(entry.unwrap_or(first));
        found.push(live_nat::report(&rule.text, entry.map(title).as_deref(), &name, place, &advice));
    }
    found
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
