//! Lines and tables as iptables-restore reads them.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::line::{Comment, Detail, Line, Link, Side, State, Table, Target, Written};
use crate::net::{AddrRange, Family};
use crate::ruleset::{Action, Locality};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Writes rules of one family.
pub(super) struct Writer {
    pub text: String,
    pub family: Family,
}

impl Writer {
    /// Writes a chain that is complete.
    pub fn chain(&mut self, name: &str, lines: &[Line]) -> Written {
        let start = self.text.len();
        for line in lines {
            self.words(["-A ", name]);
            self.line(line);
            self.text.push('\n');
        }
        start..self.text.len()
    }

    /// The cheap conditions come first: the kernel stops at the first that does not hold.
    fn line(&mut self, line: &Line) {
        self.prefix(" -s ", &line.source);
        self.prefix(" -d ", &line.destination);
        match line.interface {
            None => {}
            Some(Link::In(name)) => self.put(format_args!(" -i {name}")),
            Some(Link::Out(name)) => self.put(format_args!(" -o {name}")),
        }
        if let Some(number) = line.protocol {
            self.protocol(number);
        }
        self.ports(line);
        self.detail(line.detail);
        self.ranges_and_sets(line);
        match line.locality {
            Locality::Anywhere => {}
            Locality::Local => self.text.push_str(" -m addrtype --dst-type LOCAL"),
            Locality::NotLocal => self.text.push_str(" -m addrtype ! --dst-type LOCAL"),
        }
        self.state(&line.state);
        self.comment(line.comment);
        self.target(&line.target);
    }

    /// For what is rare: formatting takes several times as long as the pushing of [`Writer::words`] and [`decimal`].
    fn put(&mut self, arguments: std::fmt::Arguments) {
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(arguments);
    }

    fn words<const N: usize>(&mut self, words: [&str; N]) {
        words.into_iter().for_each(|word| self.text.push_str(word));
    }

    fn prefix(&mut self, option: &str, side: &Side) {
        let Side::Range(range) = side else { return };
        let Some(Prefix(first, length, bits)) = as_prefix(range) else { return };
        self.text.push_str(option);
        match first {
            IpAddr::V4(address) => dotted(&mut self.text, address),
            IpAddr::V6(address) => self.put(format_args!("{address}")),
        }
        if length < bits {
            self.text.push('/');
            decimal(&mut self.text, length);
        }
    }

    /// Names that iptables knows by itself; others it would look up in /etc/protocols, which a small system may lack.
    fn protocol(&mut self, number: u8) {
        let name = match number {
            1 => "icmp",
            TCP => "tcp",
            UDP => "udp",
            50 => "esp",
            51 => "ah",
            58 => "ipv6-icmp",
            132 => "sctp",
            136 => "udplite",
            _ => return self.put(format_args!(" -p {number}")),
        };
        self.text.push_str(" -p ");
        self.text.push_str(name);
    }

    /// `multiport` serves every protocol with ports; `sctp` and `dccp` are kernel modules that may be missing.
    fn ports(&mut self, line: &Line) {
        let own = match line.protocol {
            Some(TCP) => Some("tcp"),
            Some(UDP) => Some("udp"),
            _ => None,
        };
        let sides = [
            (" --sport ", " -m multiport --sports ", &line.source_ports),
            (" --dport ", " -m multiport --dports ", &line.destination_ports),
        ]
        .map(|(single, list, ports)| (single, list, ports.ranges()));
        let single = |ports: &[(u16, u16)]| own.is_some() && ports.len() == 1;
        let guarded = line.detail == Detail::Guarded;
        if let Some(name) = own.filter(|_| guarded || sides.iter().any(|(.., ports)| single(ports))) {
            self.words([" -m ", name]);
        }
        for (option, _, ports) in sides.iter().filter(|(.., ports)| single(ports)) {
            self.text.push_str(option);
            port_list(&mut self.text, ports);
        }
        if guarded {
            self.text.push_str(" ! --tcp-flags SYN,ACK SYN");
        }
        for (_, option, ports) in sides.iter().filter(|(.., ports)| !ports.is_empty() && !single(ports)) {
            self.text.push_str(option);
            port_list(&mut self.text, ports);
        }
    }

    fn detail(&mut self, detail: Detail) {
        match (detail, self.family) {
            (Detail::None | Detail::Guarded, _) => {}
            (Detail::HasPorts, _) => self.text.push_str(" -m multiport --dports 0:65535"),
            (Detail::Icmp(kind), Family::V4) => self.put(format_args!(" -m icmp --icmp-type {kind}")),
            (Detail::Icmp(kind), Family::V6) => self.put(format_args!(" -m icmp6 --icmpv6-type {kind}")),
            (Detail::LaterFragment, _) => self.text.push_str(" -f"),
            (Detail::Fragment, _) => self.text.push_str(" -m frag --fragid 0:4294967295"),
            (Detail::FirstFragment, _) => self.text.push_str(" -m frag --fragid 0:4294967295 --fragfirst"),
        }
    }

