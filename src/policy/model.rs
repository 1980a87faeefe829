//! The policy: what a spec means, with ids instead of names, valid by construction.

use std::net::IpAddr;
use std::sync::Arc;

use super::sets::{AddressSets, Addresses};
use crate::few::Few;
use crate::net::{Family, Interface, Interfaces, Name, PortSet, Protocol, Seconds};
use crate::source::{Place, Placed};
use crate::spec::{Fate, NatConflict, Test, Timeout, Tracking};

/// An entry of a policy: an index into [`Policy::entries`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u32);

/// What a spec means.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What input does with a packet that nothing accepts.
    pub input: Fate,
    /// What output does.
    pub output: Fate,
    /// What forward does; `None`: fwc does not touch the hook.
    pub forward: Option<Fate>,
    /// Every address set.
    pub sets: Arc<AddressSets>,
    /// Sources that are dropped first of all.
    pub block: Option<Addresses>,
    /// Services, clients and forwards, in this order, each in the order written.
    pub entries: Vec<Entry>,
    /// Translations. Empty where anything is stateless, unless `nat_conflict: overlap` let them through.
    pub nat: Vec<Translation>,
    /// What NAT rules, of the spec or live on the host, the spec lives with.
    pub nat_conflict: NatConflict,
    /// What `conntrack` asks for.
    pub sizing: Sizing,
    /// Whether anything needs conntrack. If not, no `ct` expression is emitted and the kernel never starts tracking.
    pub tracks: bool,
    /// Whether ping is answered.
    pub ping: bool,
    /// The spec's assertions.
    pub tests: Vec<Test>,
    /// Where the defaults were written.
    pub written: Written,
}

/// The tokens of what no entry says; `None` where it was not written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Written {
    /// The value of `policy.input`.
    pub input: Option<Place>,
    /// The value of `policy.output`.
    pub output: Option<Place>,
    /// The value of `policy.forward`.
    pub forward: Option<Place>,
    /// The key or list of `block`.
    pub block: Option<Place>,
    /// The value of `icmp.ping`.
    pub ping: Option<Place>,
}

impl Policy {
    /// The same for each `step`th entry only, and without tests: a sample of what many entries make.
    #[must_use]
    pub fn thinned(&self, step: usize) -> Policy {
        Policy {
            entries: self.entries.iter().step_by(step.max(1)).cloned().collect(),
            sets: self.sets.clone(),
            nat: self.nat.clone(),
            sizing: self.sizing.clone(),
            tests: Vec::new(),
            ..*self
        }
    }

    /// Whether any entry is stateless.
    #[must_use]
    pub fn has_stateless(&self) -> bool {
        self.entries.iter().any(|entry| entry.tracking == Tracking::Untracked)
    }
}

/// A service, client or forward.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name, unique within its section.
    pub name: Name,
    /// The key's token in the spec.
    pub place: Place,
    /// Whether conntrack follows its flows. Decided by the server's endpoint alone.
    pub tracking: Tracking,
    /// The server's endpoints, one for each address and protocol. Never empty.
    pub servers: Few<Server>,
    /// Who may talk to whom.
    pub role: Role,
}

/// The part this host plays.
#[derive(Debug, Clone)]
pub enum Role {
    /// This host is the server.
    Service {
        /// Accepted sources.
        from: Addresses,
        /// Interfaces that requests may come in on; empty is any.
        interfaces: Interfaces,
    },
    /// This host is the client.
    Client {
        /// The ports on this host's side of both legs; `None` where every protocol is without ports.
        local_ports: PortSet,
    },
    /// This host is a router between the two.
    Forward {
        /// Accepted sources.
        from: Addresses,
    },
}

impl Role {
    /// The section of the spec, as its key.
    #[must_use]
    pub fn section(&self) -> &'static str {
        match self {
            Role::Service { .. } => "services",
            Role::Client { .. } => "clients",
            Role::Forward { .. } => "forward",
        }
    }
}

/// A server's endpoint: what decides tracking.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its addresses. `Any` in a service means every address of this host, elsewhere any address.
    pub addresses: Addresses,
    /// Its protocol and ports.
    pub transport: Transport,
    /// The endpoint's token in the spec.
    pub place: Place,
}

/// Protocol and, where it has them, ports.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A protocol with ports.
    Ports(Protocol, PortSet),
    /// A protocol without.
    Plain(Protocol),
}

impl Transport {
    /// The protocol.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self {
            Transport::Ports(protocol, _) | Transport::Plain(protocol) => *protocol,
        }
    }

    /// Whether packets of both can be the same. With the ports that both have, where they have ports.
    #[must_use]
    pub fn overlaps(&self, other: &Transport) -> bool {
        match (self, other) {
            (Transport::Ports(a, mine), Transport::Ports(b, theirs)) => a == b && mine.common(theirs).is_some(),
            (a, b) => a.protocol() == b.protocol(),
        }
    }

    /// Whether a rule can match it in this family.
    #[must_use]
    pub fn exists_in(&self, family: Family) -> bool {
        self.protocol().exists_in(family)
    }
}

/// A NAT rule.
#[derive(Debug, Clone)]
pub struct Translation {
    /// The item's key token (`masquerade`, …).
    pub place: Place,
    /// What it does.
    pub kind: TranslationKind,
}

/// The kinds of NAT.
#[derive(Debug, Clone)]
pub enum TranslationKind {
    /// Source becomes the outgoing interface's address.
    Masquerade {
        /// Outgoing interface.
        out: Interface,
        /// Sources.
        from: Addresses,
    },
    /// Source becomes a fixed address.
    Snat {
        /// Outgoing interface.
        out: Interface,
        /// Sources.
        from: Addresses,
        /// New source.
        to: IpAddr,
    },
    /// Destination becomes another host.
    Dnat {
        /// What is translated.
        listen: Few<Server>,
        /// New destination.
        to: IpAddr,
        /// New port; `None` keeps it.
        port: Option<u16>,
    },
    /// Destination becomes this host.
    Redirect {
        /// What is translated.
        listen: Few<Server>,
        /// New port.
        port: u16,
    },
}

/// Table sizing. Absent values are left as the host has them.
#[derive(Debug, Clone, Default)]
pub struct Sizing {
    /// `nf_conntrack_max`, entries.
    pub max: Option<Placed<u32>>,
    /// Hash buckets.
    pub buckets: Option<Placed<u32>>,
    /// Timeouts, sorted by name.
    pub timeouts: Vec<Placed<(Timeout, Seconds)>>,
}
