//! A program as text for `nft -f`.

use std::fmt::{self, Display, Formatter, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::key_type::Field;
use super::keys::{COMMENT, Element, Value};
use super::program::{
    Chain, Condition, ConntrackState, Direction, Elements, Program, Rule, SIGNATURE, Selector, Set, Side, TABLE,
    TABLE_COMMENT, Verdict,
};
use crate::net::{AddrRange, Family, Protocol};
use crate::ruleset::Hook;
use crate::spec::Fate;

impl Program {
    /// The table as a file for `nft -f`, which replaces a table of the same name in one transaction.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", Whole(self));
        text
    }
}

struct Whole<'a>(&'a Program);

impl Display for Whole<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let program = self.0;
        writeln!(f, "#!/usr/sbin/nft -f\n# {}\n", program.signature)?;
        writeln!(f, "table inet {TABLE}\ndelete table inet {TABLE}\n")?;
        writeln!(f, "table inet {TABLE} {{\n\tcomment \"{TABLE_COMMENT}\"")?;
        for set in &program.sets {
            writeln!(f)?;
            set_text(f, program, set)?;
        }
        for chain in &program.chains {
            writeln!(f)?;
            chain_text(f, program, chain)?;
        }
        writeln!(f, "\n\tchain {SIGNATURE} {{\n\t\tcomment \"{}\"\n\t}}\n}}", program.signature)
    }
}

fn set_text(f: &mut Formatter<'_>, program: &Program, set: &Set) -> fmt::Result {
    writeln!(f, "\tset {} {{", set.name)?;
    write!(f, "\t\ttype ")?;
    joined(f, " . ", set.key(), |f, field| f.write_str(type_name(*field)))?;
    writeln!(f)?;
    if let Some(size) = set.size() {
        writeln!(f, "\t\tsize {size}")?;
    }
    if set.interval {
        writeln!(f, "\t\tflags interval")?;
    }
    if set.counted {
        writeln!(f, "\t\tcounter")?;
    }
    writeln!(f, "\t\telements = {{")?;
    match &set.elements {
        Elements::V4(ranges) => {
            for &(first, last) in ranges {
                writeln!(f, "\t\t\t{},", V4(first, last))?;
            }
        }
        Elements::V6(ranges) => {
            for &(first, last) in ranges {
                writeln!(f, "\t\t\t{},", AddrRange::V6(first, last))?;
            }
        }
        Elements::Keys(keys) => {
            for element in keys.iter() {
                f.write_str("\t\t\t")?;
                element_text(f, program, element)?;
                f.write_str(",\n")?;
            }
        }
    }
    writeln!(f, "\t\t}}\n\t}}")
}

/// Hosts by the million: without the search for a prefix.
struct V4(u32, u32);

impl Display for V4 {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == self.1 {
            return Ipv4Addr::from_bits(self.0).fmt(f);
        }
        AddrRange::V4(self.0, self.1).fmt(f)
    }
}

fn element_text(f: &mut Formatter<'_>, program: &Program, element: Element<'_>) -> fmt::Result {
    joined(f, " . ", element.values(), value_text)?;
    write!(f, " comment \"{COMMENT}{}\"", program.name(element.owner))
}

fn value_text(f: &mut Formatter<'_>, value: Value<'_>) -> fmt::Result {
    match value {
        Value::Interface(name) => write!(f, "\"{name}\""),
        Value::Addresses(range) => range.fmt(f),
        Value::Protocol(protocol) => protocol_text(f, protocol),
        Value::Ports(first, last) => ports_text(f, (first, last)),
    }
}

fn ports_text(f: &mut Formatter<'_>, (first, last): (u16, u16)) -> fmt::Result {
    if first == last { first.fmt(f) } else { write!(f, "{first}-{last}") }
}

/// To nft, which asks /etc/protocols, `ipip` is the protocol 94. The one that everybody means is `ipencap` there.
fn protocol_text(f: &mut Formatter<'_>, protocol: Protocol) -> fmt::Result {
    match protocol.number() {
        4 => f.write_str("4"),
        _ => protocol.fmt(f),
    }
}

