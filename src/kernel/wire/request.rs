//! Messages to the kernel, written piece by piece.

use super::{ATTRIBUTE_HEADER, HEADER, NESTED, u16_at};

/// Bytes that most messages fit into.
const ROOM: usize = 128;

/// A message under construction. Attributes over 64 KiB cannot be written; what is too long is cut off, and the kernel
/// then refuses it.
#[derive(Debug, Clone)]
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// Starts a netfilter message of one family. `kind` has the subsystem in the high byte.
    #[must_use]
    pub fn netfilter(kind: u16, flags: u16, family: u8) -> Self {
        Self::with_header(kind, flags, &[family, 0, 0, 0])
    }

    /// Starts a message with any fixed header.
    #[must_use]
    pub fn with_header(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(ROOM);
        bytes.resize(HEADER, 0);
        patch(&mut bytes, 4, &kind.to_ne_bytes());
        patch(&mut bytes, 6, &flags.to_ne_bytes());
        bytes.extend_from_slice(header);
        Request { bytes }
    }

    /// Attributes alone, without a message around them.
    #[must_use]
    pub fn attributes() -> Self {
        Request { bytes: Vec::new() }
    }

    /// What has been written so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Sets more flags.
    #[must_use]
    pub fn flagged(mut self, flags: u16) -> Self {
        let all = u16_at(&self.bytes, 6).unwrap_or(0) | flags;
        patch(&mut self.bytes, 6, &all.to_ne_bytes());
        self
    }

    /// Appends an attribute.
    #[must_use]
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + ATTRIBUTE_HEADER).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend(value.iter().take(usize::from(length).saturating_sub(ATTRIBUTE_HEADER)));
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Appends attributes that are written already.
    #[must_use]
    pub fn with_raw(mut self, attributes: &[u8]) -> Self {
        self.bytes.extend_from_slice(attributes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Appends a string, with the NUL that the kernel wants.
    #[must_use]
    pub fn with_text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.with(kind, &bytes)
    }

    /// Appends a number in network order.
    #[must_use]
    pub fn with_be32(self, kind: u16, value: u32) -> Self {
        self.with(kind, &value.to_be_bytes())
    }

    /// Appends a nested attribute whose content `fill` writes.
    #[must_use]
    pub fn with_nested(self, kind: u16, fill: impl FnOnce(Request) -> Request) -> Self {
        let inner = fill(Request::attributes());
        self.with(kind | NESTED, &inner.bytes)
    }

    /// The bytes, with length and sequence number set.
    #[must_use]
    pub fn finish(&self, sequence: u32) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        patch(&mut bytes, 0, &length.to_ne_bytes());
        patch(&mut bytes, 8, &sequence.to_ne_bytes());
        bytes
    }
}

/// Overwrites bytes at a place that is known to be there; out of range it does nothing.
pub(in crate::kernel) fn patch(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(slot) = bytes.get_mut(at..at + value.len()) {
        slot.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::wire::{Fields, attributes, messages};
    use proptest::prelude::*;

    #[test]
    fn what_is_written_can_be_read() {
        let bytes = Request::netfilter(0x0a03, 0x301, 1)
            .with_text(1, "fwc")
            .with_nested(4, |hook| hook.with_be32(1, 3).with_be32(2, 7))
            .finish(9);
        let all: Vec<_> = messages(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!((all.len(), all[0].kind, all[0].flags, all[0].sequence, all[0].family()), (1, 0x0a03, 0x301, 9, 1));
        let fields = Fields::of(all[0].attributes()).unwrap();
        assert_eq!(fields.text(1).unwrap(), "fwc");
        let hook = Fields::of(fields.get(4).unwrap()).unwrap();
        assert_eq!((hook.number(1), hook.number(2), hook.number(3)), (Some(3), Some(7), None));
    }

    proptest! {
        #[test]
        fn attributes_survive_the_way(values in proptest::collection::vec((0u16..30, proptest::collection::vec(any::<u8>(), 0..40)), 0..9)) {
            let request = values.iter().fold(Request::netfilter(0, 0, 0), |r, (kind, value)| r.with(*kind, value));
            let bytes = request.finish(0);
            let read: Vec<_> = messages(&bytes).next().map(|m| attributes(m.unwrap().attributes()).map(|a| a.map(|a| (a.kind, a.value.to_vec()))).collect::<Result<_, _>>().unwrap()).unwrap();
            prop_assert_eq!(read, values);
        }
    }
}
