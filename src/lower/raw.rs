//! The raw table: what is dropped first of all, and what is not tracked.

use super::{entries, entry, host, rule};
use crate::net::Family;
use crate::policy::{Addresses, Entry, Policy, Role, Server};
use crate::ruleset::{Action, Leg, Locality, Match, Origin, Rule};
use crate::spec::{NatConflict, Tracking};

/// Prerouting: the block list, then the legs that come in or are routed.
pub(super) fn prerouting(policy: &Policy, rules: &mut impl Extend<Rule>) {
    if let Some(block) = policy.block {
        // Public block lists contain 127.0.0.0/8 and fe80::/10: the host's talk with itself and with its neighbours stays.
        rules.extend(host::loopback(Action::Accept));
        if policy.sets.has(block, Family::V6) {
            rules.extend(host::ipv6_link());
        }
        rules.extend([rule(Match { source: block, ..Match::default() }, Action::Drop, Origin::Block)]);
    }
    for (id, item) in entries(policy, Tracking::Untracked) {
        for server in &item.servers {
            let legs: &[Leg] = match item.role {
                Role::Service { .. } => &[Leg::Request],
                Role::Client { .. } => &[Leg::Reply],
                Role::Forward { .. } => &[Leg::Request, Leg::Reply],
            };
            rules.extend(legs.iter().map(|&leg| {
                let matching = entry::by_endpoint(item, server, leg, locality(item, server));
                rule(matching, Action::Notrack, entry::origin(id, server, leg))
            }));
        }
    }
}

/// Whose destination the leg has. A host that routes sees other hosts' flows here as well: with the same ports, but never in output. To untrack
/// one of their legs would break them.
fn locality(entry: &Entry, server: &Server) -> Locality {
    match entry.role {
        Role::Service { .. } if is_host(server) => Locality::Anywhere,
        Role::Service { .. } | Role::Client { .. } => Locality::Local,
        Role::Forward { .. } => Locality::NotLocal,
    }
}

fn is_host(server: &Server) -> bool {
    matches!(server.addresses, Addresses::Range(range) if range.as_host().is_some())
}

/// Output: loopback as a whole, and the legs that this host sends.
pub(super) fn output(policy: &Policy, rules: &mut impl Extend<Rule>) {
    if policy.has_stateless() {
        match policy.nat_conflict {
            // Over lo both legs pass output, and the naive pair would match one of them only.
            NatConflict::Any => rules.extend(host::loopback(Action::Notrack)),
            NatConflict::Overlap => rules.extend(own_access(policy)),
        }
    }
    for (id, item) in entries(policy, Tracking::Untracked) {
        let leg = match item.role {
            Role::Service { .. } => Leg::Reply,
            Role::Client { .. } => Leg::Request,
            Role::Forward { .. } => continue,
        };
        for server in &item.servers {
            let matching = entry::by_endpoint(item, server, leg, Locality::Anywhere);
            rules.extend([rule(matching, Action::Notrack, entry::origin(id, server, leg))]);
        }
    }
}

/// The host's own access to its stateless services over lo. Where NAT rules are let through, the rest of loopback stays tracked: a
/// destination NAT in output may lead there.
fn own_access(policy: &Policy) -> Vec<Rule> {
    let Some(lo) = host::loopback(Action::Notrack) else { return Vec::new() };
    let services = entries(policy, Tracking::Untracked).filter(|(_, item)| matches!(item.role, Role::Service { .. }));
    services
        .flat_map(|(id, item)| item.servers.iter().map(move |server| (id, item, server)))
        .map(|(id, item, server)| {
            let leg = entry::by_endpoint(item, server, Leg::Request, Locality::Anywhere);
            let matching = Match { interfaces: lo.matching.interfaces.clone(), ..leg };
            rule(matching, Action::Notrack, entry::origin(id, server, Leg::Request))
        })
        .collect()
}
