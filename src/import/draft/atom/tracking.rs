//! What is untracked of the packets that a piece of a rule means.

use super::Atoms;
use crate::dump::{Parts, Side};
use crate::import::draft::piece::Piece;
use crate::import::leaf::Leaf;
use crate::net::{AddrRange, AddressSet, Protocol, RangeSet};
use crate::proof::bdd::{Result, Set};
use crate::proof::space::Field;
use crate::proof::way::Path;

impl<'a> Atoms<'_, 'a> {
    /// Whether all of them are untracked.
    pub(super) fn stateless(&self, leaf: &Leaf<'a>, piece: &Piece, set: &Set, protocol: u8) -> Result<bool> {
        let untracked = &self.known.paths.on(leaf.path).untracked;
        let mut asked = self.ordinary(leaf.path, set)?;
        if asked.is_empty() {
            // As where all sources are blocked: the server alone decides about tracking.
            let server = match leaf.path {
                Path::Out => Piece { destination: None, ..piece.clone() },
                Path::In | Path::Forward => Piece { source: None, ..piece.clone() },
            };
            asked = self.ordinary(leaf.path, &self.set(leaf.family, &server, protocol)?)?;
            asked = asked.and(&self.known.paths.on(leaf.path).entered)?;
        }
        Ok(!asked.is_empty() && asked.minus(untracked)?.is_empty())
    }

    /// Those that are what the path is for: whole packets, not over loopback, not translated.
    fn ordinary(&self, path: Path, set: &Set) -> Result<Set> {
        let space = self.known.space;
        let whole = space.parts(Parts { whole: true, first: false, later: false })?;
        let asked = set.and(&whole)?.minus(&self.known.loopback()?)?;
        let asked = asked.minus(&space.translated(Side::Destination)?)?.minus(&space.came_untracked()?)?;
        let local = space.local(Side::Destination)?;
        match path {
            Path::In => asked.and(&local),
            Path::Out => Ok(asked),
            Path::Forward => asked.minus(&local),
        }
    }

    /// Whether all of a protocol is untracked on a path, whoever sends it.
    pub(super) fn whoever(&self, leaf: &Leaf<'a>, protocol: Protocol) -> Result<bool> {
        let space = self.known.space;
        let outcome = self.known.paths.on(leaf.path);
        let all = space.protocol(&RangeSet::single(protocol.number()))?.and(&space.family(leaf.family)?)?;
        let mut all = all.and(&outcome.entered)?.minus(&self.known.loopback()?)?;
        if leaf.path == Path::In {
            all = all.and(&space.local(Side::Destination)?)?.minus(&space.translated(Side::Destination)?)?;
        }
        Ok(all.minus(&outcome.untracked)?.is_empty())
    }

    /// Whether packets to an address are untracked that are not this host's: routed ones.
    pub(super) fn anywhere(&self, range: AddrRange, protocol: u8, ports: Option<&RangeSet<u16>>) -> Result<bool> {
        let Some(_) = range.as_host() else { return Ok(false) };
        let space = self.known.space;
        let set: AddressSet = [range].into_iter().collect();
        let mut all = space.address(Field::Address(Side::Destination), &set)?;
        all = all.and(&space.protocol(&RangeSet::single(protocol))?)?.minus(&space.local(Side::Destination)?)?;
        if let Some(ports) = ports {
            all = all.and(&space.port(Side::Destination, ports)?)?;
        }
        let outcome = self.known.paths.on(Path::Forward);
        let all = all.and(&outcome.entered)?.minus(&space.translated(Side::Destination)?)?;
        Ok(!all.is_empty() && all.minus(&outcome.untracked)?.is_empty())
    }
}
