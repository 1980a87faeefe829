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

/// A rule's line, not longer than a message can bear. By its end a person finds the rule; bytes that no reader understands help nobody.
pub(super) fn shortened(line: &str) -> String {
    const LONGEST: usize = 120;
    const LONGEST_NUMBER: usize = 18;
    let (line, position) = line.rsplit_once(" # ").unwrap_or((line, ""));
    let words = line.split(' ').map(|word| {
        let bytes = word.starts_with("0x") && word.len() > LONGEST_NUMBER;
        if bytes { "…" } else { word }
    });
    let mut line = words.collect::<Vec<_>>().join(" ");
    if line.chars().count() > LONGEST {
        line = line.chars().take(LONGEST).chain(['…']).collect();
    }
    if position.is_empty() { line } else { format!("{line} # {position}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_rule_keeps_the_words_by_which_it_is_found() {
        let long = format!("{} drop # handle 7", "ip saddr 192.0.2.1 ".repeat(20));
        let short = shortened(&long);
        assert!(short.starts_with("ip saddr") && short.ends_with("… # handle 7"), "{short}");
        assert_eq!(
            shortened(&format!("xt match limit 0 0x{} accept # rule 3", "00".repeat(40))),
            "xt match limit 0 … accept # rule 3"
        );
        assert_eq!(shortened("tcp flags & 0x17 == 0x2 drop"), "tcp flags & 0x17 == 0x2 drop");
    }
}
