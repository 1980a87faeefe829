//! Entries whose endpoints overlap must agree about tracking.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::title;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::tracking_clash::{Side, report};
use crate::net::Protocol;
use crate::policy::model::{Entry, Policy, Role, Server, Transport};
use crate::policy::sets::Addresses;
use crate::spec::Tracking;

/// More pairs than anybody reads: a wildcard against thousands of services is one mistake.
const MOST: usize = 100;

pub(super) fn check(policy: &Policy) -> Vec<Diagnostic> {
    let any = |tracking| policy.entries.iter().any(|entry| entry.tracking == tracking);
    if !any(Tracking::Tracked) || !any(Tracking::Untracked) {
        return Vec::new();
    }
    let index = Index::of(policy);
    let mut found = Vec::new();
    for entry in policy.entries.iter().filter(|entry| entry.tracking == Tracking::Tracked) {
        for server in &entry.servers {
            for &(other, theirs) in &index.candidates(server) {
                if found.len() >= MOST {
                    return found;
                }
                if let Some(common) = overlap(policy, (entry, server), (other, theirs)) {
                    let (mine, other_title) = (title(entry), title(other));
                    let stateless = Side { entry: &other_title, place: theirs.place };
                    let tracked = Side { entry: &mine, place: server.place };
                    found.push(report(&stateless, &tracked, &common));
                }
            }
        }
    }
    found
}

type Item<'a> = (&'a Entry, &'a Server);

/// The stateless endpoints, by what a tracked one could share with them, so that 100,000 entries are not held against each other.
#[derive(Default)]
struct Index<'a> {
    /// Single hosts.
    hosts: HashMap<(Protocol, IpAddr), Vec<Item<'a>>>,
    /// All endpoints with one port, by that port; portless ones under 0.
    by_port: HashMap<Protocol, BTreeMap<u16, Vec<Item<'a>>>>,
    /// Endpoints with one port that are not single hosts.
    wide_by_port: HashMap<Protocol, BTreeMap<u16, Vec<Item<'a>>>>,
    /// Endpoints with several ports that are not single hosts, and all endpoints with several ports.
    many_ports: HashMap<Protocol, (Vec<Item<'a>>, Vec<Item<'a>>)>,
}

/// The port of an endpoint that has one; 0 where the protocol has none.
fn single_port(server: &Server) -> Option<u16> {
    match &server.transport {
        Transport::Ports(_, ports) => ports.as_single(),
        Transport::Plain(_) => Some(0),
    }
}

fn host(server: &Server) -> Option<IpAddr> {
    match server.addresses {
        Addresses::Range(range) => range.as_host(),
        _ => None,
    }
}

impl<'a> Index<'a> {
    fn of(policy: &'a Policy) -> Self {
        let mut index = Index::default();
        for entry in policy.entries.iter().filter(|entry| entry.tracking == Tracking::Untracked) {
            for server in &entry.servers {
                index.add((entry, server));
            }
        }
        index
    }

    fn add(&mut self, item: Item<'a>) {
        let protocol = item.1.transport.protocol();
        let address = host(item.1);
        if let Some(address) = address {
            self.hosts.entry((protocol, address)).or_default().push(item);
        }
        match single_port(item.1) {
            Some(port) => {
                self.by_port.entry(protocol).or_default().entry(port).or_default().push(item);
                if address.is_none() {
                    self.wide_by_port.entry(protocol).or_default().entry(port).or_default().push(item);
                }
            }
            None => {
                let lists = self.many_ports.entry(protocol).or_default();
                lists.1.push(item);
                if address.is_none() {
                    lists.0.push(item);
                }
            }
        }
    }

    /// Every stateless endpoint that could overlap with `server`: a superset.
    fn candidates(&self, server: &Server) -> Vec<Item<'a>> {
        let protocol = server.transport.protocol();
        let mut found = Vec::new();
        let address = host(server);
        let (ports, many) = match address {
            Some(address) => {
                found.extend(self.hosts.get(&(protocol, address)).into_iter().flatten());
                (self.wide_by_port.get(&protocol), self.many_ports.get(&protocol).map(|lists| &lists.0))
            }
            None => (self.by_port.get(&protocol), self.many_ports.get(&protocol).map(|lists| &lists.1)),
        };
        found.extend(many.into_iter().flatten());
        let ranges: &[(u16, u16)] = match &server.transport {
            Transport::Ports(_, ports) => ports.ranges(),
            Transport::Plain(_) => &[(0, 0)],
        };
        for &(first, last) in ranges {
            found.extend(ports.into_iter().flat_map(|ports| ports.range(first..=last)).flat_map(|(_, items)| items));
        }
        found
    }
}

/// What both endpoints are about, in words, if anything.
fn overlap(policy: &Policy, a: Item<'_>, b: Item<'_>) -> Option<String> {
    if !a.1.transport.overlaps(&b.1.transport) || !addresses_overlap(policy, a, b) {
        return None;
    }
    let protocol = a.1.transport.protocol();
    Some(match (&a.1.transport, &b.1.transport) {
        (Transport::Ports(_, mine), Transport::Ports(_, theirs)) => match mine.common(theirs)? {
            (first, last) if first == last => format!("{protocol} port {first}"),
            (first, last) => format!("{protocol} ports {first}-{last}"),
        },
        _ => format!("protocol {protocol}"),
    })
}

/// A service's `*`, prefix or set stands for addresses of this host, so it never meets the server of a client or a forward, which is elsewhere.
/// Only an address that is spelled out on both sides does.
fn addresses_overlap(policy: &Policy, a: Item<'_>, b: Item<'_>) -> bool {
    let local = |item: Item<'_>| matches!(item.0.role, Role::Service { .. });
    if local(a) == local(b) {
        return policy.sets.overlap(a.1.addresses, b.1.addresses);
    }
    host(a.1).is_some() && host(a.1) == host(b.1)
}
