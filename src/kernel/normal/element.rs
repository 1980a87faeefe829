//! The normal form of an element of a set, whatever it has.

use super::form::prefixed;
use super::object::known;
use super::{Digest, NormalTable, Side, shape, simple};
use crate::kernel::nf_tables::{data, element};
use crate::kernel::wire::{self, Fields, Malformed};

impl NormalTable {
    /// The digest of one element of a set; none for one that means nothing.
    pub(in crate::kernel) fn digest_of(
        &self,
        set: &str,
        bytes: &[u8],
        side: Side,
    ) -> Result<Option<Digest>, Malformed> {
        let expressions = self.sets.get(set).map_or(&[][..], |set| &set.expressions);
        let mut buffer = Vec::new();
        let counts = self.element(bytes, expressions, side, &mut buffer)?;
        Ok(counts.then(|| Digest::of(&buffer)))
    }

    /// The normal form of one element; false for one that means nothing.
    pub(super) fn element(
        &self,
        bytes: &[u8],
        default: &[u8],
        side: Side,
        out: &mut Vec<u8>,
    ) -> Result<bool, Malformed> {
        simple::element(bytes, default, out).map_or_else(|| self.any_element(bytes, default, side, out), Ok)
    }

    /// The same, whatever the element has.
    pub(super) fn any_element(
        &self,
        bytes: &[u8],
        default: &[u8],
        side: Side,
        out: &mut Vec<u8>,
    ) -> Result<bool, Malformed> {
        let fields = Fields::of(bytes)?;
        let is_end = fields.number(element::FLAGS).unwrap_or(0) & element::INTERVAL_END != 0;
        if is_end && key_is_zero(&fields) {
            // `nothing starts before the first address` says nothing, and not every kernel keeps it.
            return Ok(false);
        }
        let expressions = [element::EXPRESSION, element::EXPRESSIONS];
        for attribute in wire::attributes(bytes) {
            let kind = attribute?.kind;
            known("set element", shape::ELEMENT, kind, side)?;
        }
        for field in shape::ELEMENT.iter().filter(|field| !expressions.contains(&field.0)) {
            if let Some(value) = fields.get(field.0) {
                self.field("set element", *field, value, &fields, side, out)?;
            }
        }
        // The end of an interval cannot be hit, and older kernels give it a counter all the same.
        if !is_end {
            let before = out.len();
            for field in shape::ELEMENT.iter().filter(|field| expressions.contains(&field.0)) {
                if let Some(value) = fields.get(field.0) {
                    self.field("set element", *field, value, &fields, side, out)?;
                }
            }
            if out.len() == before && !default.is_empty() {
                prefixed(out, element::EXPRESSIONS, default);
            }
        }
        Ok(true)
    }
}

fn key_is_zero(fields: &Fields<'_>) -> bool {
    let value = fields.get(element::KEY).and_then(|key| Fields::of(key).ok()?.get(data::VALUE));
    value.is_some_and(|value| value.iter().all(|&byte| byte == 0))
}
