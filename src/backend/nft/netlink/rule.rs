//! Rules as expressions: the same ones that nft makes of the text, so that it lists them as they were written.

use nftnl::nftnl_sys::libc;

use super::attribute::Writer;
use super::set::{ANONYMOUS, ElementWriter, Shape};
use crate::backend::nft::key_type;
use crate::backend::nft::keys::interface_bytes;
use crate::backend::nft::program::{Condition, ConntrackState, Direction, Program, Rule, Selector, Side, Verdict};
use crate::net::{AddrRange, Family, Protocol};
use crate::sys::expression::{Comparison, Expression, Header, Nat, Register};

/// Bits of `enum ip_conntrack_info` as nft shows them.
const CT_ESTABLISHED: u32 = 1 << 1;
const CT_RELATED: u32 = 1 << 2;
const CT_NEW: u32 = 1 << 3;
/// `IPS_DST_NAT`
const CT_TRANSLATED: u32 = 1 << 5;
/// `RTN_LOCAL`
const ROUTE_LOCAL: u32 = 2;
/// Index of lo: the first interface of every namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;
/// Protocol number of the IPv6 fragment header.
const FRAGMENT_HEADER: u8 = 44;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// Gives ids to sets. Named ones have theirs by their place, so anonymous ones start behind them.
pub(super) struct Ids(pub(super) u32);

/// The expressions of a rule while they are made, and the sets that belong to it.
pub(super) struct Encoder<'a> {
    program: &'a Program,
    pub(super) expressions: Vec<Expression>,
    ids: &'a mut Ids,
    /// Messages of the rule's own sets.
    pub(super) sets: &'a mut Writer,
    /// Where each of these messages starts.
    pub(super) offsets: Vec<usize>,
    family: Option<Family>,
    protocol: Option<u8>,
}

const HERE: Register = Register::FIRST;

impl<'a> Encoder<'a> {
    pub(super) fn new(program: &'a Program, ids: &'a mut Ids, sets: &'a mut Writer) -> Self {
        Encoder { program, expressions: Vec::new(), ids, sets, offsets: Vec::new(), family: None, protocol: None }
    }

    pub(super) fn rule(&mut self, rule: &Rule) {
        for condition in &rule.conditions {
            self.condition(condition);
        }
        if rule.counter {
            self.push(Expression::counter());
        }
        self.verdict(&rule.verdict);
    }

    fn push(&mut self, expression: Expression) {
        self.expressions.push(expression);
    }

    fn equal(&mut self, data: &[u8]) {
        self.push(Expression::compare(HERE, Comparison::Equal, data));
    }

    fn meta(&mut self, key: i32, register: Register) {
        self.push(Expression::meta(key.cast_unsigned(), register));
    }

    /// The packet is of this family, unless that is known by now.
    fn need_family(&mut self, family: Family) {
        if self.family != Some(family) {
            self.meta(libc::NFT_META_NFPROTO, HERE);
            self.equal(&[nfproto(family)]);
            self.family = Some(family);
        }
    }

    /// The packet is of this protocol, unless that is known by now.
    fn need_protocol(&mut self, protocol: u8) {
        if self.protocol != Some(protocol) {
            self.meta(libc::NFT_META_L4PROTO, HERE);
            self.equal(&[protocol]);
            self.protocol = Some(protocol);
        }
    }

