//! A packet out of a set: the plainest one, written as a spec's tests write it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::bdd::{Member, Result, Set};
use super::names::LOOPBACK;
use super::space::{Field, Space};
use super::way::Path;
use crate::dump::{InterfacePattern, Parts, Side, States, Way};
use crate::net::{Family, Protocol, RangeSet, TcpFlags};
use crate::spec::State;

/// A packet of which something is not as claimed.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Which one of all packets, in the space of the proof.
    pub member: Member,
    /// Where it goes.
    pub path: Path,
    /// Its family.
    pub family: Family,
    /// Its headers, as a spec's tests write them.
    pub packet: String,
    /// Which part of a packet it is.
    pub fragment: Part,
    /// The interface it comes in on; `None`: any that no rule names.
    pub incoming: Option<String>,
    /// The interface it goes out by.
    pub outgoing: Option<String>,
    /// What conntrack says, if it looks.
    pub state: State,
    /// What else is special about it, in words.
    pub notes: Vec<String>,
}

/// Which part of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Not a fragment.
    Whole,
    /// The first fragment.
    First,
    /// A later one.
    Later,
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.packet)?;
        let direction = match self.path {
            Path::In => "in",
            Path::Out => "out",
            Path::Forward => "forward",
        };
        write!(f, ", direction {direction}")?;
        for (word, name) in [("interface", &self.incoming), ("outgoing interface", &self.outgoing)] {
            if let Some(name) = name {
                write!(f, ", {word} {name}")?;
            }
        }
        let state = match self.state {
            State::New => "new",
            State::Established => "established",
            State::Related => "related",
            State::Invalid => "invalid",
        };
        write!(f, ", state {state}")?;
        match self.fragment {
            Part::Whole => {}
            Part::First => f.write_str(", first fragment")?,
            Part::Later => f.write_str(", later fragment")?,
        }
        self.notes.iter().try_for_each(|note| write!(f, ", {note}"))
    }
}

/// The plainest packet of a set that is not empty.
pub fn witness(space: &Space, set: &Set, path: Path) -> Result<Option<Witness>> {
    let set = plainest(space, set.clone(), path)?;
    let Some(member) = set.member() else { return Ok(None) };
    let family = if space.family(Family::V6)?.has(&member) { Family::V6 } else { Family::V4 };
    let part = if space.parts(Parts::LATER)?.has(&member) {
        Part::Later
    } else if space.parts(Parts::FIRST)?.has(&member) {
        Part::First
    } else {
        Part::Whole
    };
    let ends = [Side::Source, Side::Destination].map(|side| space.values(&member, Field::Address(side), family));
    let is_loopback = [Way::In, Way::Out].iter().any(|way| space.name(&member, *way).as_deref() == Some(LOOPBACK));
    let ends = if is_loopback { ends.map(|end| pick_address(end, family, None)) } else { pick_apart(ends, family) };
    Ok(Some(Witness {
        path,
        family,
        packet: headers(space, &member, family, ends),
        fragment: part,
        incoming: if path == Path::Out { None } else { space.name(&member, Way::In) },
        outgoing: if path == Path::In { None } else { space.name(&member, Way::Out) },
        state: state(space, &member)?,
        notes: notes(space, &member, path, family)?,
        member,
    }))
}

/// Narrows a set down to packets that a person would think of first, as far as there are such packets in it.
fn plainest(space: &Space, mut set: Set, path: Path) -> Result<Set> {
    let protocol = |number| space.protocol(&RangeSet::single(number));
    let near = |side| space.local(side);
    let whole = Parts { whole: true, first: false, later: false };
    let state = |new, established| space.state(States { new, established, ..States::default() });
    let named = |way| space.interface(way, &space.named());
    let mut wishes = vec![
        space.parts(whole)?,
        space.translated(Side::Destination)?.not()?,
        space.translated(Side::Source)?.not()?,
        space.came_untracked()?.not()?,
        if path == Path::In { near(Side::Destination)? } else { near(Side::Destination)?.not()? },
        if path == Path::Out { near(Side::Source)? } else { near(Side::Source)?.not()? },
        named(Way::In)?.not()?,
        named(Way::Out)?.not()?,
        space.family(Family::V4)?,
        protocol(6)?,
        protocol(17)?,
        state(true, false)?,
        state(false, true)?,
        space.flags(0xff, 2)?,
        space.flags(0xff, 18)?,
        space.flags(0xff, 16)?,
    ];
    // Over loopback, the host talks with itself.
    let lo = space.interface(Way::Out, &[InterfacePattern::exact(LOOPBACK)])?;
    let leaves = path == Path::Out && !set.minus(&lo)?.is_empty();
    for side in [Side::Source, Side::Destination] {
        for family in Family::BOTH {
            wishes.push(space.usual_address(side, family, leaves)?);
        }
        wishes.push(space.usual_port(side)?);
    }
    for wish in wishes {
        let narrowed = set.and(&wish)?;
        if !narrowed.is_empty() {
            set = narrowed;
        }
    }
    Ok(set)
}

