//! NAT rules that are live on this host, whoever loaded them: nf_tables in every family (iptables-nft included), and
//! iptables-legacy and ip6tables-legacy, which the kernel keeps apart.

mod facts;
mod legacy;
mod native;
mod program;
mod xtables;

use std::fmt;
use std::net::IpAddr;

use super::KernelError;
use super::socket::Socket;
pub use crate::net::InterfacePattern;
use crate::net::{AddrRange, AddressSet, Family, RangeSet};
use crate::policy::footprint::{NatHook, NewAddress, Target};
use facts::Values;

/// Which of the kernel's two rule engines holds a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backend {
    /// nf_tables: nft, iptables-nft, firewalld, Docker, kube-proxy.
    NfTables,
    /// iptables-legacy and ip6tables-legacy.
    Legacy,
}

/// The family of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableFamily {
    /// `ip`.
    Ip,
    /// `ip6`.
    Ip6,
    /// `inet`.
    Inet,
    /// Another one, by its number (`NFPROTO_*`).
    Other(u8),
}

impl TableFamily {
    fn of(number: u8) -> Self {
        match number {
            1 => TableFamily::Inet,
            2 => TableFamily::Ip,
            10 => TableFamily::Ip6,
            other => TableFamily::Other(other),
        }
    }
}

impl fmt::Display for TableFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableFamily::Ip => f.write_str("ip"),
            TableFamily::Ip6 => f.write_str("ip6"),
            TableFamily::Inet => f.write_str("inet"),
            TableFamily::Other(number) => write!(f, "family-{number}"),
        }
    }
}

/// Where in its chain a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// The handle that `nft -a list ruleset` shows.
    Handle(u64),
    /// The number that `iptables -L --line-numbers` shows.
    Number(usize),
}

/// What a NAT rule does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NatKind {
    /// Source NAT to the outgoing interface's address.
    Masquerade,
    /// Source NAT.
    Snat,
    /// Destination NAT.
    Dnat,
    /// Destination NAT to this host.
    Redirect,
    /// NAT of another kind, or something in a NAT table that fwc does not know: its name.
    Other(String),
}

/// Which packets a rule can match. A rule never matches more than this says, so two rules whose `NatMatch` have nothing
/// in common surely touch different packets. `None` is any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NatMatch {
    /// IPv4 or IPv6 only.
    pub family: Option<Family>,
    /// Protocol numbers.
    pub protocol: Option<RangeSet<u8>>,
    /// Source addresses before this NAT.
    pub source: Option<AddressSet>,
    /// Destination addresses before this NAT.
    pub destination: Option<AddressSet>,
    /// Source ports, host byte order.
    pub source_ports: Option<RangeSet<u16>>,
    /// Destination ports, host byte order.
    pub destination_ports: Option<RangeSet<u16>>,
    /// Incoming interface.
    pub incoming: Option<InterfacePattern>,
    /// Outgoing interface.
    pub outgoing: Option<InterfacePattern>,
    /// Whether every condition of the rule is in the fields above. If not, the rule matches less than they say.
    pub understood: bool,
}

/// One live NAT rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatRule {
    /// Where the kernel holds it.
    pub backend: Backend,
    /// Its table's family.
    pub family: TableFamily,
    /// Its table's name.
    pub table: String,
    /// Its chain's name.
    pub chain: String,
    /// The hook of its chain; none for a chain that others jump to.
    pub hook: Option<NatHook>,
    /// Where in the chain.
    pub position: Position,
    /// What it does.
    pub kind: NatKind,
    /// For people, as in `ip nat POSTROUTING handle 4: oifname "eth0" masquerade`.
    pub text: String,
    /// Which packets.
    pub matching: NatMatch,
    /// Where they go then. `None` where the rule leaves the destination alone.
    pub target: Option<Target>,
}

/// A place where NAT rules may be that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The place, as in `nf_tables` or `the table nat of ip6tables-legacy`.
    pub what: String,
    /// Why.
    pub why: KernelError,
}

/// All live NAT rules but fwc's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// The rules: nf_tables first, then legacy, in the kernel's order.
    pub rules: Vec<NatRule>,
    /// What could not be read.
    pub unread: Vec<Unread>,
}

/// Looks for NAT rules in the network namespace of the calling thread, in which the socket must have been opened.
///
/// Tables and chains without a NAT rule yield nothing. Rules count wherever they stand in a table with a NAT hook, also
/// in chains that nothing jumps to.
pub fn survey(socket: &mut Socket) -> Survey {
    let mut survey = Survey::default();
    match native::rules(socket) {
        Ok(rules) => survey.rules = rules,
        Err(why) => survey.unread.push(Unread { what: "nf_tables".to_string(), why }),
    }
    for ipv6 in [false, true] {
        match legacy::rules(ipv6) {
            Ok(rules) => survey.rules.extend(rules),
            Err(why) => survey.unread.push(Unread { what: format!("the table nat of {}", legacy::tool(ipv6)), why }),
        }
    }
    survey
}

