//! What the rulesets of a proof ask for: the ends of all ranges and the names of all interfaces.

use crate::dump::{Condition, Dump, InterfacePattern, Selector, Test, Value};
use crate::net::{AddrRange, AddressSet, Family, PacketHeader, RangeSet};
use crate::packet::Packet;
use crate::policy::{Addresses, Policy, Role, TranslationKind, Transport};

/// fe80::/10.
pub(super) const LINK_LOCAL: (u128, u128) =
    (0xfe80_0000_0000_0000_0000_0000_0000_0000, 0xfebf_ffff_ffff_ffff_ffff_ffff_ffff_ffff);

/// See the module.
#[derive(Debug, Default)]
pub struct Survey {
    /// Ranges of IPv4 addresses.
    pub v4: Vec<(u128, u128)>,
    /// Ranges of IPv6 addresses.
    pub v6: Vec<(u128, u128)>,
    /// Ranges of ports.
    pub ports: Vec<(u128, u128)>,
    /// Interfaces.
    pub interfaces: Vec<InterfacePattern>,
}

impl Survey {
    /// Takes a ruleset in.
    pub fn dump(&mut self, dump: &Dump) {
        // Many tests share one set: it is enough to see it once.
        let mut seen = std::collections::HashSet::new();
        for (_, rule) in dump.rules() {
            rule.conditions.iter().for_each(|condition| self.condition(condition, &mut seen));
        }
    }

    fn condition(&mut self, condition: &Condition, seen: &mut std::collections::HashSet<usize>) {
        match &condition.test {
            Test::Address(_, set) | Test::OriginalDestination(set) => {
                if seen.insert(std::sync::Arc::as_ptr(set) as usize) {
                    self.addresses(set);
                }
            }
            Test::Port(_, ports) | Test::OriginalPort(ports) => self.ports(ports),
            Test::Interface(_, patterns) => self.interfaces.extend(patterns.iter().cloned()),
            Test::Keys(selectors, keys) => {
                if seen.insert(std::sync::Arc::as_ptr(keys) as usize) {
                    keys.elements.iter().for_each(|element| self.element(selectors, element));
                }
            }
            Test::AnyOf(all) => all.iter().for_each(|condition| self.condition(condition, seen)),
            Test::Family(_)
            | Test::Local(_)
            | Test::Protocol(_)
            | Test::Icmp(..)
            | Test::TcpFlags { .. }
            | Test::Fragment(_)
            | Test::State(_)
            | Test::Translated(_)
            | Test::Never
            | Test::Opaque { .. } => {}
        }
    }

    fn element(&mut self, selectors: &[Selector], element: &[Value]) {
        for (selector, value) in selectors.iter().zip(element) {
            match (selector, value) {
                (_, Value::Interface(pattern)) => self.interfaces.push(pattern.clone()),
                (
                    Selector::Address(Family::V4, _) | Selector::OriginalDestination(Family::V4),
                    Value::Numbers(a, b),
                ) => {
                    self.v4.push((*a, *b));
                }
                (
                    Selector::Address(Family::V6, _) | Selector::OriginalDestination(Family::V6),
                    Value::Numbers(a, b),
                ) => {
                    self.v6.push((*a, *b));
                }
                (Selector::Port(_), Value::Numbers(a, b)) => self.ports.push((*a, *b)),
                (Selector::Protocol | Selector::Interface(_), Value::Numbers(..)) => {}
            }
        }
    }

    /// Takes a set of addresses in.
    pub fn addresses(&mut self, set: &AddressSet) {
        self.v4.extend(set.v4.ranges().iter().map(|&(first, last)| (first.into(), last.into())));
        self.v6.extend(set.v6.ranges().iter().copied());
    }

    /// Takes one packet in, so that it is told apart from every other.
    pub fn packet(&mut self, packet: &Packet) {
        let original = packet.translated_from;
        let addresses = [Some(packet.source), Some(packet.destination), original.map(|original| original.0)];
        for address in addresses.into_iter().flatten() {
            self.addresses(&[AddrRange::host(address)].into_iter().collect());
        }
        if let PacketHeader::Tcp(from, to, _) | PacketHeader::Ports(_, from, to) = packet.header {
            self.ports.extend([from, to].map(|port| (port.into(), port.into())));
        }
        self.ports.extend(original.and_then(|original| original.1).map(|port| (port.into(), port.into())));
        self.interfaces.extend(packet.interface.iter().map(|name| InterfacePattern::exact(name.as_str())));
    }

    fn ports(&mut self, ports: &RangeSet<u16>) {
        self.ports.extend(ports.ranges().iter().map(|&(first, last)| (first.into(), last.into())));
    }

    /// Takes in what a policy speaks of.
    pub fn policy(&mut self, policy: &Policy) {
        let mut take = |addresses: Addresses| {
            for family in Family::BOTH {
                let ranges = policy.sets.ranges(addresses, family).unwrap_or_default();
                self.addresses(&ranges.into_iter().collect());
            }
        };
        policy.block.into_iter().for_each(&mut take);
        for entry in &policy.entries {
            entry.servers.iter().for_each(|server| take(server.addresses));
            if let Role::Service { from, .. } | Role::Forward { from } = entry.role {
                take(from);
            }
        }
        for item in &policy.nat {
            match &item.kind {
                TranslationKind::Masquerade { from, .. } | TranslationKind::Snat { from, .. } => take(*from),
                TranslationKind::Dnat { listen, .. } | TranslationKind::Redirect { listen, .. } => {
                    listen.iter().for_each(|server| take(server.addresses));
                }
            }
        }
        self.policy_ports(policy);
        // Built into the rules: DHCP.
        self.ports.extend([(67, 68), (67, 67), (546, 547), (546, 546)]);
        self.v6.push(LINK_LOCAL);
    }

    fn policy_ports(&mut self, policy: &Policy) {
        let listens = policy.nat.iter().flat_map(|item| match &item.kind {
            TranslationKind::Dnat { listen, .. } | TranslationKind::Redirect { listen, .. } => listen.as_slice(),
            TranslationKind::Masquerade { .. } | TranslationKind::Snat { .. } => &[],
        });
        let servers = policy.entries.iter().flat_map(|entry| &entry.servers).chain(listens);
        for server in servers {
            if let Transport::Ports(_, ports) = &server.transport {
                self.ports.extend(ports.ranges().iter().map(|&(first, last)| (first.into(), last.into())));
            }
        }
        for entry in &policy.entries {
            match &entry.role {
                Role::Client { local_ports } => {
                    self.ports.extend(local_ports.ranges().iter().map(|&(first, last)| (first.into(), last.into())));
                }
                Role::Service { interfaces, .. } => {
                    self.interfaces.extend(interfaces.iter().map(|name| InterfacePattern::exact(name.as_str())));
                }
                Role::Forward { .. } => {}
            }
        }
        let outs = policy.nat.iter().filter_map(|item| match &item.kind {
            TranslationKind::Masquerade { out, .. } | TranslationKind::Snat { out, .. } => Some(out),
            TranslationKind::Dnat { .. } | TranslationKind::Redirect { .. } => None,
        });
        self.interfaces.extend(outs.map(|name| InterfacePattern::exact(name.as_str())));
    }
}
