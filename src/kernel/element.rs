//! Set elements as people want to hear of them.

use super::nf_tables::{data, element, elements, message};
use super::wire::{self, Attribute, Fields, HEADER, Message, NFGENMSG};

/// The key of an element, or the bounds of its range, in hexadecimal: the kernel does not know the key's type.
#[must_use]
pub fn key_text(element_bytes: &[u8]) -> Option<String> {
    let fields = Fields::of(element_bytes).ok()?;
    let bytes = |kind| Fields::of(fields.get(kind)?).ok()?.get(data::VALUE);
    let hex = |bytes: &[u8]| {
        bytes.iter().fold("0x".to_string(), |mut text, byte| {
            use std::fmt::Write;
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    let start = hex(bytes(element::KEY)?);
    Some(match bytes(element::KEY_END) {
        Some(end) => format!("{start}-{}", hex(end)),
        None => start,
    })
}

/// The element in which an offset lies, in bytes from the start of the message's header.
pub(super) fn guilty_element(found: &Message<'_>, offset: usize) -> Option<String> {
    if found.kind != message::NEW_ELEMENTS {
        return None;
    }
    let list = Fields::of(found.attributes()).ok()?.get(elements::ELEMENTS)?;
    // Where a part of the message starts, counted as the kernel counts.
    let place = |part: &[u8]| {
        let into = (part.as_ptr() as usize).checked_sub(found.attributes().as_ptr() as usize)?;
        Some(into + HEADER + NFGENMSG)
    };
    for Attribute { value, .. } in wire::attributes(list).flatten() {
        let start = place(value)?;
        // The offset may be that of the element's own header, 4 bytes before its value.
        if (start.saturating_sub(4)..start + value.len()).contains(&offset) {
            return key_text(value);
        }
    }
    None
}