fn headers(space: &Space, member: &Member, family: Family, [source, destination]: [IpAddr; 2]) -> String {
    let values = |field| space.values(member, field, family);
    let number = u8::try_from(values(Field::Protocol).0).unwrap_or(0);
    if number == super::space::icmp(family) {
        let name = if family == Family::V4 { "icmp" } else { "icmpv6" };
        return format!("{name} {source} > {destination} {}", values(Field::IcmpType).0);
    }
    let Ok(protocol) = number.to_string().parse::<Protocol>() else {
        return format!("{number} {source} > {destination}");
    };
    if !protocol.has_ports() {
        return format!("{protocol} {source} > {destination}");
    }
    let end = |address: IpAddr, side| {
        let port = pick_port(values(Field::Port(side)));
        if address.is_ipv4() { format!("{address}:{port}") } else { format!("[{address}]:{port}") }
    };
    let (from, to) = (end(source, Side::Source), end(destination, Side::Destination));
    let flags =
        if protocol == Protocol::TCP { format!(" {}", TcpFlags(space.flag_bits(member))) } else { String::new() };
    format!("{protocol} {from} > {to}{flags}")
}

/// Two addresses, and not the same one where there is another: only over loopback does a host talk with itself.
fn pick_apart([source, destination]: [(u128, u128); 2], family: Family) -> [IpAddr; 2] {
    let from = pick_address(source, family, None);
    let to = pick_address(destination, family, Some(from));
    if from == to { [pick_address(source, family, Some(to)), to] } else { [from, to] }
}

/// Addresses that examples use, if one of them is in the range; else its first that is not `other`.
fn pick_address((first, last): (u128, u128), family: Family, other: Option<IpAddr>) -> IpAddr {
    let usual: &[u128] = match family {
        Family::V4 => &[0xc633_6407, 0xcb00_7105, 0xc000_0250],
        Family::V6 => &[0x2001_0db8_0000_0000_0000_0000_0000_0007, 0x2001_0db8_0000_0000_0000_0000_0000_0005],
    };
    let plain = if first == 0 { last.min(1) } else { first };
    let address = |value: u128| -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::from_bits(u32::try_from(value).unwrap_or(u32::MAX)).into(),
            Family::V6 => Ipv6Addr::from_bits(value).into(),
        }
    };
    let usual = usual.iter().copied().chain([plain, plain.saturating_add(1)]);
    let mut fitting = usual.filter(|value| first <= *value && *value <= last).map(address);
    fitting.find(|found| Some(*found) != other).unwrap_or(address(plain))
}

fn pick_port((first, last): (u128, u128)) -> u16 {
    let value =
        [40_000, 80].into_iter().find(|value| first <= *value && *value <= last).unwrap_or(first.max(1).min(last));
    u16::try_from(value).unwrap_or(u16::MAX)
}

fn state(space: &Space, member: &Member) -> Result<State> {
    let is = |states| space.state(states).map(|set| set.has(member));
    Ok(if is(States { new: true, ..States::default() })? {
        State::New
    } else if is(States { established: true, ..States::default() })? {
        State::Established
    } else if is(States { related: true, ..States::default() })? {
        State::Related
    } else {
        State::Invalid
    })
}

fn notes(space: &Space, member: &Member, path: Path, family: Family) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    if path == Path::In && !space.local(Side::Destination)?.has(member) {
        notes.push("to a broadcast or multicast address".to_string());
    }
    if path == Path::Forward && space.local(Side::Destination)?.has(member) {
        notes.push("to an address of this host".to_string());
    }
    if space.came_untracked()?.has(member) {
        notes.push("untracked when it was sent over loopback".to_string());
    }
    if space.translated(Side::Destination)?.has(member) {
        let address = pick_address(space.values(member, Field::OriginalAddress, family), family, None);
        let port = pick_port(space.values(member, Field::OriginalPort, family));
        notes.push(format!("translated by destination NAT from {address} port {port}"));
    }
    if space.translated(Side::Source)?.has(member) {
        notes.push("translated by source NAT".to_string());
    }
    notes.extend(space.answered(member).into_iter().map(|question| format!("`{question}` holds")));
    Ok(notes)
}
