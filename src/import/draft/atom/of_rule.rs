//! What a rule says, as atoms: one for each protocol of each of its pieces.

use super::flow::Flow;
use super::{Atom, Atoms, Section, Target};
use crate::dump::Side;
use crate::import::draft::name;
use crate::import::draft::piece::{Piece, pieces};
use crate::import::leaf::Leaf;
use crate::net::{Family, Protocol, RangeSet};
use crate::proof::bdd::{Result, Set};
use crate::proof::space::Field;
use crate::proof::way::Path;

impl<'a> Atoms<'_, 'a> {
    /// Takes in the atoms of a rule; those of replies to services are told apart.
    pub(super) fn rule(&mut self, leaf: &Leaf<'a>, replies: &mut Vec<Atom>) -> Result<()> {
        for piece in pieces(&leaf.guard, leaf.family) {
            self.piece(leaf, &piece, replies)?;
        }
        Ok(())
    }

    fn piece(&mut self, leaf: &Leaf<'a>, piece: &Piece, replies: &mut Vec<Atom>) -> Result<()> {
        if !piece.opens() || piece.translated || piece.later || piece.icmp.is_some() {
            return Ok(());
        }
        if let Some(why) = &piece.why {
            self.left.push((leaf.rule, why.clone()));
            return Ok(());
        }
        let ways = [&piece.incoming, &piece.outgoing];
        if leaf.path != Path::In && ways.into_iter().any(Option::is_some) {
            self.left.push((leaf.rule, "of the entries of a spec, only services have interfaces".to_string()));
            return Ok(());
        }
        let Some(protocols) = protocols(piece) else {
            self.left.push((leaf.rule, "it does not ask for a protocol, and a spec lists them".to_string()));
            return Ok(());
        };
        for protocol in protocols {
            let Ok(named) = protocol.to_string().parse::<Protocol>() else { continue };
            let mut set = self.set(leaf.family, piece, protocol)?;
            if !leaf.packets.is_empty() {
                set = set.and(&leaf.packets)?;
            }
            if !leaf.is_raw() {
                set = set.minus(&self.always.on(leaf.path).accepted)?;
            }
            if set.is_empty() {
                continue;
            }
            let stateless = self.stateless(leaf, piece, &set, protocol)?;
            let flow = self.flow(leaf, piece, named, stateless)?;
            let Some(atom) = self.atom(leaf, piece, named, stateless, &flow)? else { continue };
            if flow.reply && !stateless {
                self.left.push((leaf.rule, "it accepts by source port what conntrack would know".to_string()));
            } else if flow.reply && flow.section == Section::Services {
                replies.push(atom);
            } else {
                self.found.push(atom);
            }
        }
        Ok(())
    }

    /// The packets of a family that a piece means, by protocol, addresses and ports.
    pub(super) fn set(&self, family: Family, piece: &Piece, protocol: u8) -> Result<Set> {
        let space = self.known.space;
        let mut all = vec![space.family(family)?, space.protocol(&RangeSet::single(protocol))?];
        for (side, set) in [(Side::Source, &piece.source), (Side::Destination, &piece.destination)] {
            if let Some(set) = set {
                all.push(space.address(Field::Address(side), set)?);
            }
        }
        for (side, set) in [(Side::Source, &piece.source_ports), (Side::Destination, &piece.destination_ports)] {
            if let Some(set) = set {
                all.push(space.port(side, set)?);
            }
        }
        space.engine.every(&all)
    }

    fn atom(
        &self,
        leaf: &Leaf<'a>,
        piece: &Piece,
        protocol: Protocol,
        stateless: bool,
        flow: &Flow,
    ) -> Result<Option<Atom>> {
        let (server, peer) = match flow.reply {
            false => ((&piece.destination, &piece.destination_ports), (&piece.source, &piece.source_ports)),
            true => ((&piece.source, &piece.source_ports), (&piece.destination, &piece.destination_ports)),
        };
        let some = |ports: &Option<RangeSet<u16>>| {
            let real = RangeSet::range(1, u16::MAX);
            ports.as_ref().map_or(real.clone(), |ports| ports.intersection(&real))
        };
        let ports = protocol.has_ports().then(|| some(server.1));
        let mut targets = None;
        if let Some(set) = server.0 {
            let mut all = Vec::new();
            for range in set.ranges(leaf.family) {
                let anywhere = flow.section == Section::Services
                    && stateless
                    && self.anywhere(range, protocol.number(), ports.as_ref())?;
                all.push(Target { range, anywhere });
            }
            targets = Some(all);
        }
        let is_client = flow.section == Section::Clients;
        let local_ports = (is_client && protocol.has_ports()).then(|| some(peer.1));
        let interfaces = match (flow.section, flow.reply) {
            (Section::Services, false) => piece.incoming.clone().unwrap_or_default(),
            _ => Vec::new(),
        };
        let empty = |ports: &Option<RangeSet<u16>>| ports.as_ref().is_some_and(RangeSet::is_empty);
        if empty(&ports) || empty(&local_ports) {
            return Ok(None);
        }
        Ok(Some(Atom {
            section: flow.section,
            name: name::of_rule(leaf),
            family: leaf.family,
            protocols: vec![protocol.number()],
            ports,
            targets,
            peers: if is_client { None } else { peer.0.clone() },
            interfaces,
            local_ports,
            stateless,
            places: vec![leaf.rule.place],
        }))
    }
}

/// The protocols of a piece: few, or none at all.
fn protocols(piece: &Piece) -> Option<Vec<u8>> {
    match &piece.protocol {
        Some(set) => {
            let all: Vec<u8> = set.ranges().iter().flat_map(|&(first, last)| first..=last).collect();
            (all.len() <= 16).then_some(all)
        }
        None if piece.source_ports.is_some() || piece.destination_ports.is_some() => {
            Some(Protocol::WITH_PORTS.to_vec())
        }
        None => None,
    }
}
