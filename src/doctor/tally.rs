//! Counting entries while they are read, in memory that does not grow with the table.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use super::group::ADDRESSES;
use super::{Group, Service, State, Who};
use crate::kernel::conntrack::Flow;

/// Counts the entries of a table. What it keeps is bounded by the ports and services that there are, not by the entries.
#[derive(Debug, Clone)]
pub struct Tally {
    services: Vec<Service>,
    /// Where services listen, by protocol and port.
    listening: HashMap<(u8, u16), Vec<(IpAddr, usize)>>,
    local: HashSet<IpAddr>,
    local_ports: (u16, u16),
    entries: u64,
    groups: HashMap<Who, Count>,
}

#[derive(Debug, Clone)]
struct Count {
    states: [u64; State::COUNT],
    servers: Option<BTreeMap<IpAddr, u64>>,
    local_ports: (u16, u16),
}

/// Who fills a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// What listens on this host.
    pub services: Vec<Service>,
    /// All entries that were read.
    pub entries: u64,
    /// The largest first.
    pub groups: Vec<Group>,
    /// The most frequent first; those that occur.
    pub states: Vec<(State, u64)>,
}

impl Tally {
    /// For a host with these services and addresses, which takes these ports for its own connections.
    #[must_use]
    pub fn new(services: Vec<Service>, local: HashSet<IpAddr>, local_ports: (u16, u16)) -> Self {
        let mut listening: HashMap<_, Vec<_>> = HashMap::new();
        for (index, service) in services.iter().enumerate() {
            let at = listening.entry((service.protocol.number(), service.port)).or_default();
            at.extend(service.addresses.iter().map(|&address| (address, index)));
        }
        Tally { services, listening, local, local_ports, entries: 0, groups: HashMap::new() }
    }

    /// Counts an entry.
    pub fn add(&mut self, flow: &Flow) {
        let who = self.who(flow);
        let count = self.groups.entry(who).or_insert_with(|| Count {
            states: [0; State::COUNT],
            servers: Some(BTreeMap::new()),
            local_ports: (u16::MAX, 0),
        });
        self.entries += 1;
        if let Some(states) = count.states.get_mut(State::of(flow).index()) {
            *states += 1;
        }
        let server = match who {
            // conntrack may have seen an old connection of a service begin with an answer.
            Who::Service(_) if !self.local.contains(&flow.destination) => flow.source,
            Who::Service(_) => flow.destination,
            Who::Outgoing(..) => {
                let port = flow.ports.map_or(0, |ports| ports.0);
                count.local_ports = (count.local_ports.0.min(port), count.local_ports.1.max(port));
                flow.destination
            }
            _ => return,
        };
        if let Some(servers) = &mut count.servers {
            *servers.entry(server).or_default() += 1;
            if servers.len() > ADDRESSES {
                count.servers = None;
            }
        }
    }

    fn who(&self, flow: &Flow) -> Who {
        if flow.translated {
            return Who::Translated;
        }
        let is_local = |address: IpAddr| address.is_loopback() || self.local.contains(&address);
        let (from, to) = flow.ports.unwrap_or_default();
        match (is_local(flow.source), is_local(flow.destination)) {
            (true, true) => Who::Loopback,
            (false, true) => match self.listener(flow.protocol, flow.destination, to) {
                Some(service) => Who::Service(service),
                None => Who::Unserved(flow.protocol),
            },
            (true, false) => match self.answering(flow.protocol, flow.source, from) {
                Some(service) => Who::Service(service),
                None => Who::Outgoing(flow.protocol, to),
            },
            (false, false) if is_for_many(flow.destination) => Who::Unserved(flow.protocol),
            (false, false) => Who::Forwarded(flow.protocol, to),
        }
    }

    /// The service whose answer began a flow in the eyes of conntrack. A UDP socket with a port that the kernel chose looks like a service, but
    /// what it sends is mostly a question.
    fn answering(&self, protocol: u8, address: IpAddr, port: u16) -> Option<usize> {
        let chosen = protocol == 17 && (self.local_ports.0..=self.local_ports.1).contains(&port);
        self.listener(protocol, address, port).filter(|_| !chosen)
    }

    /// The service that has the port on this address: the one that names it, before one on all addresses of its family, before one on all.
    fn listener(&self, protocol: u8, address: IpAddr, port: u16) -> Option<usize> {
        let at = self.listening.get(&(protocol, port))?;
        let find = |wanted: &dyn Fn(IpAddr) -> bool| at.iter().find(|(at, _)| wanted(*at)).map(|&(_, index)| index);
        find(&|at| at == address)
            .or_else(|| find(&|at| at.is_unspecified() && at.is_ipv4() == address.is_ipv4()))
            .or_else(|| find(&|at| at.is_unspecified() && at.is_ipv6()))
    }