    fn condition(&mut self, condition: &Condition) {
        match condition {
            Condition::Loopback(direction) => {
                self.meta(if *direction == Direction::In { libc::NFT_META_IIF } else { libc::NFT_META_OIF }, HERE);
                self.equal(&LOOPBACK.to_ne_bytes());
            }
            Condition::Interfaces(direction, names) => {
                self.meta(interface_key(*direction), HERE);
                let names: Vec<[u8; 16]> = names.iter().map(|name| interface_bytes(name.as_str())).collect();
                self.one_of(key_type::INTERFACE, &names);
            }
            Condition::Family(family) => self.need_family(*family),
            Condition::Address(side, range) => self.address(*side, *range),
            Condition::Protocol(protocol) => self.need_protocol(protocol.number()),
            Condition::Ports(protocol, side, ports) => self.ports(*protocol, *side, ports),
            Condition::Icmp(family, types) => {
                self.need_family(*family);
                self.need_protocol(if *family == Family::V4 { 1 } else { 58 });
                self.push(Expression::payload(Header::Transport, 0, 1, HERE));
                let types: Vec<[u8; 1]> = types.iter().map(|number| [*number]).collect();
                self.one_of(if *family == Family::V4 { key_type::ICMP } else { key_type::ICMPV6 }, &types);
            }
            Condition::BareSyn(wanted) => {
                self.need_protocol(Protocol::TCP.number());
                self.push(Expression::payload(Header::Transport, 13, 1, HERE));
                self.push(Expression::mask(HERE, &[SYN | ACK]));
                let how = if *wanted { Comparison::Equal } else { Comparison::NotEqual };
                self.push(Expression::compare(HERE, how, &[SYN]));
            }
            Condition::LocalDestination(wanted) => {
                self.push(Expression::destination_type(HERE));
                let how = if *wanted { Comparison::Equal } else { Comparison::NotEqual };
                self.push(Expression::compare(HERE, how, &ROUTE_LOCAL.to_ne_bytes()));
            }
            Condition::State(state) => self.bits(
                libc::NFT_CT_STATE,
                match state {
                    ConntrackState::New => CT_NEW,
                    ConntrackState::EstablishedOrRelated => CT_ESTABLISHED | CT_RELATED,
                },
            ),
            Condition::Translated => self.bits(libc::NFT_CT_STATUS, CT_TRANSLATED),
            Condition::OriginalDestination(range) => self.original(*range),
            Condition::OriginalPorts(first, last) => {
                self.push(Expression::conntrack_original(libc::NFT_CT_PROTO_DST.cast_unsigned(), HERE));
                self.between(&first.to_be_bytes(), &last.to_be_bytes());
            }
            Condition::LaterFragment(family) => self.later_fragment(*family),
            Condition::In(selectors, set) => self.lookup(selectors, set.0, false),
            Condition::NotIn(selectors, set) => self.lookup(selectors, set.0, true),
            Condition::AnyPort(protocol, side) => {
                self.need_protocol(protocol.number());
                self.push(Expression::payload(Header::Transport, port_offset(*side), 2, HERE));
                self.push(Expression::compare(HERE, Comparison::NotEqual, &[0; 2]));
            }
        }
    }

    /// Any of these bits of a conntrack field.
    fn bits(&mut self, key: i32, bits: u32) {
        self.push(Expression::conntrack(key.cast_unsigned(), HERE));
        self.push(Expression::mask(HERE, &bits.to_ne_bytes()));
        self.push(Expression::compare(HERE, Comparison::NotEqual, &[0; 4]));
    }

    fn later_fragment(&mut self, family: Family) {
        let mask: u16 = match family {
            Family::V4 => {
                self.need_family(family);
                self.push(Expression::payload(Header::Network, 6, 2, HERE));
                0x1fff
            }
            Family::V6 => {
                // What an extension header needs, nft asks before anything else.
                let before = std::mem::take(&mut self.expressions);
                self.need_family(family);
                self.expressions.extend(before);
                self.push(Expression::extension_header(FRAGMENT_HEADER, 2, 2, HERE));
                0xfff8
            }
        };
        self.push(Expression::mask(HERE, &mask.to_be_bytes()));
        self.push(Expression::compare(HERE, Comparison::NotEqual, &[0; 2]));
    }

    fn address(&mut self, side: Side, range: AddrRange) {
        self.need_family(range.family());
        let (offset, length) = address_place(range.family(), side);
        let (first, last) = ends(range);
        match prefix_bits(&first, &last) {
            // Whole bytes: no mask is needed.
            Some(bits) if bits > 0 && bits.is_multiple_of(8) => {
                let bytes = bits / 8;
                self.push(Expression::payload(Header::Network, offset, bytes, HERE));
                self.equal(first.get(..bytes as usize).unwrap_or(&first));
            }
            bits => {
                self.push(Expression::payload(Header::Network, offset, length, HERE));
                self.range(&first, &last, bits);
            }
        }
    }

