//! What was written: the YAML's shape one to one, every leaf with its place.
//!
//! Names are still names and sets are still `$set`; what they mean is decided in [`crate::policy`]. A leaf that could not
//! be read is absent here (its diagnostic has been raised), so that later passes can go on and find more.

use crate::few::Few;
use crate::net::{
    AddrRange, AddressPattern, AddressRanges, Endpoint, Interface, Name, PacketText, PortSet, Protocol, Seconds,
};
use crate::source::{Place, Placed};

/// A whole spec, version 1, read from one file or from all files of a directory.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// Places of the spec's files as a whole, for what no single token says. Never empty after a successful read.
    pub files: Vec<Place>,
    /// `policy`.
    pub policy: Defaults,
    /// `sets`, in the order written.
    pub sets: Vec<Entry<SetSpec>>,
    /// `block`.
    pub block: Option<Placed<Vec<Placed<AddressPattern>>>>,
    /// `services`.
    pub services: Vec<Entry<Service>>,
    /// `clients`.
    pub clients: Vec<Entry<Client>>,
    /// `forward`.
    pub forward: Vec<Entry<Forward>>,
    /// `nat`.
    pub nat: Vec<Placed<Nat>>,
    /// `nat_conflict`.
    pub nat_conflict: Option<Placed<NatConflict>>,
    /// `conntrack`.
    pub conntrack: Option<Placed<Conntrack>>,
    /// `icmp.ping`.
    pub ping: Option<Placed<bool>>,
    /// `tests`.
    pub tests: Vec<Placed<Test>>,
}

/// A named item of a section. `name.place` is the key's token.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    /// The key.
    pub name: Placed<Name>,
    /// Its value.
    pub value: T,
}

/// What happens to a packet that no entry accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Let it pass.
    Accept,
    /// Drop it without an answer.
    Drop,
}

/// `policy`. Absent keys have the defaults of the contract: input drop, output accept, forward untouched.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// `policy.input`.
    pub input: Option<Placed<Fate>>,
    /// `policy.output`.
    pub output: Option<Placed<Fate>>,
    /// `policy.forward`; absent means that the forward hook is not touched.
    pub forward: Option<Placed<Fate>>,
}

/// A set's content.
#[derive(Debug, Clone)]
pub enum SetSpec {
    /// Addresses in the spec. `$set` items stand for the named set's content.
    Inline(Vec<Placed<AddressPattern>>),
    /// Addresses from a file, already read.
    File {
        /// The `file` value as written.
        path: Placed<String>,
        /// Its ranges, those of each family in the file's order.
        ranges: AddressRanges,
    },
}

/// A service that this host offers.
#[derive(Debug, Clone)]
pub struct Service {
    /// `listen`.
    pub listen: Few<Placed<Endpoint>>,
    /// `protocol`; empty means tcp.
    pub protocols: Few<Placed<Protocol>>,
    /// `stateless`.
    pub stateless: Option<Placed<bool>>,
    /// `from`; `None` is anyone.
    pub from: Option<Placed<Vec<Placed<AddressPattern>>>>,
    /// `interface`; empty is any.
    pub interfaces: Vec<Placed<Interface>>,
}

/// A service elsewhere that this host uses.
#[derive(Debug, Clone)]
pub struct Client {
    /// `to`.
    pub to: Few<Placed<Endpoint>>,
    /// `protocol`; empty means tcp.
    pub protocols: Few<Placed<Protocol>>,
    /// `stateless`.
    pub stateless: Option<Placed<bool>>,
    /// `local_ports`.
    pub local_ports: Option<Placed<PortSet>>,
}

/// A service that is routed through this host.
#[derive(Debug, Clone)]
pub struct Forward {
    /// `to`.
    pub to: Few<Placed<Endpoint>>,
    /// `protocol`; empty means tcp.
    pub protocols: Few<Placed<Protocol>>,
    /// `stateless`.
    pub stateless: Option<Placed<bool>>,
    /// `from`; `None` is anyone.
    pub from: Option<Placed<Vec<Placed<AddressPattern>>>>,
}

