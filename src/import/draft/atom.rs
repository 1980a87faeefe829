//! The smallest parts of entries: one family, one protocol, as one rule says it.

use super::piece::Piece;
use crate::dump::{Hook, Parts, Side, Verdict};
use crate::import::leaf::{Known, Leaf};
use crate::net::{AddrRange, AddressSet, Family, Name, Protocol, RangeSet};
use crate::proof::bdd::{Result, Set};
use crate::proof::space::Field;
use crate::proof::way::Path;
use crate::source::Place;

/// A section of a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Section {
    Services,
    Clients,
    Forward,
}

/// Addresses of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Target {
    pub range: AddrRange,
    /// Whether packets to it count that are routed elsewhere: what a single address in `listen` means.
    pub anywhere: bool,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Atom {
    pub section: Section,
    pub name: Option<Name>,
    pub family: Family,
    pub protocols: Vec<u8>,
    /// `None` of a protocol without ports.
    pub ports: Option<RangeSet<u16>>,
    /// The server; `None` is any address.
    pub targets: Option<Vec<Target>>,
    /// Who may talk to it; `None` is anybody.
    pub peers: Option<AddressSet>,
    /// Empty is any.
    pub interfaces: Vec<String>,
    /// A client's own ports.
    pub local_ports: Option<RangeSet<u16>>,
    pub stateless: bool,
    pub places: Vec<Place>,
}

/// Why a rule was not made an entry.
pub(super) type Left<'a> = (&'a crate::dump::Rule, String);

/// What a leg's packet tells about its flow.
struct Flow {
    section: Section,
    reply: bool,
}

/// What reads atoms out of rules.
pub(super) struct Atoms<'k, 'a> {
    pub known: &'k Known<'a>,
    /// What every spec accepts, path by path.
    pub always: &'k crate::proof::claim::Paths,
    pub found: Vec<Atom>,
    pub left: Vec<Left<'a>>,
}

