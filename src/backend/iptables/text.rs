//! Lines and tables as iptables-restore reads them.

use std::io::Write;
use std::marker::PhantomData;
use std::net::SocketAddr;

use super::address::{Address, as_prefix};
use super::digits::decimal;
use super::line::{Comment, Detail, Line, Link, Side, State, Target};
use super::lines::Lines;
use super::names::{CHAIN, Names};
use crate::net::Family;
use crate::ruleset::{Action, Locality};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Writes rules of one family.
pub(super) struct Writer<A> {
    /// UTF-8. Single bytes and copies of a fixed length are quicker to append than pieces of text.
    pub text: Vec<u8>,
    family: PhantomData<A>,
}

impl<A: Address> Writer<A> {
    pub fn new() -> Self {
        Writer { text: Vec::new(), family: PhantomData }
    }

    /// Writes a line of a chain.
    pub fn rule(&mut self, chain: &str, line: &Line<A>) {
        self.words(["-A ", chain]);
        self.conditions(line);
        self.comment(line.comment);
        self.target(line.target);
    }

    /// Writes lines of a chain.
    pub fn rules(&mut self, chain: &str, lines: &Lines<A>, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            self.words(["-A ", chain]);
            lines.write(number, true, &mut self.text);
        }
    }

    /// The cheap conditions come first: the kernel stops at the first that does not hold.
    pub fn conditions(&mut self, line: &Line<A>) {
        let is_source_written = self.prefix(" -s ", line.source);
        let is_destination_written = self.prefix(" -d ", line.destination);
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
        if !(is_source_written && is_destination_written) {
            self.ranges_and_sets(line);
        }
        match line.locality {
            Locality::Anywhere => {}
            Locality::Local => self.word(" -m addrtype --dst-type LOCAL"),
            Locality::NotLocal => self.word(" -m addrtype ! --dst-type LOCAL"),
        }
        self.state(line.state);
    }

    /// For what is rare: formatting takes several times as long as the pushing of [`Writer::words`] and [`decimal`].
    fn put(&mut self, arguments: std::fmt::Arguments) {
        // Writing to memory cannot fail.
        let _ = self.text.write_fmt(arguments);
    }

    fn word(&mut self, word: &str) {
        self.text.extend_from_slice(word.as_bytes());
    }

    fn words<const N: usize>(&mut self, words: [&str; N]) {
        words.into_iter().for_each(|word| self.word(word));
    }

    /// Writes an address or prefix. Says whether there is nothing left to be written.
    fn prefix(&mut self, option: &str, side: Side<A>) -> bool {
        let span = match side {
            Side::Any => return true,
            Side::Range(span) => span,
            Side::Ipset(_) => return false,
        };
        let Some(length) = as_prefix(span) else { return false };
        self.word(option);
        span.0.write(&mut self.text);
        if length < A::BITS {
            self.text.push(b'/');
            decimal(&mut self.text, length);
        }
        true
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
        self.word(" -p ");
        self.word(name);
    }

    /// `multiport` serves every protocol with ports; `sctp` and `dccp` are kernel modules that may be missing.
    fn ports(&mut self, line: &Line<A>) {
        let (source, destination) = (line.source_ports, line.destination_ports);
        let own = match line.protocol {
            Some(TCP) => " -m tcp",
            Some(UDP) => " -m udp",
            _ => "",
        };
        let single = |ports: &[(u16, u16)]| !own.is_empty() && ports.len() == 1;
        let guarded = line.detail == Detail::Guarded;
        if guarded || single(source) || single(destination) {
            self.word(own);
        }
        if single(source) {
            self.port_list(" --sport ", source);
        }
        if single(destination) {
            self.port_list(" --dport ", destination);
        }
        if guarded {
            self.word(" ! --tcp-flags SYN,ACK SYN");
        }
        if !source.is_empty() && !single(source) {
            self.port_list(" -m multiport --sports ", source);
        }
        if !destination.is_empty() && !single(destination) {
            self.port_list(" -m multiport --dports ", destination);
        }
    }

    /// Ports and ranges joined by commas, ranges with a colon.
    fn port_list(&mut self, option: &str, ports: &[(u16, u16)]) {
        let mut before = option;
        for &(start, end) in ports {
            self.word(before);
            before = ",";
            decimal(&mut self.text, start.into());
            if start != end {
                self.text.push(b':');
                decimal(&mut self.text, end.into());
            }
        }
    }

    fn detail(&mut self, detail: Detail) {
        match (detail, A::FAMILY) {
            (Detail::None | Detail::Guarded, _) => {}
            (Detail::HasPorts, _) => self.word(" -m multiport --dports 0:65535"),
            (Detail::Icmp(kind), Family::V4) => self.put(format_args!(" -m icmp --icmp-type {kind}")),
            (Detail::Icmp(kind), Family::V6) => self.put(format_args!(" -m icmp6 --icmpv6-type {kind}")),
            (Detail::LaterFragment, _) => self.word(" -f"),
            (Detail::Fragment, _) => self.word(" -m frag --fragid 0:4294967295"),
            (Detail::FirstFragment, _) => self.word(" -m frag --fragid 0:4294967295 --fragfirst"),
        }
    }

    fn ranges_and_sets(&mut self, line: &Line<A>) {
        let sides = [("src", line.source), ("dst", line.destination)];
        let uneven = |side: Side<A>| match side {
            Side::Range(span) if as_prefix(span).is_none() => Some(span),
            Side::Any | Side::Range(_) | Side::Ipset(_) => None,
        };
        if sides.iter().any(|&(_, side)| uneven(side).is_some()) {
            self.word(" -m iprange");
        }
        for (word, side) in sides {
            if let Some((first, last)) = uneven(side) {
                self.words([" --", word, "-range "]);
                first.write(&mut self.text);
                self.text.push(b'-');
                last.write(&mut self.text);
            }
        }
        for (word, side) in sides {
            if let Side::Ipset(name) = side {
                self.words([" -m set --match-set ", name, " ", word]);
            }
        }
    }

    fn state(&mut self, state: State) {
        match state {
            State::Any => {}
            State::New => self.word(" -m conntrack --ctstate NEW"),
            State::EstablishedOrRelated => self.word(" -m conntrack --ctstate RELATED,ESTABLISHED"),
            State::Translated(prefix, ports) => {
                // States in one match are alternatives, so it takes two.
                self.word(" -m conntrack --ctstate NEW -m conntrack --ctstate DNAT");
                if let Some(prefix) = prefix {
                    self.put(format_args!(" --ctorigdst {prefix}"));
                }
                if let Some(ports) = ports {
                    self.port_list(" --ctorigdstport ", &[ports]);
                }
            }
        }
    }

    pub fn comment(&mut self, comment: Comment) {
        match comment {
            Comment::None => {}
            Comment::Words(words) => self.words([" -m comment --comment \"fwc: ", words, "\""]),
            Comment::Entry(name) => self.words([" -m comment --comment \"fwc: ", name, "\""]),
            Comment::Nat(number) => self.put(format_args!(" -m comment --comment \"fwc: nat {number}\"")),
        }
    }

    /// Ends the line.
    pub fn target(&mut self, target: &Target) {
        match target {
            Target::Jump(name) => self.words([" -j ", name, "\n"]),
            Target::Return => self.word(" -j RETURN\n"),
            Target::Do(action) => self.action(*action),
        }
    }

    fn action(&mut self, action: Action) {
        match action {
            Action::Accept => self.word(" -j ACCEPT\n"),
            Action::Drop => self.word(" -j DROP\n"),
            Action::Notrack => self.word(" -j CT --notrack\n"),
            Action::Masquerade => self.word(" -j MASQUERADE\n"),
            Action::Snat(to) => self.put(format_args!(" -j SNAT --to-source {to}\n")),
            Action::Dnat(to, None) => self.put(format_args!(" -j DNAT --to-destination {to}\n")),
            Action::Dnat(to, Some(port)) => {
                self.put(format_args!(" -j DNAT --to-destination {}\n", SocketAddr::new(to, port)));
            }
            Action::Redirect(port) => self.put(format_args!(" -j REDIRECT --to-ports {port}\n")),
        }
    }
}

