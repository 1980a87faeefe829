//! Why a text was refused.

use std::ops::Range;

/// The kinds of mistake in a single value. Each becomes a diagnostic with a code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mistake {
    /// Not an address, prefix, range or endpoint.
    Address,
    /// A prefix with bits set behind its length.
    HostBits,
    /// Not a port or port range.
    Port,
    /// Port 0, which no packet of a service carries.
    PortZero,
    /// A range whose end lies before its start.
    Reversed,
    /// Not a protocol.
    Protocol,
    /// Not an interface name.
    Interface,
    /// Not a name for a set, service, client or forward.
    Name,
    /// Not a duration.
    Duration,
    /// Not a packet of a test.
    Packet,
}

/// A refused text: the mistake, a sentence, the guilty bytes, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The kind.
    pub mistake: Mistake,
    /// What is wrong, lower case, one sentence.
    pub message: String,
    /// The guilty bytes of the text.
    pub range: Range<usize>,
    /// What to write instead.
    pub help: String,
}

impl Invalid {
    /// A mistake that concerns the whole of `text`.
    pub fn whole(mistake: Mistake, text: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Invalid { mistake, message: message.into(), range: 0..text.len(), help: help.into() }
    }

    /// The same mistake seen from a longer text, in which the refused one starts at byte `offset`.
    #[must_use]
    pub fn shifted(mut self, offset: usize) -> Self {
        self.range = self.range.start + offset..self.range.end + offset;
        self
    }
}