    fn original(&mut self, range: AddrRange) {
        let key = if range.family() == Family::V4 { libc::NFT_CT_DST_IP } else { libc::NFT_CT_DST_IP6 };
        self.push(Expression::conntrack_original(key.cast_unsigned(), HERE));
        let (first, last) = ends(range);
        self.range(&first, &last, prefix_bits(&first, &last));
    }

    /// The register lies between the two; `bits` is the length of their common prefix, if they are the ends of one.
    fn range(&mut self, first: &[u8], last: &[u8], bits: Option<u32>) {
        if first != last && bits.is_some() {
            let mask: Vec<u8> = first.iter().zip(last).map(|(first, last)| !(first ^ last)).collect();
            self.push(Expression::mask(HERE, &mask));
            self.equal(first);
        } else {
            self.between(first, last);
        }
    }

    fn between(&mut self, first: &[u8], last: &[u8]) {
        if first == last {
            self.equal(first);
            return;
        }
        self.push(Expression::compare(HERE, Comparison::AtLeast, first));
        self.push(Expression::compare(HERE, Comparison::AtMost, last));
    }

    fn ports(&mut self, protocol: Option<Protocol>, side: Side, ports: &[(u16, u16)]) {
        if let Some(protocol) = protocol {
            self.need_protocol(protocol.number());
        }
        self.push(Expression::payload(Header::Transport, port_offset(side), 2, HERE));
        if let [(first, last)] = ports {
            self.between(&first.to_be_bytes(), &last.to_be_bytes());
        } else if ports.iter().all(|(first, last)| first == last) {
            let ports: Vec<[u8; 2]> = ports.iter().map(|(port, _)| port.to_be_bytes()).collect();
            self.one_of(key_type::PORT, &ports);
        } else {
            // A start and an end for each, and the end before the first.
            let shape = self.anonymous(key_type::PORT, 2, true, ports.len() * 2 + 1);
            self.fill(&shape, |elements| elements.intervals(ports, u16::to_be_bytes));
        }
    }

    /// The register holds one of these values.
    fn one_of<const N: usize>(&mut self, key_type: u32, values: &[[u8; N]]) {
        if let [only] = values {
            self.equal(only);
            return;
        }
        let length = u32::try_from(N).unwrap_or(u32::MAX);
        let shape = self.anonymous(key_type, length, false, values.len());
        self.fill(&shape, |elements| values.iter().for_each(|value| elements.key(value)));
    }