fn type_name(field: Field) -> &'static str {
    match field {
        Field::Interface => "ifname",
        Field::Address(Family::V4) => "ipv4_addr",
        Field::Address(Family::V6) => "ipv6_addr",
        Field::Protocol => "inet_proto",
        Field::Port => "inet_service",
    }
}

fn chain_text(f: &mut Formatter<'_>, program: &Program, chain: &Chain) -> fmt::Result {
    writeln!(f, "\tchain {} {{", chain.name)?;
    if let Some((hook, policy)) = chain.base {
        let policy = match policy {
            Fate::Accept => "accept",
            Fate::Drop => "drop",
        };
        writeln!(f, "\t\t{}; policy {policy};", hook_text(hook))?;
    }
    for rule in &chain.rules {
        f.write_str("\t\t")?;
        rule_text(f, program, rule)?;
        f.write_char('\n')?;
    }
    writeln!(f, "\t}}")
}

fn hook_text(hook: Hook) -> &'static str {
    match hook {
        Hook::RawPrerouting => "type filter hook prerouting priority raw",
        Hook::RawOutput => "type filter hook output priority raw",
        Hook::NatPrerouting => "type nat hook prerouting priority dstnat",
        Hook::Input => "type filter hook input priority filter",
        Hook::Forward => "type filter hook forward priority filter",
        Hook::Output => "type filter hook output priority filter",
        Hook::NatPostrouting => "type nat hook postrouting priority srcnat",
    }
}

fn rule_text(f: &mut Formatter<'_>, program: &Program, rule: &Rule) -> fmt::Result {
    let mut blank = "";
    for condition in &rule.conditions {
        f.write_str(blank)?;
        condition_text(f, program, condition)?;
        blank = " ";
    }
    if rule.counter {
        write!(f, "{blank}counter")?;
        blank = " ";
    }
    f.write_str(blank)?;
    verdict_text(f, &rule.verdict)?;
    match &rule.comment {
        Some(comment) => write!(f, " comment \"{comment}\""),
        None => Ok(()),
    }
}

fn condition_text(f: &mut Formatter<'_>, program: &Program, condition: &Condition) -> fmt::Result {
    match condition {
        Condition::Loopback(Direction::In) => f.write_str("iif \"lo\""),
        Condition::Loopback(Direction::Out) => f.write_str("oif \"lo\""),
        Condition::Interfaces(direction, names) => {
            selector_text(f, Selector::Interface(*direction))?;
            one_of(f, names, |f, name| write!(f, "\"{name}\""))
        }
        Condition::Family(Family::V4) => f.write_str("meta nfproto ipv4"),
        Condition::Family(Family::V6) => f.write_str("meta nfproto ipv6"),
        Condition::Address(side, range) => {
            selector_text(f, Selector::Address(range.family(), *side))?;
            write!(f, " {range}")
        }
        Condition::Protocol(protocol) => {
            f.write_str("meta l4proto ")?;
            protocol_text(f, *protocol)
        }
        Condition::Ports(protocol, side, ports) => {
            match protocol {
                Some(protocol) => write!(f, "{protocol} {}", port_word(*side))?,
                None => write!(f, "th {}", port_word(*side))?,
            }
            one_of(f, ports, |f, range| ports_text(f, *range))
        }
        Condition::Icmp(family, types) => {
            f.write_str(if *family == Family::V4 { "icmp type" } else { "icmpv6 type" })?;
            one_of(f, types, |f, number| number.fmt(f))
        }
        Condition::BareSyn(true) => f.write_str("tcp flags & (syn | ack) == syn"),
        Condition::BareSyn(false) => f.write_str("tcp flags & (syn | ack) != syn"),
        Condition::LocalDestination(true) => f.write_str("fib daddr type local"),
        Condition::LocalDestination(false) => f.write_str("fib daddr type != local"),
        Condition::State(ConntrackState::New) => f.write_str("ct state new"),
        Condition::State(ConntrackState::EstablishedOrRelated) => f.write_str("ct state established,related"),
        Condition::Translated => f.write_str("ct status dnat"),
        Condition::OriginalDestination(range) => {
            selector_text(f, Selector::OriginalDestination(range.family()))?;
            write!(f, " {range}")
        }
        Condition::OriginalPorts(first, last) => {
            f.write_str("ct original proto-dst ")?;
            ports_text(f, (*first, *last))
        }
        Condition::LaterFragment(Family::V4) => f.write_str("ip frag-off & 0x1fff != 0"),
        Condition::LaterFragment(Family::V6) => f.write_str("frag frag-off != 0"),
        Condition::AnyPort(protocol, side) => write!(f, "{protocol} {} != 0", port_word(*side)),
        Condition::In(selectors, set) | Condition::NotIn(selectors, set) => {
            joined(f, " . ", selectors, |f, selector| selector_text(f, *selector))?;
            let not = if matches!(condition, Condition::NotIn(..)) { " !=" } else { "" };
            write!(f, "{not} @{}", program.sets.get(set.0).map_or("", |set| &set.name))
        }
    }
}