/// A table as far as it is written.
pub(super) struct Sheet<A> {
    pub names: Names,
    /// The table's name and the chains that the kernel calls.
    head: Vec<u8>,
    /// The chains that fwc adds.
    chains: Vec<u8>,
    /// The rules of the kernel's chains.
    pub builtin: Writer<A>,
    /// The rules of the others, in the order of the chains. They are written as soon as a chain is complete: as lines, all chains together take
    /// several times the memory.
    pub rules: Writer<A>,
}

impl<A: Address> Sheet<A> {
    pub fn new(table: &str) -> Self {
        let head = format!("*{table}\n").into_bytes();
        let (builtin, rules) = (Writer::new(), Writer::new());
        Sheet { names: Names::new(CHAIN), head, chains: Vec::new(), builtin, rules }
    }

    /// Begins a chain that the kernel calls.
    pub fn add_builtin(&mut self, name: &str, drops: bool) {
        let policy = if drops { "DROP" } else { "ACCEPT" };
        self.head.extend_from_slice(format!(":{name} {policy} [0:0]\n").as_bytes());
    }

    /// Begins a chain, whose rules are to follow.
    pub fn add(&mut self, name: &[u8]) {
        [b":", name, b" - [0:0]\n"].into_iter().for_each(|word| self.chains.extend_from_slice(word));
    }

    /// The table in parts, which stand one behind the other.
    pub fn parts(self) -> [Vec<u8>; 3] {
        let (mut head, mut rules) = (self.head, self.rules.text);
        head.extend_from_slice(&self.chains);
        rules.extend_from_slice(b"COMMIT\n");
        [head, self.builtin.text, rules]
    }
}
