//! Reads iptables-restore files as the kernel does, so that packets can be led through them by the thousand.

use std::collections::HashMap;
use std::net::IpAddr;

use fwc::net::{AddrRange, PacketHeader};
use fwc::packet::{Fragment, Packet};
use fwc::spec::{Direction, Fate, State, Tracking};

/// A policy, and rules as words.
type Chain = (String, Vec<Vec<String>>);

/// The tables of one file, and the ipsets that its rules refer to.
pub struct Rules {
    /// By table and name.
    chains: HashMap<(String, String), Chain>,
    ipsets: HashMap<String, Vec<AddrRange>>,
}

/// What became of a packet in a chain.
enum End {
    Accept,
    Drop,
    /// The chain had nothing to say.
    Open,
}

impl Rules {
    pub fn read(text: &str, ipset: Option<&str>) -> Rules {
        let mut chains = HashMap::new();
        let mut table = String::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && *line != "COMMIT") {
            if let Some(name) = line.strip_prefix('*') {
                table = name.to_string();
            } else if let Some(chain) = line.strip_prefix(':') {
                let words: Vec<&str> = chain.split(' ').collect();
                chains.insert((table.clone(), words[0].to_string()), (words[1].to_string(), Vec::new()));
            } else {
                let words = words(line);
                assert_eq!(words[0], "-A", "{line}");
                let chain = chains.get_mut(&(table.clone(), words[1].clone())).unwrap_or_else(|| panic!("{line}"));
                chain.1.push(words[2..].to_vec());
            }
        }
        Rules { chains, ipsets: read_ipsets(ipset.unwrap_or_default()) }
    }

    /// Leads a packet through raw and filter: its fate, and whether it is tracked.
    pub fn judge(&self, packet: &Packet, tracks: bool) -> (Fate, Tracking) {
        let mut tracking = if tracks { Tracking::Tracked } else { Tracking::Untracked };
        let way = match packet.direction {
            Direction::In => [("raw", "PREROUTING"), ("filter", "INPUT")],
            Direction::Out => [("raw", "OUTPUT"), ("filter", "OUTPUT")],
            Direction::Forward => [("raw", "PREROUTING"), ("filter", "FORWARD")],
        };
        for (table, chain) in way {
            let policy = &self.chains[&(table.to_string(), chain.to_string())].0;
            let drops = match self.walk(table, chain, packet, &mut tracking, 0) {
                End::Accept => false,
                End::Drop => true,
                End::Open => policy == "DROP",
            };
            if drops {
                return (Fate::Drop, tracking);
            }
        }
        (Fate::Accept, tracking)
    }

    fn walk(&self, table: &str, chain: &str, packet: &Packet, tracking: &mut Tracking, depth: u32) -> End {
        assert!(depth < 16, "too many chains in a row");
        for rule in &self.chains[&(table.to_string(), chain.to_string())].1 {
            let Some(target) = self.target(rule, packet, *tracking) else { continue };
            match target.as_slice() {
                ["-j", "CT", "--notrack"] => *tracking = Tracking::Untracked,
                ["-j", "ACCEPT"] => return End::Accept,
                ["-j", "DROP"] => return End::Drop,
                ["-j", "RETURN"] => return End::Open,
                ["-g", chain] => return self.walk(table, chain, packet, tracking, depth + 1),
                ["-j", chain] => match self.walk(table, chain, packet, tracking, depth + 1) {
                    End::Open => {}
                    decided => return decided,
                },
                other => panic!("{other:?}"),
            }
        }
        End::Open
    }

    /// The target, if all conditions hold.
    fn target<'r>(&self, rule: &'r [String], packet: &Packet, tracking: Tracking) -> Option<Vec<&'r str>> {
        let mut words = rule.iter().map(String::as_str);
        let mut negated = false;
        while let Some(option) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{rule:?}"));
            let holds = match option {
                "!" => {
                    negated = true;
                    continue;
                }
                "-m" | "--comment" => {
                    value();
                    true
                }
                "-j" | "-g" => {
                    return Some(std::iter::once(option).chain(words).collect());
                }
                "--tcp-flags" => flags(packet, value(), value()),
                "--match-set" => {
                    let (name, side) = (value(), value());
                    let address = if side == "src" { packet.source } else { packet.destination };
                    self.ipsets[name].iter().any(|range| within(range, address))
                }
                "-f" => packet.fragment == Fragment::Later,
                "--fragfirst" => packet.fragment == Fragment::First,
                _ => condition(option, value(), packet, tracking),
            };
            if holds == negated {
                return None;
            }
            negated = false;
        }
        panic!("no target: {rule:?}");
    }
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_string());
        } else {
            words.extend(part.split_ascii_whitespace().map(ToString::to_string));
        }
    }
    words
}

