//! By what entries are counted: whose they are, and how far they are.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Usage;
use crate::kernel::conntrack::{Flow, TcpState};
use crate::net::Protocol;
use crate::spec::Timeout;

/// Addresses that are told apart in a group; with more, there are just many.
pub(super) const ADDRESSES: usize = 8;

/// A port of this host on which somebody waits for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// Where it listens. The unspecified address is every address of its family; the one of IPv6 mostly covers IPv4 too.
    pub addresses: Vec<IpAddr>,
    /// The process, where it could be seen.
    pub process: Option<String>,
}

impl Service {
    /// Whether nobody outside can reach it.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.addresses.iter().all(IpAddr::is_loopback)
    }
}

/// Whose an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// A client of a service of this host: its place in [`super::Usage::services`].
    Service(usize),
    /// A connection of this host to a port elsewhere.
    Outgoing(u8, u16),
    /// A flow that is routed through this host to a port.
    Forwarded(u8, u16),
    /// A flow that NAT translates. It needs its entry.
    Translated,
    /// This host's talk with itself.
    Loopback,
    /// A packet to this host for which nobody listens, or whose protocol has no ports.
    Unserved(u8),
}

/// How far an entry is, in as few words as a picture needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State(u8);

impl State {
    /// How many there are.
    pub(super) const COUNT: usize = 16;
    const NAMES: [&'static str; Self::COUNT] = [
        "tcp none",
        "tcp syn_sent",
        "tcp syn_recv",
        "tcp established",
        "tcp fin_wait",
        "tcp close_wait",
        "tcp last_ack",
        "tcp time_wait",
        "tcp close",
        "tcp syn_sent2",
        "udp replied",
        "udp unreplied",
        "icmp replied",
        "icmp unreplied",
        "other replied",
        "other unreplied",
    ];

    /// Every state.
    pub(super) fn all() -> impl Iterator<Item = State> {
        (0..16).map(State)
    }

    /// That of a flow.
    #[must_use]
    pub fn of(flow: &Flow) -> State {
        let unreplied = u8::from(!flow.replied);
        State(match (flow.protocol, flow.state) {
            (6, state) => match state.unwrap_or(TcpState::None) {
                TcpState::None => 0,
                TcpState::SynSent => 1,
                TcpState::SynRecv => 2,
                TcpState::Established => 3,
                TcpState::FinWait => 4,
                TcpState::CloseWait => 5,
                TcpState::LastAck => 6,
                TcpState::TimeWait => 7,
                TcpState::Close => 8,
                TcpState::SynSent2 => 9,
            },
            (17, _) => 10 + unreplied,
            (1 | 58, _) => 12 + unreplied,
            _ => 14 + unreplied,
        })
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// As in `tcp time_wait`, `udp unreplied`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.get(self.index()).copied().unwrap_or("other")
    }

    /// How long the kernel keeps an entry in it, by the key of a spec.
    #[must_use]
    pub fn timeout(self) -> Option<Timeout> {
        let key = match self.0 {
            1 | 9 => "tcp_syn_sent",
            2 => "tcp_syn_recv",
            3 => "tcp_established",
            4 => "tcp_fin_wait",
            5 => "tcp_close_wait",
            6 => "tcp_last_ack",
            7 => "tcp_time_wait",
            8 => "tcp_close",
            10 => "udp_stream",
            11 => "udp",
            12 | 13 => "icmp",
            14 | 15 => "generic",
            _ => return None,
        };
        Timeout::named(key)
    }
}

impl Usage {
    /// Whose a group is, in words: `tcp 80 (nginx)`.
    #[must_use]
    pub fn title(&self, who: Who) -> String {
        let name = |number: u8| match number {
            1 => "icmp".to_string(),
            58 => "icmpv6".to_string(),
            _ => Protocol::numbered(number).map_or_else(|| number.to_string(), |protocol| protocol.to_string()),
        };
        let port = |port: u16| if port == 0 { String::new() } else { format!(" {port}") };
        match who {
            Who::Service(index) => match self.services.get(index) {
                Some(Service { protocol, port, process: Some(process), .. }) => {
                    format!("{protocol} {port} ({process})")
                }
                Some(Service { protocol, port, .. }) => format!("{protocol} {port}"),
                None => "a service".to_string(),
            },
            Who::Outgoing(protocol, to) => format!("to {}{} elsewhere", name(protocol), port(to)),
            Who::Forwarded(protocol, to) => format!("routed to {}{}", name(protocol), port(to)),
            Who::Translated => "translated by NAT".to_string(),
            Who::Loopback => "this host with itself".to_string(),
            Who::Unserved(protocol) => format!("{}, nobody listens", name(protocol)),
        }
    }
}

/// The entries of one origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Whose.
    pub who: Who,
    /// How many.
    pub entries: u64,
    /// By state.
    pub states: Vec<(State, u64)>,
    /// The servers' addresses, with how many entries each has; none if they are many. Only of services and outgoing connections.
    pub servers: Option<BTreeMap<IpAddr, u64>>,
    /// The lowest and the highest port on this host's side of outgoing connections.
    pub local_ports: (u16, u16),
}
