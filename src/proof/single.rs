//! One packet as a set: what a concrete packet is in the space of a proof.

use super::bdd::{Result, Set};
use super::space::{Field, Space, icmp};
use crate::dump::{InterfacePattern, Parts, Side, States, Way};
use crate::net::{AddressSet, PacketHeader, RangeSet};
use crate::packet::{Fragment, Packet};
use crate::spec::{Direction, State};

/// All packets that look like this one. What it does not say (the outgoing interface of a routed packet, the code of an ICMP message) is free.
pub fn set(space: &Space, packet: &Packet) -> Result<Set> {
    let address = |side, address: std::net::IpAddr| {
        let set: AddressSet = [crate::net::AddrRange::host(address)].into_iter().collect();
        space.address(Field::Address(side), &set)
    };
    let mut all = vec![
        address(Side::Source, packet.source)?,
        address(Side::Destination, packet.destination)?,
        part(space, packet.fragment)?,
        state(space, packet.state)?,
        space.came_untracked()?.not()?,
    ];
    header(space, packet, &mut all)?;
    let local = space.local(Side::Destination)?;
    match packet.direction {
        Direction::In if packet.is_to_own_address() => all.push(local),
        Direction::In => all.push(local.not()?),
        Direction::Forward => {
            all.push(local.not()?);
            all.push(space.interface(Way::Out, &[InterfacePattern::exact("lo")])?.not()?);
        }
        Direction::Out => {}
    }
    let way = if packet.direction == Direction::Out { Way::Out } else { Way::In };
    all.push(match &packet.interface {
        Some(name) => space.interface(way, &[InterfacePattern::exact(name.as_str())])?,
        None => space.interface(way, &space.named())?.not()?,
    });
    translated(space, packet, &mut all)?;
    space.engine.every(&all)
}

fn part(space: &Space, fragment: Fragment) -> Result<Set> {
    let (whole, first, later) = match fragment {
        Fragment::Whole => (true, false, false),
        Fragment::First => (false, true, false),
        Fragment::Later => (false, false, true),
    };
    space.parts(Parts { whole, first, later })
}

fn state(space: &Space, state: State) -> Result<Set> {
    let is = |one| state == one;
    space.state(States {
        new: is(State::New),
        established: is(State::Established),
        related: is(State::Related),
        invalid: is(State::Invalid),
        untracked: false,
    })
}

/// The protocol, and what a header says that is there.
fn header(space: &Space, packet: &Packet, all: &mut Vec<Set>) -> Result<()> {
    let number = match packet.header {
        PacketHeader::Tcp(..) => 6,
        PacketHeader::Ports(protocol, ..) | PacketHeader::Plain(protocol) => protocol.number(),
        PacketHeader::Icmp(_) => icmp(packet.family()),
    };
    all.push(space.protocol(&RangeSet::single(number))?);
    if packet.fragment == Fragment::Later {
        return Ok(());
    }
    let mut ports = |source, destination| -> Result<()> {
        all.push(space.port(Side::Source, &RangeSet::single(source))?);
        all.push(space.port(Side::Destination, &RangeSet::single(destination))?);
        Ok(())
    };
    match packet.header {
        PacketHeader::Tcp(source, destination, flags) => {
            ports(source, destination)?;
            all.push(space.flags(0xff, flags.0)?);
        }
        PacketHeader::Ports(_, source, destination) => ports(source, destination)?,
        PacketHeader::Icmp(kind) => {
            all.push(space.icmp(packet.family(), &RangeSet::single(kind), &RangeSet::all())?);
        }
        PacketHeader::Plain(_) => {}
    }
    Ok(())
}

fn translated(space: &Space, packet: &Packet, all: &mut Vec<Set>) -> Result<()> {
    let translated = space.translated(Side::Destination)?;
    all.push(space.translated(Side::Source)?.not()?);
    let Some((address, port)) = packet.translated_from else {
        all.push(translated.not()?);
        return Ok(());
    };
    all.push(translated);
    let set: AddressSet = [crate::net::AddrRange::host(address)].into_iter().collect();
    all.push(space.address(Field::OriginalAddress, &set)?);
    if let Some(port) = port {
        all.push(space.original_port(&RangeSet::single(port))?);
    }
    Ok(())
}
