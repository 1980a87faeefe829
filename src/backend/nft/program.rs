//! What fwc says to nf_tables, typed: no more than nft can write down, and nothing that it cannot list again.

use std::net::IpAddr;

use super::key_type::Field;
use super::keys::Keys;
use crate::net::{AddrRange, Family, Interface, Name, Protocol};
use crate::policy::EntryId;
use crate::ruleset::Hook;
use crate::source::Place;
use crate::spec::Fate;

/// The name of fwc's table. Its family is inet.
pub const TABLE: &str = "fwc";

/// The table's comment, the same for every spec and version: the kernel cannot change it (`nf_tables_updtable` knows flags alone), so that it must not
/// stand in the way of an update.
pub const TABLE_COMMENT: &str = "made by fwc: change the spec and apply it again";

/// The chain whose comment is the signature. It has no hook and no rules, nothing jumps to it, and it is the last chain, so that an update can
/// delete it and make it anew at the same place.
pub const SIGNATURE: &str = "signature";

/// The whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// What the table is signed with, as the comment of the chain [`SIGNATURE`]: `fwc VERSION spec:HASH rules:IDENTITY`, both in their first 32 hex
    /// digits. The identity is zeroes until [`Program::sign`].
    pub signature: String,
    /// The names of the entries, by [`EntryId`]: whose an element is, its comment says.
    pub names: Vec<Name>,
    /// Named sets, by [`SetId`].
    pub sets: Vec<Set>,
    /// Chains; one that others jump to stands before them.
    pub chains: Vec<Chain>,
}

/// How many hex digits of a hash the signature carries: a comment is limited to 128 bytes.
const DIGITS: usize = 32;
/// What stands before the identity.
const IDENTITY: &str = " rules:";

/// The signature of a table that is not signed yet.
pub(super) fn signature(version: &str, spec_hash: &str) -> String {
    let hash: String = spec_hash.chars().take(DIGITS).collect();
    format!("fwc {version} spec:{hash}{IDENTITY}{}", "0".repeat(DIGITS))
}

impl Program {
    /// The name of an entry.
    #[must_use]
    pub fn name(&self, entry: EntryId) -> &str {
        self.names.get(entry.0 as usize).map_or("", |name| name)
    }

    /// Writes into the signature what the table will be once it is loaded (in hex), so that anybody can tell later whether it still is.
    pub fn sign(&mut self, identity: &str) {
        let identity: String = identity.chars().take(DIGITS).collect();
        if let Some((start, _)) = self.signature.rsplit_once(IDENTITY) {
            self.signature = format!("{start}{IDENTITY}{identity:0<DIGITS$}");
        }
    }

    /// Whether a signature carries this identity; `None` where it carries none.
    #[must_use]
    pub fn is_signed_with(signature: &str, identity: &str) -> Option<bool> {
        let (_, signed) = signature.rsplit_once(IDENTITY)?;
        Some(!signed.is_empty() && identity.starts_with(signed))
    }
}

/// A named set of a [`Program`]: an index into [`Program::sets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId(pub usize);

/// A named set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Unique in the table.
    pub name: String,
    /// Whether keys are ranges. They never overlap: the kernel refuses it, and nothing would decide which of them counts.
    pub interval: bool,
    /// Whether each element counts packets and bytes.
    pub counted: bool,
    /// What is in it. Never empty.
    pub elements: Elements,
    /// Where in the spec it comes from, if from one place.
    pub place: Option<Place>,
}

/// Sets at least this large tell the kernel their size: it then takes a fixed table, which loads twice as fast.
const SIZED: usize = 512;

impl Set {
    /// The fields of a key.
    #[must_use]
    pub fn key(&self) -> &[Field] {
        match &self.elements {
            Elements::V4(_) => &[Field::Address(Family::V4)],
            Elements::V6(_) => &[Field::Address(Family::V6)],
            Elements::Keys(keys) => keys.fields(),
        }
    }

    /// The size to declare, in elements, with room for additions: a quarter and more. It goes in steps of a sixteenth to an eighth, so that a few elements
    /// more or less seldom make another set of it, which would have to be loaded as a whole. `None` lets the kernel grow the set as it needs.
    #[must_use]
    pub fn size(&self) -> Option<usize> {
        self.size_of(self.elements.len())
    }

    /// The same if it had so many elements.
    #[must_use]
    pub fn size_of(&self, count: usize) -> Option<usize> {
        let wanted = count + count / 4 + 64;
        (!self.interval && count >= SIZED).then(|| wanted.next_multiple_of(wanted.next_power_of_two() / 16))
    }
}

/// The elements of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elements {
    /// IPv4 addresses: first and last of each range, host byte order, sorted, apart from each other. In a set that is no interval set both
    /// are equal.
    V4(Vec<(u32, u32)>),
    /// The same for IPv6.
    V6(Vec<(u128, u128)>),
    /// Keys of several fields, or of other types.
    Keys(Keys),
}