    fn ranges_and_sets(&mut self, line: &Line) {
        let sides = [("src", &line.source), ("dst", &line.destination)];
        let uneven = |side: &Side| matches!(side, Side::Range(range) if as_prefix(range).is_none());
        if sides.iter().any(|(_, side)| uneven(side)) {
            self.text.push_str(" -m iprange");
        }
        for (word, side) in sides {
            match side {
                Side::Range(range) if as_prefix(range).is_none() => {
                    self.put(format_args!(" --{word}-range {}-{}", range.first(), range.last()));
                }
                Side::Any | Side::Range(_) | Side::Ipset(_) => {}
            }
        }
        for (word, side) in sides {
            if let Side::Ipset(name) = side {
                self.put(format_args!(" -m set --match-set {name} {word}"));
            }
        }
    }

    fn state(&mut self, state: &State) {
        match state {
            State::Any => {}
            State::New => self.text.push_str(" -m conntrack --ctstate NEW"),
            State::EstablishedOrRelated => self.text.push_str(" -m conntrack --ctstate RELATED,ESTABLISHED"),
            State::Translated(prefix, ports) => {
                // States in one match are alternatives, so it takes two.
                self.text.push_str(" -m conntrack --ctstate NEW -m conntrack --ctstate DNAT");
                if let Some(prefix) = prefix {
                    self.put(format_args!(" --ctorigdst {prefix}"));
                }
                if let Some(ports) = ports {
                    self.text.push_str(" --ctorigdstport ");
                    port_list(&mut self.text, &[*ports]);
                }
            }
        }
    }

    fn comment(&mut self, comment: Comment) {
        match comment {
            Comment::None => {}
            Comment::Words(words) => self.words([" -m comment --comment \"fwc: ", words, "\""]),
            Comment::Entry(name) => self.words([" -m comment --comment \"fwc: ", name, "\""]),
            Comment::Nat(number) => self.put(format_args!(" -m comment --comment \"fwc: nat {number}\"")),
        }
    }

    fn target(&mut self, target: &Target) {
        match target {
            Target::Jump(name) => self.words([" -j ", name]),
            Target::Goto(name) => self.words([" -g ", name]),
            Target::Return => self.text.push_str(" -j RETURN"),
            Target::Do(action) => self.action(*action),
        }
    }

    fn action(&mut self, action: Action) {
        match action {
            Action::Accept => self.text.push_str(" -j ACCEPT"),
            Action::Drop => self.text.push_str(" -j DROP"),
            Action::Notrack => self.text.push_str(" -j CT --notrack"),
            Action::Masquerade => self.text.push_str(" -j MASQUERADE"),
            Action::Snat(to) => self.put(format_args!(" -j SNAT --to-source {to}")),
            Action::Dnat(to, None) => self.put(format_args!(" -j DNAT --to-destination {to}")),
            Action::Dnat(to, Some(port)) => {
                self.put(format_args!(" -j DNAT --to-destination {}", SocketAddr::new(to, port)));
            }
            Action::Redirect(port) => self.put(format_args!(" -j REDIRECT --to-ports {port}")),
        }
    }
}

impl Table {
    /// Appends the table: its chains, and their rules in the order of the chains.
    pub fn write(&self, text: &mut String) {
        text.reserve(self.rules.len());
        let _ = writeln!(text, "*{}", self.name);
        for chain in &self.builtin {
            let policy = if chain.drops { "DROP" } else { "ACCEPT" };
            let _ = writeln!(text, ":{} {policy} [0:0]", chain.name);
        }
        for chain in &self.chains {
            [":", &chain.name, " - [0:0]\n"].into_iter().for_each(|word| text.push_str(word));
        }
        let rules = self.builtin.iter().map(|chain| &chain.rules).chain(self.chains.iter().map(|chain| &chain.rules));
        text.extend(rules.filter_map(|written| self.rules.get(written.clone())));
        text.push_str("COMMIT\n");
    }
}

/// The range as iptables writes a prefix or an address, if it is one.
fn as_prefix(range: &AddrRange) -> Option<Prefix> {
    let (first, last, bits) = match *range {
        AddrRange::V4(first, last) => (u128::from(first), u128::from(last), 32),
        AddrRange::V6(first, last) => (first, last, 128),
    };
    let free = u128::BITS - (first ^ last).leading_zeros();
    let mask = u128::MAX.checked_shr(u128::BITS - free).unwrap_or(0);
    (first & mask == 0 && last & mask == mask).then(|| Prefix(range.first(), bits - free, bits))
}

/// First address, length of the prefix, bits of an address.
struct Prefix(IpAddr, u32, u32);

/// A number in decimal digits.
pub(super) fn decimal(text: &mut String, number: u32) {
    if number > 9 {
        decimal(text, number / 10);
    }
    // Always a digit.
    text.push(char::from(b'0' + (number % 10) as u8));
}

/// An IPv4 address.
fn dotted(text: &mut String, address: Ipv4Addr) {
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        decimal(text, octet.into());
    }
}

/// Ports and ranges joined by commas, ranges with a colon.
fn port_list(text: &mut String, ports: &[(u16, u16)]) {
    for (index, &(start, end)) in ports.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        decimal(text, start.into());
        if start != end {
            text.push(':');
            decimal(text, end.into());
        }
    }
}
