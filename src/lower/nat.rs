//! The nat chains.

use super::rule;
use crate::net::{Family, Interface};
use crate::policy::{Addresses, Policy, Server, Translation, TranslationKind, Transport};
use crate::ruleset::{Action, Locality, Match, Origin, Payload, Rule};

/// Destination NAT of what comes in.
pub(super) fn prerouting(policy: &Policy, rules: &mut impl Extend<Rule>) {
    rules.extend(numbered(policy).flat_map(|(number, item)| {
        let (listen, action, family) = match &item.kind {
            TranslationKind::Dnat { listen, to, port } => {
                (listen.as_slice(), Action::Dnat(*to, *port), Some(Family::of(*to)))
            }
            TranslationKind::Redirect { listen, port } => (listen.as_slice(), Action::Redirect(*port), None),
            TranslationKind::Masquerade { .. } | TranslationKind::Snat { .. } => (&[][..], Action::Accept, None),
        };
        listen.iter().map(move |server| {
            let matching = Match { family, ..listening(server) };
            rule(matching, action, Origin::Nat(number, item.place))
        })
    }));
}

/// `*`, prefixes and sets mean addresses of this host.
fn listening(server: &Server) -> Match {
    let host = matches!(server.addresses, Addresses::Range(range) if range.as_host().is_some());
    let payload = match &server.transport {
        Transport::Plain(protocol) => Payload::Protocol(*protocol),
        Transport::Ports(protocol, ports) => {
            Payload::Ports { protocol: *protocol, source: None, destination: Some(ports.clone()), guarded: false }
        }
    };
    let locality = if host { Locality::Anywhere } else { Locality::Local };
    Match { destination: server.addresses, locality, payload, ..Match::default() }
}

/// Source NAT of what leaves.
pub(super) fn postrouting(policy: &Policy, rules: &mut impl Extend<Rule>) {
    rules.extend(numbered(policy).filter_map(|(number, item)| {
        let (out, from, action, family) = match &item.kind {
            TranslationKind::Masquerade { out, from } => (out, *from, Action::Masquerade, None),
            TranslationKind::Snat { out, from, to } => (out, *from, Action::Snat(*to), Some(Family::of(*to))),
            TranslationKind::Dnat { .. } | TranslationKind::Redirect { .. } => return None,
        };
        Some(rule(leaving(out, from, family), action, Origin::Nat(number, item.place)))
    }));
}

fn leaving(out: &Interface, from: Addresses, family: Option<Family>) -> Match {
    Match { interfaces: std::iter::once(out.clone()).collect(), source: from, family, ..Match::default() }
}

fn numbered(policy: &Policy) -> impl Iterator<Item = (u32, &Translation)> {
    (0..).zip(&policy.nat)
}