impl<'a> Atoms<'_, 'a> {
    /// Reads all rules that accept.
    pub fn read(&mut self) -> Result<()> {
        let known = self.known;
        let mut replies = Vec::new();
        for leaf in &known.leaves {
            if !accepts(leaf) || leaf.packets.minus(&self.always.on(leaf.path).accepted)?.is_empty() {
                continue;
            }
            for piece in super::piece::pieces(&leaf.guard, leaf.family) {
                self.piece(leaf, &piece, &mut replies)?;
            }
        }
        self.answered(replies);
        self.shadowed()
    }

    /// Rules that accept nothing which rules before them do not, as those of one address behind those of all. Their server may still be untracked where
    /// the others' is not: a single address counts for packets that are routed elsewhere too.
    fn shadowed(&mut self) -> Result<()> {
        let known = self.known;
        let is_shadowed = |leaf: &&Leaf<'a>| leaf.path == Path::In && accepts(leaf) && leaf.packets.is_empty();
        let left = self.left.len();
        for leaf in known.leaves.iter().filter(is_shadowed) {
            let before = self.found.len();
            for piece in super::piece::pieces(&leaf.guard, leaf.family) {
                self.piece(leaf, &piece, &mut Vec::new())?;
            }
            for new in self.found.split_off(before) {
                let is_anywhere = new.targets.iter().flatten().any(|target| target.anywhere);
                if new.stateless && is_anywhere && !self.found.iter().any(|one| same_server(one, &new)) {
                    self.found.push(new);
                }
            }
        }
        // Nothing is missing where such a rule is not understood.
        self.left.truncate(left);
        Ok(())
    }

    /// A reply makes an entry where no request does, as where the block list drops all of them: it knows no interfaces.
    fn answered(&mut self, replies: Vec<Atom>) {
        let mut new = Vec::new();
        for mut reply in replies {
            // The ports of one entry may be told apart on the way of its requests, as in a tree of chains.
            let addressed = self.found.iter().filter(|one| same_address(one, &reply));
            if are_answered(&reply, addressed.filter(|one| covers(one.peers.as_ref(), reply.peers.as_ref()))) {
                continue;
            }
            if let Some(first) = self.found.iter().find(|one| same_server(one, &reply)) {
                reply.interfaces.clone_from(&first.interfaces);
                reply.name.clone_from(&first.name);
            }
            new.push(reply);
        }
        self.found.extend(new);
    }

    /// Reads what is untracked where a policy accepts, so that no rule has to.
    pub fn untracked(&mut self, accepting: &[Path]) -> Result<()> {
        let known = self.known;
        for leaf in known.leaves.iter().filter(|leaf| leaf.untracks() && accepting.contains(&leaf.path)) {
            if leaf.packets.is_empty() || leaf.path == Path::Forward && self.serves_this_host(leaf)? {
                continue;
            }
            let mut replies = Vec::new();
            let before = self.found.len();
            for piece in super::piece::pieces(&leaf.guard, leaf.family) {
                self.piece(leaf, &piece, &mut replies)?;
            }
            for new in self.found.split_off(before) {
                if new.stateless && !self.found.iter().any(|one| same_server(one, &new)) {
                    self.found.push(new);
                }
            }
        }
        Ok(())
    }

    /// Whether a rule in prerouting is about packets to this host too.
    fn serves_this_host(&self, leaf: &Leaf<'a>) -> Result<bool> {
        let local = self.known.space.local(Side::Destination)?;
        for other in self.known.leaves.iter().filter(|other| other.path == Path::In) {
            if std::ptr::eq(other.rule, leaf.rule) && !other.packets.and(&local)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
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
    fn set(&self, family: Family, piece: &Piece, protocol: u8) -> Result<Set> {
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

    /// Whether all of them are untracked.
    fn stateless(&self, leaf: &Leaf<'a>, piece: &Piece, set: &Set, protocol: u8) -> Result<bool> {
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

    /// Which leg of which flow a piece is.
    fn flow(&self, leaf: &Leaf<'a>, piece: &Piece, protocol: Protocol, stateless: bool) -> Result<Flow> {
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

    /// Whether all of a protocol is untracked on a path, whoever sends it.
    fn whoever(&self, leaf: &Leaf<'a>, protocol: Protocol) -> Result<bool> {
        let space = self.known.space;
        let outcome = self.known.paths.on(leaf.path);
        let all = space.protocol(&RangeSet::single(protocol.number()))?.and(&space.family(leaf.family)?)?;
        let mut all = all.and(&outcome.entered)?.minus(&self.known.loopback()?)?;
        if leaf.path == Path::In {
            all = all.and(&space.local(Side::Destination)?)?.minus(&space.translated(Side::Destination)?)?;
        }
        Ok(all.minus(&outcome.untracked)?.is_empty())
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
            name: super::name::of_rule(leaf),
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

    /// Whether packets to an address are untracked that are not this host's: routed ones.
    fn anywhere(&self, range: AddrRange, protocol: u8, ports: Option<&RangeSet<u16>>) -> Result<bool> {
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

fn width(ports: Option<&RangeSet<u16>>) -> u32 {
    ports.map_or(u32::MAX, |ports| ports.ranges().iter().map(|&(a, b)| u32::from(b) - u32::from(a) + 1).sum())
}

/// Whether all of `other` are among these; `None` is anybody.
fn covers(one: Option<&AddressSet>, other: Option<&AddressSet>) -> bool {
    match (one, other) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(one), Some(other)) => {
            one.v4.intersection(&other.v4) == other.v4 && one.v6.intersection(&other.v6) == other.v6
        }
    }
}

/// Whether an entry for the same server is there already.
fn same_server(one: &Atom, other: &Atom) -> bool {
    same_address(one, other) && one.ports == other.ports
}

/// The same whatever its ports.
fn same_address(one: &Atom, other: &Atom) -> bool {
    one.section == other.section
        && one.stateless == other.stateless
        && one.family == other.family
        && one.protocols == other.protocols
        && one.local_ports == other.local_ports
        && one.targets == other.targets
}

/// Whether each port of a reply is one of these requests'.
fn are_answered<'r>(reply: &Atom, mut requests: impl Iterator<Item = &'r Atom>) -> bool {
    match &reply.ports {
        None => requests.next().is_some(),
        Some(ports) => {
            let asked = requests.filter_map(|one| one.ports.as_ref());
            let asked = asked.fold(None, |sum: Option<RangeSet<u16>>, ports| {
                Some(sum.map_or_else(|| ports.clone(), |sum| sum.union(ports)))
            });
            asked.is_some_and(|asked| asked.intersection(ports) == *ports)
        }
    }
}

fn accepts(leaf: &Leaf<'_>) -> bool {
    leaf.rule.verdict == Verdict::Accept
        && matches!(leaf.base.hook, Hook::Input | Hook::Output | Hook::Forward)
        && leaf.base.kind == crate::dump::ChainKind::Filter
        && !leaf.is_raw()
        && leaf.base_chain.table != "mangle"
}

/// The protocols of a piece: few, or none at all.
fn protocols(piece: &Piece) -> Option<Vec<u8>> {
    let with_ports = [6, 17, 33, 132, 136];
    match &piece.protocol {
        Some(set) => {
            let all: Vec<u8> = set.ranges().iter().flat_map(|&(first, last)| first..=last).collect();
            (all.len() <= 16).then_some(all)
        }
        None if piece.source_ports.is_some() || piece.destination_ports.is_some() => Some(with_ports.to_vec()),
        None => None,
    }
}
