//! How a person finds a chain, and what to type to let packets pass there.

use std::fmt;

use super::legs::Promised;
use crate::dump::Chain;
use crate::net::Family;
use crate::policy::{Addresses, Transport};
use crate::ruleset::Leg;

/// A chain and the program that changes it.
pub(super) struct Where<'a> {
    chain: &'a Chain,
    program: Program,
}

#[derive(Clone, Copy)]
enum Program {
    Nft,
    /// A table of nf_tables that iptables-nft looks after.
    Iptables(&'static str),
    Legacy(&'static str),
}

impl<'a> Where<'a> {
    pub(super) fn of(chain: &'a Chain, legacy: Option<&'static str>) -> Self {
        // iptables-nft has tables of these names, and chains in capitals.
        let capitals = !chain.name.is_empty() && !chain.name.contains(|letter: char| letter.is_ascii_lowercase());
        let program = match (legacy, chain.table.as_str()) {
            (Some(program), _) => Program::Legacy(program),
            (None, "ip filter" | "ip mangle" | "ip raw" | "ip security") if capitals => Program::Iptables("iptables"),
            (None, "ip6 filter" | "ip6 mangle" | "ip6 raw" | "ip6 security") if capitals => {
                Program::Iptables("ip6tables")
            }
            (None, _) => Program::Nft,
        };
        Where { chain, program }
    }

    /// What lets the packets of a leg pass this chain. Replies are known by the server's port, which anybody may send from: only what is not
    /// tracked passes by it, and without fwc nothing.
    pub(super) fn cure(&self, promised: &Promised<'_>, family: Family) -> String {
        let Chain { table, name, .. } = self.chain;
        let (protocol, ports) = match &promised.server.transport {
            Transport::Ports(protocol, ports) => (protocol.to_string(), Some(ports)),
            Transport::Plain(protocol) => (protocol.to_string(), None),
        };
        let source = promised.leg == Leg::Reply;
        let host = match promised.server.addresses {
            Addresses::Range(range) if range.family() == family => Some(range.to_string()),
            _ => None,
        };
        let one = |(first, last): &(u16, u16), to: &str| {
            if first == last { first.to_string() } else { format!("{first}{to}{last}") }
        };
        let list = |to: &str| ports.map(|ports| ports.ranges().iter().map(|range| one(range, to)).collect::<Vec<_>>());
        match self.program {
            Program::Nft => {
                let end = if source { "s" } else { "d" };
                let word = if family == Family::V4 { "ip" } else { "ip6" };
                let host = host.map(|host| format!("{word} {end}addr {host} ")).unwrap_or_default();
                let ports = match list("-").as_deref() {
                    None => format!("meta l4proto {protocol}"),
                    Some([one]) => format!("{protocol} {end}port {one}"),
                    Some(more) => format!("{protocol} {end}port {{ {} }}", more.join(", ")),
                };
                let state = if source { "ct state untracked " } else { "" };
                format!("nft insert rule {table} {name} {state}{host}{ports} accept")
            }
            Program::Iptables(program) | Program::Legacy(program) => {
                let table = table.rsplit(' ').next().unwrap_or(table);
                let table = if table == "filter" { String::new() } else { format!("-t {table} ") };
                let host = host.map(|host| format!("{} {host} ", if source { "-s" } else { "-d" })).unwrap_or_default();
                let ports = match list(":").as_deref() {
                    None => String::new(),
                    Some([one]) => format!("{} {one} ", if source { "--sport" } else { "--dport" }),
                    Some(more) => {
                        format!("-m multiport {} {} ", if source { "--sports" } else { "--dports" }, more.join(","))
                    }
                };
                let state = if source { "-m conntrack --ctstate UNTRACKED " } else { "" };
                format!("{program} {table}-I {name} {host}-p {protocol} {ports}{state}-j ACCEPT")
            }
        }
    }
}

impl fmt::Display for Where<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Chain { table, name, .. } = self.chain;
        match self.program {
            Program::Nft => write!(f, "the chain `{name}` of table `{table}`"),
            Program::Iptables(program) => write!(f, "the chain `{name}` of table `{table}` ({program}-nft)"),
            Program::Legacy(program) => write!(f, "the chain `{name}` of table `{table}` ({program})"),
        }
    }
}

/// The entries whose packets they are.
pub(super) fn whose(first: &str, others: &[String]) -> String {
    match others {
        [] => format!("`{first}`"),
        [one] => format!("`{first}` and `{one}`"),
        more => format!("`{first}` and {} other entries", more.len()),
    }
}

/// A rule's line, not longer than a message can bear.
pub(super) fn shortened(line: &str) -> String {
    const LONGEST: usize = 120;
    if line.chars().count() <= LONGEST {
        return line.to_string();
    }
    line.chars().take(LONGEST).chain(['…']).collect()
}
