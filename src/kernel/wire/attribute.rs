//! Attributes one after another, and the attributes of one object by their number.

use super::{ATTRIBUTE_HEADER, Malformed, after, number, text, u16_at};

/// Clears `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const ATTRIBUTE_KIND: u16 = 0x3fff;

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its number, without flags.
    pub kind: u16,
    /// Its value.
    pub value: &'a [u8],
}

/// Splits bytes into attributes. Ends after the first that is malformed.
#[must_use]
pub fn attributes(bytes: &[u8]) -> AttributeIter<'_> {
    AttributeIter { rest: bytes }
}

/// See [`attributes`].
#[derive(Debug, Clone)]
pub struct AttributeIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for AttributeIter<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.rest;
        if bytes.is_empty() {
            return None;
        }
        let attribute = (|| {
            let length = usize::from(u16_at(bytes, 0)?);
            let value = bytes.get(ATTRIBUTE_HEADER..length)?;
            self.rest = after(bytes, length);
            Some(Attribute { kind: u16_at(bytes, 2)? & ATTRIBUTE_KIND, value })
        })();
        if attribute.is_none() {
            self.rest = &[];
        }
        Some(attribute.ok_or(Malformed::Attribute))
    }
}

/// The attributes of one object by their number, the last of equal ones, up to number 31; nf_tables has none above.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>([Option<&'a [u8]>; 32]);

impl<'a> Fields<'a> {
    /// Sorts attributes by number.
    ///
    /// # Errors
    /// Malformed attributes.
    pub fn of(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = [None; 32];
        for attribute in attributes(bytes) {
            let attribute = attribute?;
            if let Some(slot) = fields.get_mut(usize::from(attribute.kind)) {
                *slot = Some(attribute.value);
            }
        }
        Ok(Fields(fields))
    }

    /// An attribute's value.
    #[must_use]
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.get(usize::from(kind)).copied().flatten()
    }

    /// An attribute's value as text.
    ///
    /// # Errors
    /// It is missing.
    pub fn text(&self, kind: u16) -> Result<String, Malformed> {
        self.get(kind).map(text).ok_or(Malformed::Missing(kind))
    }

    /// A number in network order of up to 8 bytes.
    #[must_use]
    pub fn number(&self, kind: u16) -> Option<u64> {
        self.get(kind).and_then(number)
    }
}
