//! Rules as their tools write them: what a person should add.

use crate::dump::{Chain, Condition, Hook, InterfacePattern, Rule, Side, Test, Way};
use crate::net::{AddressSet, Family, RangeSet};

/// In whose words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// As `iptables-save` writes rules.
    Iptables,
    /// As `nft list ruleset` writes them.
    Nft,
}

impl Syntax {
    /// The words of the tool that made a chain: nftables' tables have a family in their names.
    pub fn of(chain: &Chain) -> Self {
        if chain.table.contains(' ') { Syntax::Nft } else { Syntax::Iptables }
    }
}

/// The rule that untracks the packets that answer those of `rule`, for a hook. `None` where a condition cannot be turned round in words.
pub fn answering(syntax: Syntax, rule: &Rule, hook: Hook) -> Option<String> {
    let mut words = Vec::new();
    for condition in &rule.conditions {
        // A reply may leave by another interface than the request came in on.
        if !matches!(condition.test, Test::Interface(..)) {
            words.push(mirrored(syntax, condition)?);
        }
    }
    let words = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let space = if words.is_empty() { "" } else { " " };
    Some(match syntax {
        Syntax::Iptables => format!("-A {} {words}{space}-j CT --notrack", chain_name(hook)),
        Syntax::Nft => format!("{words}{space}notrack"),
    })
}

/// As iptables names the chain of a hook.
pub fn chain_name(hook: Hook) -> &'static str {
    match hook {
        Hook::Prerouting => "PREROUTING",
        Hook::Input => "INPUT",
        Hook::Forward => "FORWARD",
        Hook::Output => "OUTPUT",
        Hook::Postrouting => "POSTROUTING",
    }
}

/// The rule that untracks loopback.
pub fn loopback(syntax: Syntax) -> &'static str {
    match syntax {
        Syntax::Iptables => "-A OUTPUT -o lo -j CT --notrack",
        Syntax::Nft => "oifname \"lo\" notrack",
    }
}

fn mirrored(syntax: Syntax, condition: &Condition) -> Option<String> {
    let no = condition.negated;
    let (bang, differs) = (if no { "! " } else { "" }, if no { "!= " } else { "" });
    let other = |side: Side| if side == Side::Source { Side::Destination } else { Side::Source };
    Some(match (&condition.test, syntax) {
        (Test::Family(_), Syntax::Iptables) => String::new(),
        (Test::Family(family), Syntax::Nft) => {
            format!("meta nfproto {differs}{}", if *family == Family::V4 { "ipv4" } else { "ipv6" })
        }
        (Test::Protocol(protocols), syntax) => {
            let name = protocol(protocols.as_single()?);
            match syntax {
                Syntax::Iptables => format!("{bang}-p {name}"),
                Syntax::Nft => format!("meta l4proto {differs}{name}"),
            }
        }
        (Test::Port(side, ports), Syntax::Iptables) => {
            let source = other(*side) == Side::Source;
            let text = numbers(ports, ":", ",");
            match (ports.ranges().len(), source) {
                (1, true) => format!("{bang}--sport {text}"),
                (1, false) => format!("{bang}--dport {text}"),
                (_, true) => format!("-m multiport {bang}--sports {text}"),
                (_, false) => format!("-m multiport {bang}--dports {text}"),
            }
        }
        (Test::Port(side, ports), Syntax::Nft) => {
            let word = if other(*side) == Side::Source { "sport" } else { "dport" };
            format!("th {word} {differs}{}", braced(&numbers(ports, "-", ", ")))
        }
        (Test::Address(side, set), syntax) => address(syntax, no, other(*side), set)?,
        (Test::Local(side), Syntax::Iptables) => {
            let word = if other(*side) == Side::Source { "--src-type" } else { "--dst-type" };
            format!("-m addrtype {bang}{word} LOCAL")
        }
        (Test::Local(side), Syntax::Nft) => {
            format!("fib {} type {differs}local", if other(*side) == Side::Source { "saddr" } else { "daddr" })
        }
        _ => return None,
    })
}

fn address(syntax: Syntax, negated: bool, side: Side, set: &AddressSet) -> Option<String> {
    let family = if set.v6.is_empty() { Family::V4 } else { Family::V6 };
    let all: Vec<String> = set.ranges(family).map(|range| range.to_string()).collect();
    let source = side == Side::Source;
    match (syntax, all.as_slice()) {
        (Syntax::Iptables, [one]) => {
            let ranged = one.contains('-');
            let word = match (ranged, source) {
                (false, true) => "-s",
                (false, false) => "-d",
                (true, true) => "-m iprange --src-range",
                (true, false) => "-m iprange --dst-range",
            };
            Some(format!("{}{word} {one}", if negated { "! " } else { "" }))
        }
        (Syntax::Iptables, _) => None,
        (Syntax::Nft, all) => {
            let family = if family == Family::V4 { "ip" } else { "ip6" };
            let side = if source { "saddr" } else { "daddr" };
            let differs = if negated { "!= " } else { "" };
            Some(format!("{family} {side} {differs}{}", braced(&all.join(", "))))
        }
    }
}

fn braced(list: &str) -> String {
    if list.contains(',') { format!("{{ {list} }}") } else { list.to_string() }
}

/// Ports, as ranges with `to` between their ends and `and` between them.
pub fn numbers(ports: &RangeSet<u16>, to: &str, and: &str) -> String {
    let one =
        |&(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("{first}{to}{last}") };
    ports.ranges().iter().map(one).collect::<Vec<_>>().join(and)
}

fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".to_string(),
        58 => "ipv6-icmp".to_string(),
        _ => number.to_string().parse::<crate::net::Protocol>().map_or(number.to_string(), |known| known.to_string()),
    }
}

/// Whether a condition names an interface that a hook does not know.
pub fn asks_unknown_interface(condition: &Condition, hook: Hook) -> Option<&InterfacePattern> {
    let Test::Interface(way, names) = &condition.test else { return None };
    if condition.negated || names.iter().any(|name| name.matches("")) {
        return None;
    }
    let known = match way {
        Way::In => matches!(hook, Hook::Prerouting | Hook::Input | Hook::Forward),
        Way::Out => matches!(hook, Hook::Forward | Hook::Output | Hook::Postrouting),
    };
    names.first().filter(|_| !known)
}