/// What a rule does, with the new address and port where it names one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Action {
    kind: NatKind,
    address: Option<IpAddr>,
    /// Host byte order.
    port: Option<u16>,
    /// As in [`NatRule`].
    target: Option<Target>,
}

impl Action {
    /// Without anything known about where to.
    fn plain(kind: NatKind) -> Self {
        let target = changes_destination(&kind).then(Target::unknown);
        Action { kind, address: None, port: None, target }
    }
}

/// Whether a rule of this kind may change the destination.
fn changes_destination(kind: &NatKind) -> bool {
    matches!(kind, NatKind::Dnat | NatKind::Redirect | NatKind::Other(_))
}

/// An address in network order.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => bytes.first_chunk::<4>().map(|bytes| IpAddr::from(*bytes)),
        16 => bytes.first_chunk::<16>().map(|bytes| IpAddr::from(*bytes)),
        _ => None,
    }
}

/// The addresses from `first` to `last`, both in network order; all of them where that is not understood.
fn new_addresses(first: &[u8], last: &[u8]) -> NewAddress {
    let range = match (address(first), address(last)) {
        (Some(IpAddr::V4(a)), Some(IpAddr::V4(b))) => Some(AddrRange::V4(a.min(b).to_bits(), a.max(b).to_bits())),
        (Some(IpAddr::V6(a)), Some(IpAddr::V6(b))) => Some(AddrRange::V6(a.min(b).to_bits(), a.max(b).to_bits())),
        _ => None,
    };
    NewAddress::OneOf(range.map_or_else(AddressSet::all, |range| AddressSet::from_iter([range])))
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            NatKind::Masquerade => "masquerade",
            NatKind::Snat => "snat",
            NatKind::Dnat => "dnat",
            NatKind::Redirect => "redirect",
            NatKind::Other(name) => name,
        })?;
        match (self.address, self.port) {
            (None, None) => Ok(()),
            (Some(address), None) => write!(f, " to {address}"),
            (None, Some(port)) => write!(f, " to :{port}"),
            (Some(IpAddr::V6(address)), Some(port)) => write!(f, " to [{address}]:{port}"),
            (Some(address), Some(port)) => write!(f, " to {address}:{port}"),
        }
    }
}

/// At most this many ranges are written out.
const SHOWN: usize = 4;

fn ranges<T: fmt::Display>(items: impl Iterator<Item = T>) -> String {
    let all: Vec<String> = items.map(|item| item.to_string()).collect();
    match all.as_slice() {
        [one] => one.clone(),
        _ if all.len() > SHOWN => format!("{{ {}, … }}", all.get(..SHOWN).unwrap_or(&all).join(", ")),
        _ => format!("{{ {} }}", all.join(", ")),
    }
}

fn numbers<T: fmt::Display + PartialEq + Copy>(set: &[(T, T)]) -> String {
    ranges(set.iter().map(|(start, end)| if start == end { start.to_string() } else { format!("{start}-{end}") }))
}

impl fmt::Display for NatMatch {
    /// In nft's words, each part with a blank behind it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interface =
            |pattern: &InterfacePattern| format!("{}{}", pattern.name, if pattern.prefix { "*" } else { "" });
        let mut part = |word: &str, text: Option<String>| text.map_or(Ok(()), |text| write!(f, "{word} {text} "));
        part("iifname", self.incoming.as_ref().map(|i| format!("\"{}\"", interface(i))))?;
        part("oifname", self.outgoing.as_ref().map(|i| format!("\"{}\"", interface(i))))?;
        let addresses = |set: &AddressSet| ranges(Family::BOTH.iter().flat_map(|family| set.ranges(*family)));
        part("saddr", self.source.as_ref().map(addresses))?;
        part("daddr", self.destination.as_ref().map(addresses))?;
        let protocol = |set: &RangeSet<u8>| match set.as_single() {
            Some(6) => "tcp".to_string(),
            Some(17) => "udp".to_string(),
            _ => numbers(set.ranges()),
        };
        part("meta l4proto", self.protocol.as_ref().map(protocol))?;
        part("sport", self.source_ports.as_ref().map(|set| numbers(set.ranges())))?;
        part("dport", self.destination_ports.as_ref().map(|set| numbers(set.ranges())))?;
        if self.understood { Ok(()) } else { f.write_str("… ") }
    }
}