impl Elements {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Elements::V4(ranges) => ranges.len(),
            Elements::V6(ranges) => ranges.len(),
            Elements::Keys(keys) => keys.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a set of these is the same as of others, its comments included.
    pub(super) fn is_same<'n>(&self, other: &Elements, name: impl Fn(EntryId) -> Option<&'n Name>) -> bool {
        match (self, other) {
            (Elements::Keys(ours), Elements::Keys(theirs)) => ours.is_same(theirs, name),
            _ => self == other,
        }
    }
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Hook and policy of a base chain; `None` for a chain that others jump to.
    pub base: Option<(Hook, Fate)>,
    /// In order.
    pub rules: Vec<Rule>,
}

/// A rule: its conditions are held against the packet one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// In order.
    pub conditions: Vec<Condition>,
    /// Whether the rule itself counts packets and bytes.
    pub counter: bool,
    /// What happens then.
    pub verdict: Verdict,
    /// What a person should know about it.
    pub comment: Option<String>,
    /// Where in the spec it comes from, if from one place.
    pub place: Option<Place>,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// `accept`
    Accept,
    /// `drop`
    Drop,
    /// `return`
    Return,
    /// `jump`
    Jump(String),
    /// `notrack`
    Notrack,
    /// `masquerade`
    Masquerade,
    /// `snat`
    Snat(IpAddr),
    /// `dnat`, with the port in host byte order
    Dnat(IpAddr, Option<u16>),
    /// `redirect`, port in host byte order
    Redirect(u16),
}

/// Which of a packet's interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The one it came in on.
    In,
    /// The one it goes out by.
    Out,
}

/// Which end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn opposite(self) -> Side {
        match self {
            Side::Source => Side::Destination,
            Side::Destination => Side::Source,
        }
    }
}

/// What of a packet is looked up in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Selector {
    /// `iifname`, `oifname`
    Interface(Direction),
    /// `ip saddr`, …
    Address(Family, Side),
    /// `meta l4proto`
    Protocol,
    /// `th sport`, `th dport`
    Port(Side),
    /// `ct original ip daddr`, …: the destination before a translation.
    OriginalDestination(Family),
}

impl Selector {
    /// The family that a packet must be of to have it.
    #[must_use]
    pub fn family(self) -> Option<Family> {
        match self {
            Selector::Address(family, _) => Some(family),
            Selector::Interface(_) | Selector::Protocol | Selector::Port(_) | Selector::OriginalDestination(_) => None,
        }
    }
}

/// States of a packet's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConntrackState {
    /// `new`
    New,
    /// `established,related`
    EstablishedOrRelated,
}

/// A condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `iif "lo"`, `oif "lo"`: by index, which for lo is 1 in every namespace.
    Loopback(Direction),
    /// One of these interfaces, by name.
    Interfaces(Direction, Vec<Interface>),
    /// `meta nfproto`
    Family(Family),
    /// An address, prefix or range. Never a whole family: that is [`Condition::Family`].
    Address(Side, AddrRange),
    /// `meta l4proto`
    Protocol(Protocol),
    /// `tcp dport 80`, or `th dport 80` where no protocol is given. First and last of each range, host byte order, sorted.
    Ports(Option<Protocol>, Side, Vec<(u16, u16)>),
    /// `icmp type` or `icmpv6 type`
    Icmp(Family, Vec<u8>),
    /// TCP with SYN and without ACK (`true`), or TCP of any other kind (`false`): always a bitmask match.
    BareSyn(bool),
    /// `fib daddr type local`, or `!= local`
    LocalDestination(bool),
    /// `ct state`
    State(ConntrackState),
    /// `ct status dnat`
    Translated,
    /// `ct original ip daddr`
    OriginalDestination(AddrRange),
    /// `ct original proto-dst`, first and last, host byte order. A [`Condition::Protocol`] stands before it.
    OriginalPorts(u16, u16),
    /// A fragment that is not the first.
    LaterFragment(Family),
    /// `SELECTOR . SELECTOR @SET`
    In(Vec<Selector>, SetId),
    /// `SELECTOR . SELECTOR != @SET`: the packet has all of the fields, and the set has no such element. It counts nothing, also where the
    /// set's elements count what is found.
    NotIn(Vec<Selector>, SetId),
    /// `udp dport != 0`: the packet has ports, so that a later fragment does not match. No spec names port 0.
    AnyPort(Protocol, Side),
}

impl Condition {
    /// The family of the packets that it can match, where that is decided by reading their network header.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        match self {
            Condition::Family(family) | Condition::Icmp(family, _) | Condition::LaterFragment(family) => Some(*family),
            Condition::Address(_, range) => Some(range.family()),
            Condition::In(selectors, _) | Condition::NotIn(selectors, _) => {
                selectors.iter().find_map(|selector| selector.family())
            }
            _ => None,
        }
    }
}
