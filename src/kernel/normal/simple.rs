//! The normal form of simple elements: keys, flags and a comment. Nearly all of a million elements are so, and take a third of the time this way.

use super::form::{PREFIX, prefix, prefixed, quantity, some};
use crate::kernel::nf_tables::{COMMENT, data, element};
use crate::kernel::wire::{self, Attribute};

/// Appends the normal form of an element, the same as [`super::NormalTable::element`] would, and gives whether it means something; none where it is no
/// simple one, or malformed, and nothing was appended. `default` are the expressions that it gets from its set.
pub(super) fn element(bytes: &[u8], default: &[u8], out: &mut Vec<u8>) -> Option<bool> {
    let (mut key, mut last, mut comment, mut flags) = (None, None, None, 0);
    for attribute in wire::attributes(bytes) {
        let Attribute { kind, value } = attribute.ok()?;
        match kind {
            element::KEY => key = Some(only_value(value)?),
            element::KEY_END => last = Some(only_value(value)?),
            element::USER_DATA => comment = Some(value),
            element::FLAGS => flags = wire::number(value)?,
            _ => return None,
        }
    }
    let key = key?;
    let is_end = flags & element::INTERVAL_END != 0;
    if is_end && key.iter().all(|byte| *byte == 0) {
        return Some(false);
    }
    nested(out, element::KEY, key);
    quantity(out, element::FLAGS, flags, 0);
    if let Some(comment) = comment {
        some(out, element::USER_DATA, wire::user_data(comment, COMMENT).unwrap_or(&[]));
    }
    if let Some(last) = last {
        nested(out, element::KEY_END, last);
    }
    if !is_end && !default.is_empty() {
        prefixed(out, element::EXPRESSIONS, default);
    }
    Some(true)
}

/// The value in data that is nothing else.
fn only_value(bytes: &[u8]) -> Option<&[u8]> {
    let mut attributes = wire::attributes(bytes);
    let Attribute { kind, value } = attributes.next()?.ok()?;
    (kind == data::VALUE && !value.is_empty() && attributes.next().is_none()).then_some(value)
}

/// Data with this value.
fn nested(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    prefix(out, kind, PREFIX + value.len());
    prefixed(out, data::VALUE, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::normal::{NormalTable, Side};
    use crate::kernel::wire::Request;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_same_form(
            parts in proptest::collection::vec((0u16..12, proptest::collection::vec(0u8..4, 0..9), any::<bool>()), 0..5),
            default in proptest::collection::vec(any::<u8>(), 0..9),
            sent in any::<bool>(),
        ) {
            let request = parts.iter().fold(Request::attributes(), |request, (kind, value, is_nested)| {
                if *is_nested { request.with_nested(*kind, |data| data.with(1, value)) } else { request.with(*kind, value) }
            });
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            if let Some(counts) = element(request.bytes(), &default, &mut ours) {
                let side = if sent { Side::Sent } else { Side::Listed };
                prop_assert_eq!(NormalTable::default().any_element(request.bytes(), &default, side, &mut theirs), Ok(counts));
                if counts {
                    prop_assert_eq!(ours, theirs);
                }
            } else {
                prop_assert!(ours.is_empty());
            }
        }

        #[test]
        fn what_fwc_sends_is_simple(key in proptest::collection::vec(any::<u8>(), 1..20), comment in "[a-z]{1,9}", kind in 0u8..4) {
            let value = |data: Request| data.with(1, &key);
            let request = Request::attributes().with_nested(1, value);
            let request = match kind {
                0 => request,
                1 => request.with_be32(3, 1),
                2 => request.with_nested(10, value),
                _ => request.with(6, &[&[0, 9][..], comment.as_bytes()].concat()),
            };
            prop_assert!(element(request.bytes(), &[], &mut Vec::new()).is_some());
        }
    }
}
