//! The filter table: what is accepted.
//!
//! Stateless flows first: they are the many. Every rule accepts, so their order changes no verdict.

use std::collections::HashSet;

use super::{entries, entry, host, rule};
use crate::net::Family;
use crate::policy::{Entry, EntryId, Policy, Role, Server, Translation, TranslationKind, Transport};
use crate::ruleset::{Action, Hook, Leg, Match, Origin, Payload, Rule, StateMatch};
use crate::spec::{Fate, Tracking};

/// Input: to this host.
pub(super) fn input(policy: &Policy, rules: &mut impl Extend<Rule>) {
    rules.extend(host::loopback(Action::Accept));
    let legs = |role: &Role| -> &'static [Leg] {
        match role {
            Role::Service { .. } => &[Leg::Request],
            Role::Client { .. } => &[Leg::Reply],
            Role::Forward { .. } => &[],
        }
    };
    stateless(policy, rules, legs);
    if !policy.tracks {
        // The kernel reassembles IPv4 before this hook, and IPv6 behind it (ip6_input_finish).
        later_fragments(policy, rules, &[Family::V6], legs);
    }
    rules.extend(host::icmp_errors());
    rules.extend(host::ipv6_link());
    if policy.ping {
        rules.extend(host::ping_requests());
    }
    rules.extend(host::dhcp_replies());
    if policy.tracks {
        rules.extend([established()]);
    }
    new(policy, rules, |role| matches!(role, Role::Service { .. }));
    translated(policy, rules, Hook::Input);
}

/// Output: from this host.
pub(super) fn output(policy: &Policy, rules: &mut impl Extend<Rule>) {
    rules.extend(host::loopback(Action::Accept));
    stateless(policy, rules, |role| match role {
        Role::Service { .. } => &[Leg::Reply],
        Role::Client { .. } => &[Leg::Request],
        Role::Forward { .. } => &[],
    });
    if policy.output == Fate::Drop {
        rules.extend(host::icmp_errors());
        rules.extend(host::ipv6_link());
        if policy.ping {
            rules.extend(host::ping_replies());
        }
        rules.extend(host::dhcp_requests());
        if policy.tracks {
            rules.extend([established()]);
        }
    }
    new(policy, rules, |role| matches!(role, Role::Client { .. }));
}

/// Forward: through this host.
pub(super) fn forward(policy: &Policy, rules: &mut impl Extend<Rule>) {
    let legs = |role: &Role| -> &'static [Leg] {
        match role {
            Role::Forward { .. } => &[Leg::Request, Leg::Reply],
            Role::Service { .. } | Role::Client { .. } => &[],
        }
    };
    stateless(policy, rules, legs);
    if !policy.tracks {
        later_fragments(policy, rules, &Family::BOTH, legs);
    }
    rules.extend(host::icmp_errors());
    let routed = |entry: &Entry| entry.tracking == Tracking::Tracked && matches!(entry.role, Role::Forward { .. });
    if policy.entries.iter().any(routed)
        || policy.nat.iter().any(|item| matches!(item.kind, TranslationKind::Dnat { .. }))
    {
        rules.extend([established()]);
    }
    new(policy, rules, |role| matches!(role, Role::Forward { .. }));
    translated(policy, rules, Hook::Forward);
}

fn stateless(policy: &Policy, rules: &mut impl Extend<Rule>, legs: impl Fn(&Role) -> &'static [Leg]) {
    for (id, item) in entries(policy, Tracking::Untracked) {
        for server in &item.servers {
            for &leg in legs(&item.role) {
                rules.extend([accept(id, item, server, leg, StateMatch::Any)]);
            }
        }
    }
}

fn new(policy: &Policy, rules: &mut impl Extend<Rule>, hook: impl Fn(&Role) -> bool) {
    for (id, item) in entries(policy, Tracking::Tracked).filter(|(_, item)| hook(&item.role)) {
        for server in &item.servers {
            rules.extend([accept(id, item, server, Leg::Request, StateMatch::New)]);
        }
    }
}

fn accept(id: EntryId, item: &Entry, server: &Server, leg: Leg, state: StateMatch) -> Rule {
    rule(entry::accepted(item, server, leg, state), Action::Accept, entry::origin(id, server, leg))
}

fn established() -> Rule {
    let matching = Match { state: StateMatch::EstablishedOrRelated, ..Match::default() };
    rule(matching, Action::Accept, Origin::Established)
}

/// Where nothing is tracked, nothing is reassembled before the filter: later fragments come without ports. They are accepted by address and
/// protocol; without the first fragment, which is held against the ports, they are of no use to anybody.
fn later_fragments(
    policy: &Policy,
    rules: &mut impl Extend<Rule>,
    families: &[Family],
    legs: impl Fn(&Role) -> &'static [Leg],
) {
    // Many services stand on one address.
    let mut seen: HashSet<Match> = HashSet::new();
    for (id, item) in entries(policy, Tracking::Untracked) {
        for server in &item.servers {
            let Transport::Ports(protocol, _) = server.transport else { continue };
            for (&leg, &family) in
                legs(&item.role).iter().flat_map(|leg| families.iter().map(move |family| (leg, family)))
            {
                let payload = Payload::LaterFragment(protocol);
                let matching =
                    Match { family: Some(family), payload, ..entry::accepted(item, server, leg, StateMatch::Any) };
                if seen.insert(matching.clone()) {
                    rules.extend([rule(matching, Action::Accept, entry::origin(id, server, leg))]);
                }
            }
        }
    }
}

/// A dnat or redirect admits the flows that it translates: a dnat wherever they go, a redirect to this host.
fn translated(policy: &Policy, rules: &mut impl Extend<Rule>, hook: Hook) {
    let leads_here = |item: &Translation| hook == Hook::Input || matches!(item.kind, TranslationKind::Dnat { .. });
    for (number, item) in (0..).zip(&policy.nat).filter(|(_, item)| leads_here(item)) {
        for server in destination(item).into_iter().flatten() {
            let (payload, ports) = match &server.transport {
                Transport::Plain(protocol) => (Payload::Protocol(*protocol), None),
                Transport::Ports(protocol, ports) => (Payload::Protocol(*protocol), Some(ports.clone())),
            };
            let state = StateMatch::Translated { destination: Box::new(server.addresses), ports };
            let matching = Match { payload, state, ..Match::default() };
            rules.extend([rule(matching, Action::Accept, Origin::Nat(number, item.place))]);
        }
    }
}

/// What a destination NAT listens on.
fn destination(item: &Translation) -> Option<&[Server]> {
    match &item.kind {
        TranslationKind::Dnat { listen, .. } | TranslationKind::Redirect { listen, .. } => Some(listen),
        TranslationKind::Masquerade { .. } | TranslationKind::Snat { .. } => None,
    }
}