    fn anonymous(&mut self, key_type: u32, length: u32, interval: bool, size: usize) -> Shape<'static> {
        self.ids.0 += 1;
        Shape::anonymous(self.ids.0, key_type, length, interval, size)
    }

    /// Makes a set of this rule and looks the register up in it.
    fn fill(&mut self, shape: &Shape<'static>, fill: impl FnOnce(&mut ElementWriter<'_, '_>)) {
        self.offsets.push(self.sets.bytes.len());
        shape.write(self.sets);
        let mut elements = ElementWriter::new(self.sets, shape);
        fill(&mut elements);
        let offsets = elements.finish();
        self.offsets.extend(offsets);
        self.push(Expression::lookup(HERE, ANONYMOUS, shape.id, false));
    }

    /// Loads the fields of a key one behind the other and looks it up.
    fn lookup(&mut self, selectors: &[Selector], set: usize, inverted: bool) {
        for selector in selectors {
            if let Some(family) = selector.family() {
                self.need_family(family);
            }
        }
        let mut word = 0;
        for selector in selectors {
            let register = Register::word(word);
            word += self.load(*selector, register);
        }
        let name = self.program.sets.get(set).map_or("", |set| &set.name);
        self.push(Expression::lookup(HERE, name, super::id(set), inverted));
    }

    /// Loads a field and gives the number of registers that it takes.
    fn load(&mut self, selector: Selector, register: Register) -> usize {
        match selector {
            Selector::Interface(direction) => {
                self.meta(interface_key(direction), register);
                4
            }
            Selector::Address(family, side) => {
                let (offset, length) = address_place(family, side);
                self.push(Expression::payload(Header::Network, offset, length, register));
                length as usize / 4
            }
            Selector::Protocol => {
                self.meta(libc::NFT_META_L4PROTO, register);
                1
            }
            Selector::Port(side) => {
                self.push(Expression::payload(Header::Transport, port_offset(side), 2, register));
                1
            }
            Selector::OriginalDestination(family) => {
                let (key, words) = match family {
                    Family::V4 => (libc::NFT_CT_DST_IP, 1),
                    Family::V6 => (libc::NFT_CT_DST_IP6, 4),
                };
                self.push(Expression::conntrack_original(key.cast_unsigned(), register));
                words
            }
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        let expression = match verdict {
            Verdict::Accept => Expression::verdict(libc::NF_ACCEPT, None),
            Verdict::Drop => Expression::verdict(libc::NF_DROP, None),
            Verdict::Return => Expression::verdict(libc::NFT_RETURN, None),
            Verdict::Jump(chain) => Expression::verdict(libc::NFT_JUMP, Some(chain)),
            Verdict::Notrack => Expression::notrack(),
            Verdict::Masquerade => Expression::masquerade(),
            Verdict::Snat(to) => return self.nat(Nat::Source, AddrRange::host(*to), None),
            Verdict::Dnat(to, port) => return self.nat(Nat::Destination, AddrRange::host(*to), *port),
            Verdict::Redirect(port) => {
                self.push(Expression::immediate(HERE, &port.to_be_bytes()));
                Expression::redirect(HERE)
            }
        };
        self.push(expression);
    }

    fn nat(&mut self, kind: Nat, to: AddrRange, port: Option<u16>) {
        let family = to.family();
        self.push(Expression::immediate(HERE, &ends(to).0));
        let behind = Register::word(4);
        if let Some(port) = port {
            self.push(Expression::immediate(behind, &port.to_be_bytes()));
        }
        self.push(Expression::nat(kind, nfproto(family).into(), HERE, port.map(|_| behind)));
    }
}

fn nfproto(family: Family) -> u8 {
    match family {
        Family::V4 => 2,
        Family::V6 => 10,
    }
}

fn interface_key(direction: Direction) -> i32 {
    match direction {
        Direction::In => libc::NFT_META_IIFNAME,
        Direction::Out => libc::NFT_META_OIFNAME,
    }
}

/// Offset and length of an address in the IP header, bytes.
fn address_place(family: Family, side: Side) -> (u32, u32) {
    match (family, side) {
        (Family::V4, Side::Source) => (12, 4),
        (Family::V4, Side::Destination) => (16, 4),
        (Family::V6, Side::Source) => (8, 16),
        (Family::V6, Side::Destination) => (24, 16),
    }
}

fn port_offset(side: Side) -> u32 {
    match side {
        Side::Source => 0,
        Side::Destination => 2,
    }
}

/// First and last address in network order.
fn ends(range: AddrRange) -> (Vec<u8>, Vec<u8>) {
    match range {
        AddrRange::V4(first, last) => (first.to_be_bytes().to_vec(), last.to_be_bytes().to_vec()),
        AddrRange::V6(first, last) => (first.to_be_bytes().to_vec(), last.to_be_bytes().to_vec()),
    }
}

/// The prefix length, if these are the first and last address of a prefix.
fn prefix_bits(first: &[u8], last: &[u8]) -> Option<u32> {
    let mut bits = 0;
    let mut inside = true;
    for (first, last) in first.iter().zip(last) {
        for bit in (0..8).rev() {
            let (first, last) = (first >> bit & 1, last >> bit & 1);
            match (inside, first, last) {
                (true, a, b) if a == b => bits += 1,
                (_, 0, 1) => inside = false,
                _ => return None,
            }
        }
    }
    Some(bits)
}
