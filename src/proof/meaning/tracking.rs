//! What is untracked.

use super::Reader;
use super::flow::{is_host, passes};
use crate::dump::{Condition, Side, Test};
use crate::policy::{Entry, Role, Server};
use crate::proof::bdd::{Result, Set};
use crate::proof::way::Path;
use crate::ruleset::Leg;
use crate::spec::{NatConflict, Tracking};

impl Reader<'_> {
    /// Tracking belongs to the server's endpoint, and a client's local ports: both legs, wherever they pass.
    pub(super) fn untracked(&self, path: Path) -> Result<Set> {
        let mut sets = vec![
            self.legs(path, Tracking::Untracked, Leg::Request, |_| true)?,
            self.legs(path, Tracking::Untracked, Leg::Reply, |_| true)?,
        ];
        match path {
            Path::In => sets.push(self.space.came_untracked()?.and(&self.loopback(path)?)?),
            Path::Out => sets.push(self.untracked_loopback()?),
            Path::Forward => {}
        }
        self.space.engine.any(sets)
    }

    /// One leg of the entries with a tracking, as the raw chain on a path sees it.
    pub(super) fn legs(&self, path: Path, tracking: Tracking, leg: Leg, role: impl Fn(&Role) -> bool) -> Result<Set> {
        let mut lists = Vec::new();
        for entry in self.entries(tracking).filter(|entry| role(&entry.role)) {
            if meets_raw(passes(&entry.role, leg), path) {
                for server in &entry.servers {
                    let mut list = self.flow(entry, server, leg);
                    list.extend(where_it_belongs(entry, server, leg, path));
                    lists.push(list);
                }
            }
        }
        self.any(&lists)
    }

    /// Once anything is stateless, loopback is untracked; under `nat_conflict: overlap` only the stateless services' own flows are.
    pub(super) fn untracked_loopback(&self) -> Result<Set> {
        let lo = self.loopback(Path::Out)?;
        if !self.policy.has_stateless() {
            return Ok(self.space.engine.none());
        }
        if self.policy.nat_conflict == NatConflict::Any {
            return Ok(lo);
        }
        let mut lists = Vec::new();
        for entry in self.entries(Tracking::Untracked).filter(|entry| matches!(entry.role, Role::Service { .. })) {
            lists.extend(entry.servers.iter().map(|server| self.flow(entry, server, Leg::Request)));
        }
        self.any(&lists)?.and(&lo)
    }

    /// Packets that the spec calls tracked as well as untracked. There should be none: server endpoints do not overlap, and no tracked service has
    /// one of a stateless client's local ports.
    ///
    /// A flow between two server endpoints, with a server's port as the client's, is the request of one and the reply of the other, and no contradiction.
    pub(super) fn contradictions(&self, path: Path) -> Result<Set> {
        let is_service = |role: &Role| matches!(role, Role::Service { .. });
        let is_client = |role: &Role| matches!(role, Role::Client { .. });
        let both = |tracked: Set, untracked: Set| tracked.and(&untracked);
        let mut sets = Vec::new();
        for leg in [Leg::Request, Leg::Reply] {
            let other = if leg == Leg::Request { Leg::Reply } else { Leg::Request };
            sets.push(both(
                self.legs(path, Tracking::Tracked, leg, |_| true)?,
                self.legs(path, Tracking::Untracked, leg, |_| true)?,
            )?);
            sets.push(both(
                self.legs(path, Tracking::Tracked, leg, is_service)?,
                self.legs(path, Tracking::Untracked, other, is_client)?,
            )?);
        }
        self.space.engine.any(sets)?.minus(&self.loopback(path)?)?.and(&self.possible(path)?)
    }
}

/// In prerouting a router sees other hosts' flows as well. `*`, prefixes and sets of a service, and a client's replies, mean this host's
/// addresses; a forwarded flow goes to none of them.
pub(super) fn where_it_belongs(entry: &Entry, server: &Server, leg: Leg, path: Path) -> Option<Condition> {
    let local = Test::Local(Side::Destination);
    match entry.role {
        _ if path == Path::Out => None,
        Role::Service { .. } if leg == Leg::Request && is_host(server) => None,
        Role::Service { .. } | Role::Client { .. } => Some(Condition::is(local)),
        Role::Forward { .. } => Some(Condition::not(local)),
    }
}

/// Whether a packet on `path` passes the raw chain in which a leg on `leg` is looked for: prerouting serves what comes in and what is routed.
pub(super) fn meets_raw(leg: Path, path: Path) -> bool {
    (leg == Path::Out) == (path == Path::Out)
}