/// An item of `nat`.
#[derive(Debug, Clone)]
pub enum Nat {
    /// `masquerade`: the outgoing interface's address becomes the source.
    Masquerade {
        /// `out`.
        out: Placed<Interface>,
        /// `from`; `None` is any source.
        from: Option<Placed<Vec<Placed<AddressPattern>>>>,
    },
    /// `snat`: a fixed source address.
    Snat {
        /// `out`.
        out: Placed<Interface>,
        /// `from`; `None` is any source.
        from: Option<Placed<Vec<Placed<AddressPattern>>>>,
        /// `to`: one address.
        to: Placed<AddrRange>,
    },
    /// `dnat`: another destination.
    Dnat {
        /// `listen`.
        listen: Few<Placed<Endpoint>>,
        /// `protocol`; empty means tcp.
        protocols: Few<Placed<Protocol>>,
        /// `to`: one address and at most one port.
        to: Placed<Endpoint>,
    },
    /// `redirect`: a port of this host.
    Redirect {
        /// `listen`.
        listen: Few<Placed<Endpoint>>,
        /// `protocol`; empty means tcp.
        protocols: Few<Placed<Protocol>>,
        /// `to`: one port.
        to: Placed<PortSet>,
    },
}

/// `nat_conflict`: what NAT rules a spec with stateless entries lives with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NatConflict {
    /// The default: none.
    Any,
    /// `overlap`: those that provably touch no stateless flow.
    Overlap,
}

/// `conntrack`.
#[derive(Debug, Clone)]
pub enum Conntrack {
    /// The word `disabled`: a promise that nothing needs tracking.
    Disabled,
    /// The table's size and timeouts.
    Sized {
        /// `max`: entries.
        max: Option<Placed<u32>>,
        /// `buckets`: hash buckets.
        buckets: Option<Placed<u32>>,
        /// `timeouts`, by the sysctl's name without `nf_conntrack_` and `_timeout` (`tcp_established`).
        timeouts: Vec<Placed<(Timeout, Seconds)>>,
    },
}

/// A conntrack timeout that the kernel has: its key in a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeout(pub &'static str);

impl Timeout {
    /// Every timeout that Linux 5.10 to 6.18 has, by the spec's key.
    pub const ALL: [&'static str; 32] = [
        "generic",
        "icmp",
        "icmpv6",
        "udp",
        "udp_stream",
        "gre",
        "gre_stream",
        "tcp_syn_sent",
        "tcp_syn_recv",
        "tcp_established",
        "tcp_fin_wait",
        "tcp_close_wait",
        "tcp_last_ack",
        "tcp_time_wait",
        "tcp_close",
        "tcp_max_retrans",
        "tcp_unacknowledged",
        "sctp_closed",
        "sctp_cookie_wait",
        "sctp_cookie_echoed",
        "sctp_established",
        "sctp_shutdown_sent",
        "sctp_shutdown_recd",
        "sctp_shutdown_ack_sent",
        "sctp_heartbeat_sent",
        "dccp_request",
        "dccp_respond",
        "dccp_partopen",
        "dccp_open",
        "dccp_closereq",
        "dccp_closing",
        "dccp_timewait",
    ];

    /// The name of its sysctl under `net.netfilter`: `nf_conntrack_tcp_timeout_established` for `tcp_established`.
    #[must_use]
    pub fn sysctl(self) -> String {
        match self.0.split_once('_') {
            Some((protocol, rest)) => format!("nf_conntrack_{protocol}_timeout_{rest}"),
            None => format!("nf_conntrack_{}_timeout", self.0),
        }
    }

    /// The timeout of this key.
    #[must_use]
    pub fn named(key: &str) -> Option<Timeout> {
        Self::ALL.iter().find(|&&known| known == key).map(|&known| Timeout(known))
    }
}

/// An assertion of `tests`.
#[derive(Debug, Clone)]
pub struct Test {
    /// `packet`.
    pub packet: Placed<PacketText>,
    /// `direction`.
    pub direction: Direction,
    /// `interface`: where it comes in, or for `out` where it leaves.
    pub interface: Option<Placed<Interface>>,
    /// `state`: what conntrack would say if it looked.
    pub state: State,
    /// `expect`.
    pub expect: Option<Placed<Fate>>,
    /// `tracking`.
    pub tracking: Option<Placed<Tracking>>,
    /// `reply: true`: the mirrored packet is asserted as well.
    pub reply: Option<Placed<bool>>,
}

/// Which way a test's packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// To this host.
    #[default]
    In,
    /// From this host.
    Out,
    /// Through this host.
    Forward,
}

/// What conntrack says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum State {
    /// First packet of a connection.
    #[default]
    New,
    /// Part of a known connection.
    Established,
    /// Belongs to a known connection (an ICMP error, a helper's data connection).
    Related,
    /// Fits no connection.
    Invalid,
}

/// Whether conntrack follows a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tracking {
    /// It does.
    Tracked,
    /// NOTRACK in both directions.
    Untracked,
}
