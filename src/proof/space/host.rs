//! Packets by what this host knows of them: interfaces, its own addresses, what conntrack says.

use super::Space;
use crate::dump::{InterfacePattern, Side, States, Way};
use crate::proof::bdd::{Result, Set};

impl Space {
    /// Packets whose interface is one of these.
    pub fn interface(&self, way: Way, patterns: &[InterfacePattern]) -> Result<Set> {
        self.among(self.layout.interface(way), self.names.classes(patterns))
    }

    /// Every interface that a rule names.
    #[must_use]
    pub fn named(&self) -> Vec<InterfacePattern> {
        self.names.named()
    }

    /// Packets with an address of this host on this side.
    pub fn local(&self, side: Side) -> Result<Set> {
        match side {
            Side::Source => self.engine.bit(self.layout.local_source, 0),
            Side::Destination => self.engine.bit(self.layout.local_destination, 0),
        }
    }

    /// Packets of which conntrack, where it looks, says one of these; `untracked` is not its word.
    pub fn state(&self, states: States) -> Result<Set> {
        let said = [states.new, states.established, states.related, states.invalid];
        let numbers = (0..).zip(said).filter(|said| said.1).map(|said| (said.0, said.0));
        self.among(self.layout.state, numbers)
    }

    /// Packets of flows that have been translated.
    pub fn translated(&self, side: Side) -> Result<Set> {
        match side {
            Side::Source => self.engine.bit(self.layout.translated_source, 0),
            Side::Destination => self.engine.bit(self.layout.translated_destination, 0),
        }
    }

    /// Packets over loopback that had been marked as untracked when they were sent.
    pub fn came_untracked(&self) -> Result<Set> {
        self.engine.bit(self.layout.came_untracked, 0)
    }
}