fn read_ipsets(text: &str) -> HashMap<String, Vec<AddrRange>> {
    let mut sets: HashMap<String, Vec<AddrRange>> = HashMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["create", name, ..] => drop(sets.entry((*name).to_string()).or_default()),
            ["flush", name] => sets.get_mut(*name).unwrap().clear(),
            ["add", name, range] => sets.get_mut(*name).unwrap().push(range.parse().unwrap()),
            ["swap", a, b] => {
                let (one, other) = (sets.remove(*a).unwrap(), sets.remove(*b).unwrap());
                sets.insert((*a).to_string(), other);
                sets.insert((*b).to_string(), one);
            }
            ["destroy", name] => drop(sets.remove(*name)),
            other => panic!("{other:?}"),
        }
    }
    sets
}

fn within(range: &AddrRange, address: IpAddr) -> bool {
    range.first().is_ipv4() == address.is_ipv4() && range.first() <= address && address <= range.last()
}

fn condition(option: &str, value: &str, packet: &Packet, tracking: Tracking) -> bool {
    let interface = packet.interface.as_ref().map(fwc::net::Interface::as_str);
    let address = |value: &str, address| within(&value.parse().unwrap(), address);
    let whole = packet.fragment != Fragment::Later;
    match option {
        "-s" | "--src-range" => address(value, packet.source),
        "-d" | "--dst-range" => address(value, packet.destination),
        "-i" => packet.direction != Direction::Out && interface == Some(value),
        "-o" => packet.direction == Direction::Out && interface == Some(value),
        "-p" => number(packet) == protocol(value),
        "--sport" | "--sports" => whole && in_ports(ports(packet).map(|ports| ports.0), value),
        "--dport" | "--dports" => whole && in_ports(ports(packet).map(|ports| ports.1), value),
        "--icmp-type" | "--icmpv6-type" => {
            whole && matches!(packet.header, PacketHeader::Icmp(kind) if kind.to_string() == value)
        }
        // A packet here is whole or a later fragment, so only the latter has a fragment header.
        "--fragid" => value == "0:4294967295" && packet.fragment != Fragment::Whole,
        "--dst-type" => value == "LOCAL" && packet.is_to_own_address(),
        "--ctstate" => value.split(',').any(|state| in_state(state, packet, tracking)),
        "--ctorigdst" => packet.translated_from.is_some_and(|(from, _)| address(value, from)),
        "--ctorigdstport" => in_ports(packet.translated_from.and_then(|(_, port)| port), value),
        _ => panic!("{option} {value}"),
    }
}

fn number(packet: &Packet) -> String {
    let number = match packet.header {
        PacketHeader::Tcp(..) => 6,
        PacketHeader::Ports(protocol, ..) | PacketHeader::Plain(protocol) => protocol.number(),
        PacketHeader::Icmp(_) if packet.source.is_ipv4() => 1,
        PacketHeader::Icmp(_) => 58,
    };
    number.to_string()
}

fn protocol(word: &str) -> String {
    match word {
        "icmp" => "1".to_string(),
        "ipv6-icmp" => "58".to_string(),
        word => word.parse::<fwc::net::Protocol>().unwrap().number().to_string(),
    }
}

fn ports(packet: &Packet) -> Option<(u16, u16)> {
    match packet.header {
        PacketHeader::Tcp(from, to, _) | PacketHeader::Ports(_, from, to) => Some((from, to)),
        PacketHeader::Plain(_) | PacketHeader::Icmp(_) => None,
    }
}

fn in_ports(port: Option<u16>, list: &str) -> bool {
    list.split(',').any(|item| {
        let (start, end) = item.split_once(':').unwrap_or((item, item));
        port.is_some_and(|port| (start.parse().unwrap()..=end.parse().unwrap()).contains(&port))
    })
}

fn flags(packet: &Packet, mask: &str, wanted: &str) -> bool {
    let bits = |names: &str| {
        names.split(',').fold(0, |bits, name| {
            bits | match name {
                "SYN" => 2,
                "ACK" => 16,
                _ => panic!("{name}"),
            }
        })
    };
    let whole = packet.fragment != Fragment::Later;
    matches!(packet.header, PacketHeader::Tcp(_, _, flags) if whole && flags.0 & bits(mask) == bits(wanted))
}

fn in_state(state: &str, packet: &Packet, tracking: Tracking) -> bool {
    let tracked = tracking == Tracking::Tracked;
    match state {
        "NEW" => tracked && packet.state == State::New,
        "ESTABLISHED" => tracked && packet.state == State::Established,
        "RELATED" => tracked && packet.state == State::Related,
        "DNAT" => tracked && packet.translated_from.is_some(),
        _ => panic!("{state}"),
    }
}
