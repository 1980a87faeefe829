//! Which leg of which flow a piece of a rule is.

use super::{Atoms, Section};
use crate::import::draft::piece::Piece;
use crate::import::leaf::Leaf;
use crate::net::{Protocol, RangeSet};
use crate::proof::bdd::Result;
use crate::proof::way::Path;

/// What a leg's packet tells about its flow.
pub(super) struct Flow {
    pub(super) section: Section,
    pub(super) reply: bool,
}

impl<'a> Atoms<'_, 'a> {
    /// Which leg of which flow a piece is.
    pub(super) fn flow(&self, leaf: &Leaf<'a>, piece: &Piece, protocol: Protocol, stateless: bool) -> Result<Flow> {
        let source = piece.source_ports.is_some();
        let destination = piece.destination_ports.is_some();
        let from_server = if protocol.has_ports() {
            // A client's ports are many, a server's few.
            match (source, destination) {
                (true, true) => width(piece.source_ports.as_ref()) < width(piece.destination_ports.as_ref()),
                (source, _) => source,
            }
        } else {
            self.plain_from_server(leaf, piece, protocol, stateless)?
        };
        Ok(match (leaf.path, from_server) {
            (Path::In, false) => Flow { section: Section::Services, reply: false },
            (Path::In, true) => Flow { section: Section::Clients, reply: true },
            (Path::Out, true) => Flow { section: Section::Services, reply: true },
            (Path::Out, false) => Flow { section: Section::Clients, reply: false },
            (Path::Forward, reply) => Flow { section: Section::Forward, reply },
        })
    }

    /// Without ports the legs look alike: the server's is the address that decides tracking.
    fn plain_from_server(&self, leaf: &Leaf<'a>, piece: &Piece, protocol: Protocol, stateless: bool) -> Result<bool> {
        if !stateless {
            return Ok(false);
        }
        let (source, destination) = (piece.source.is_some(), piece.destination.is_some());
        Ok(match leaf.path {
            Path::In => source && !destination && !self.whoever(leaf, protocol)?,
            Path::Out => source || self.whoever(leaf, protocol)?,
            Path::Forward => source && !destination,
        })
    }
}

fn width(ports: Option<&RangeSet<u16>>) -> u32 {
    ports.map_or(u32::MAX, |ports| ports.ranges().iter().map(|&(a, b)| u32::from(b) - u32::from(a) + 1).sum())
}
