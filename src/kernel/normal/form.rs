//! How a normal form is written: attribute number, length, content.

use crate::kernel::wire::{self, Attribute, Malformed};

/// Bytes before each content: attribute number and length.
pub(super) const PREFIX: usize = 6;

/// Attribute number and length of what follows.
pub(super) fn prefix(out: &mut Vec<u8>, kind: u16, length: usize) {
    let [low, high] = kind.to_le_bytes();
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&[low, high, a, b, c, d]);
}

/// As [`prefix`], of a length that [`end`] fills in.
pub(super) fn begin(out: &mut Vec<u8>, kind: u16) -> usize {
    prefix(out, kind, 0);
    out.len()
}

/// Fills in the length of what was appended since [`begin`].
pub(super) fn end(out: &mut [u8], start: usize) {
    let length = u32::try_from(out.len().saturating_sub(start)).unwrap_or(u32::MAX);
    wire::patch(out, start.saturating_sub(4), &length.to_le_bytes());
}

/// One attribute and its content.
pub(super) fn prefixed(out: &mut Vec<u8>, kind: u16, bytes: &[u8]) {
    prefix(out, kind, bytes.len());
    out.extend_from_slice(bytes);
}

/// As [`prefixed`], but empty is the same as absent.
pub(super) fn some(out: &mut Vec<u8>, kind: u16, bytes: &[u8]) {
    if !bytes.is_empty() {
        prefixed(out, kind, bytes);
    }
}

/// A number; its default is the same as absent.
pub(super) fn quantity(out: &mut Vec<u8>, kind: u16, value: u64, default: u64) {
    if value != default {
        prefixed(out, kind, &value.to_be_bytes());
    }
}

/// What `fill` appends, as one attribute; nothing is the same as absent.
pub(super) fn nested(
    out: &mut Vec<u8>,
    kind: u16,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let start = begin(out, kind);
    fill(out)?;
    if out.len() == start {
        out.truncate(start.saturating_sub(PREFIX));
    } else {
        end(out, start);
    }
    Ok(())
}

/// What `each` appends of each attribute's value, in order.
pub(super) fn list(
    bytes: &[u8],
    out: &mut Vec<u8>,
    mut each: impl FnMut(&[u8], &mut Vec<u8>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    for Attribute { value, .. } in wire::attributes(bytes).collect::<Result<Vec<_>, _>>()? {
        let start = begin(out, 0);
        each(value, out)?;
        end(out, start);
    }
    Ok(())
}