fn selector_text(f: &mut Formatter<'_>, selector: Selector) -> fmt::Result {
    let ip = |family| if family == Family::V4 { "ip" } else { "ip6" };
    match selector {
        Selector::Interface(Direction::In) => f.write_str("iifname"),
        Selector::Interface(Direction::Out) => f.write_str("oifname"),
        Selector::Address(family, Side::Source) => write!(f, "{} saddr", ip(family)),
        Selector::Address(family, Side::Destination) => write!(f, "{} daddr", ip(family)),
        Selector::Protocol => f.write_str("meta l4proto"),
        Selector::Port(side) => write!(f, "th {}", port_word(side)),
        Selector::OriginalDestination(family) => write!(f, "ct original {} daddr", ip(family)),
    }
}

fn port_word(side: Side) -> &'static str {
    match side {
        Side::Source => "sport",
        Side::Destination => "dport",
    }
}

fn verdict_text(f: &mut Formatter<'_>, verdict: &Verdict) -> fmt::Result {
    match verdict {
        Verdict::Accept => f.write_str("accept"),
        Verdict::Drop => f.write_str("drop"),
        Verdict::Return => f.write_str("return"),
        Verdict::Jump(chain) => write!(f, "jump {chain}"),
        Verdict::Notrack => f.write_str("notrack"),
        Verdict::Masquerade => f.write_str("masquerade"),
        Verdict::Snat(to) => target_text(f, "snat", *to, None),
        Verdict::Dnat(to, port) => target_text(f, "dnat", *to, *port),
        Verdict::Redirect(port) => write!(f, "redirect to :{port}"),
    }
}

fn target_text(f: &mut Formatter<'_>, word: &str, to: IpAddr, port: Option<u16>) -> fmt::Result {
    match (to, port) {
        (IpAddr::V4(to), None) => write!(f, "{word} ip to {to}"),
        (IpAddr::V4(to), Some(port)) => write!(f, "{word} ip to {to}:{port}"),
        (IpAddr::V6(to), None) => write!(f, "{word} ip6 to {to}"),
        (IpAddr::V6(to), Some(port)) => write!(f, "{word} ip6 to [{}]:{port}", Ipv6Addr::from(to.octets())),
    }
}

/// ` value`, or ` { value, value }` for more than one.
fn one_of<T>(f: &mut Formatter<'_>, items: &[T], item: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result) -> fmt::Result {
    if let [only] = items {
        f.write_char(' ')?;
        return item(f, only);
    }
    f.write_str(" { ")?;
    joined(f, ", ", items, item)?;
    f.write_str(" }")
}

fn joined<T>(
    f: &mut Formatter<'_>,
    separator: &str,
    items: impl IntoIterator<Item = T>,
    item: impl Fn(&mut Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (index, value) in items.into_iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        item(f, value)?;
    }
    Ok(())
}