    /// What was counted.
    #[must_use]
    pub fn finish(self) -> Usage {
        let counted = |states: &[u64; State::COUNT]| {
            let mut found: Vec<(State, u64)> =
                State::all().zip(states.iter().copied()).filter(|&(_, count)| count > 0).collect();
            found.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
            found
        };
        let mut all = [0; State::COUNT];
        let mut groups = Vec::new();
        for (who, count) in self.groups {
            all.iter_mut().zip(count.states).for_each(|(sum, count)| *sum += count);
            let (entries, states) = (count.states.iter().sum(), counted(&count.states));
            let servers = count.servers.filter(|servers| !servers.is_empty());
            groups.push(Group { who, entries, states, servers, local_ports: count.local_ports });
        }
        groups.sort_by_key(|group| (std::cmp::Reverse(group.entries), group.who));
        Usage { services: self.services, entries: self.entries, groups, states: counted(&all) }
    }
}

/// Multicast and broadcast.
fn is_for_many(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::from(Ipv4Addr::BROADCAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Protocol;

    fn service(protocol: Protocol, port: u16, addresses: &[&str]) -> Service {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Service { protocol, port, addresses, process: None }
    }

    fn flow(protocol: u8, from: (&str, u16), to: (&str, u16)) -> Flow {
        Flow {
            source: from.0.parse().unwrap(),
            destination: to.0.parse().unwrap(),
            protocol,
            ports: Some((from.1, to.1)),
            state: None,
            replied: true,
            translated: false,
        }
    }

    fn tally() -> Tally {
        let services = vec![
            service(Protocol::TCP, 80, &["::"]),
            service(Protocol::TCP, 80, &["203.0.113.6"]),
            service(Protocol::UDP, 53, &["0.0.0.0"]),
            service(Protocol::UDP, 51_820, &["0.0.0.0"]),
        ];
        Tally::new(
            services,
            ["203.0.113.5", "203.0.113.6", "2001:db8::5"].map(|ip| ip.parse().unwrap()).into(),
            (32768, 60999),
        )
    }

    #[test]
    fn each_entry_is_somebodys() {
        let (peer, web, other) = (("198.51.100.7", 40_000), ("203.0.113.5", 80), ("192.0.2.1", 443));
        for (from, to, protocol, who) in [
            (peer, web, 6, Who::Service(0)),
            (("2001:db8::7", 4), ("2001:db8::5", 80), 6, Who::Service(0)),
            (peer, ("203.0.113.6", 80), 6, Who::Service(1)),
            (web, peer, 6, Who::Service(0)),
            (peer, ("203.0.113.5", 53), 17, Who::Service(2)),
            (("2001:db8::7", 4), ("2001:db8::5", 53), 17, Who::Unserved(17)),
            (peer, web, 17, Who::Unserved(17)),
            (("203.0.113.5", 40_000), other, 6, Who::Outgoing(6, 443)),
            (("203.0.113.5", 53), peer, 17, Who::Service(2)),
            (peer, ("203.0.113.5", 51_820), 17, Who::Service(3)),
            (("203.0.113.5", 51_820), ("192.0.2.1", 53), 17, Who::Outgoing(17, 53)),
            (peer, other, 6, Who::Forwarded(6, 443)),
            (peer, ("224.0.0.251", 5353), 17, Who::Unserved(17)),
            (("203.0.113.5", 1), web, 6, Who::Loopback),
            (("127.0.0.1", 1), ("127.0.0.1", 80), 6, Who::Loopback),
        ] {
            assert_eq!(tally().who(&flow(protocol, from, to)), who, "{from:?} {to:?}");
        }
        let translated = Flow { translated: true, ..flow(6, peer, web) };
        assert_eq!(tally().who(&translated), Who::Translated);
    }

    #[test]
    fn groups_and_states_come_largest_first() {
        let mut tally = tally();
        for port in 0..20 {
            tally.add(&flow(17, ("198.51.100.7", port), ("203.0.113.5", 53)));
            tally.add(&Flow { replied: false, ..flow(17, ("203.0.113.5", 40_000 + port), ("9.9.9.9", 53)) });
        }
        for host in 1..=9 {
            tally.add(&flow(6, ("203.0.113.5", 50_000), (&format!("192.0.2.{host}"), 443)));
        }
        let usage = tally.finish();
        assert_eq!(usage.entries, 49);
        let told: Vec<_> = usage.groups.iter().map(|group| (group.who, group.entries)).collect();
        assert_eq!(told, [(Who::Service(2), 20), (Who::Outgoing(17, 53), 20), (Who::Outgoing(6, 443), 9)]);
        assert_eq!(usage.groups[1].local_ports, (40_000, 40_019));
        assert_eq!(usage.groups[1].servers.as_ref().unwrap().len(), 1);
        assert_eq!(usage.groups[2].servers, None, "too many to be told");
        let states: Vec<_> = usage.states.iter().map(|(state, count)| (state.name(), *count)).collect();
        assert_eq!(states, [("udp replied", 20), ("udp unreplied", 20), ("tcp none", 9)]);
    }
}
