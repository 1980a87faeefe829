//! Named sets and their elements.

use std::sync::Arc;

use super::cursor::Cursor;
use super::names::{number, protocol};
use super::{Text, counter};
use crate::dump::{InterfacePattern, Keys, Value};
use crate::net::{AddrRange, AddressSet, Family};

/// A field of a set's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Interface,
    Address(Family),
    Protocol,
    Port,
}

/// A set as far as it has been read.
#[derive(Debug, Default)]
pub(super) struct Set {
    pub name: String,
    pub fields: Vec<Field>,
    pub contents: Contents,
    /// Whether something of it was not understood, or packets may be added to it: nobody knows then what is in it.
    pub unknown: bool,
}

/// The elements of a set: addresses by the million take a form of their own.
#[derive(Debug)]
pub(super) enum Contents {
    Addresses(Vec<AddrRange>),
    Keys(Vec<Vec<Value>>),
}

impl Default for Contents {
    fn default() -> Self {
        Contents::Keys(Vec::new())
    }
}

/// A set that has been read to its end, to be looked up.
#[derive(Debug)]
pub(super) struct Known {
    pub fields: Vec<Field>,
    pub contents: KnownContents,
    pub unknown: bool,
}

/// What rules share.
#[derive(Debug, Clone)]
pub(super) enum KnownContents {
    Addresses(Arc<AddressSet>),
    Keys(Arc<Keys>),
}

impl Set {
    /// Nothing more comes.
    pub(super) fn close(self) -> (String, Known) {
        let contents = match self.contents {
            Contents::Addresses(ranges) => KnownContents::Addresses(Arc::new(ranges.into_iter().collect())),
            Contents::Keys(mut elements) => {
                // Equal sets are to be equal, in whatever order they are listed.
                elements.sort_unstable();
                KnownContents::Keys(Arc::new(Keys { elements }))
            }
        };
        (self.name, Known { fields: self.fields, contents, unknown: self.unknown })
    }
}

impl Text<'_> {
    /// The block of a set, behind its `{`.
    pub(super) fn set(&mut self, set: &mut Set) {
        loop {
            self.cursor.separators();
            if self.cursor.take(&["}"]) {
                return;
            }
            let from = self.cursor.at();
            if self.cursor.kind().is_none() {
                set.unknown = true;
                return self.unread(from, "the set has no end");
            }
            if !self.set_statement(set) {
                set.unknown = true;
                self.cursor.go(from);
                self.unread_statement("not understood in a set");
            }
        }
    }

    fn set_statement(&mut self, set: &mut Set) -> bool {
        let cursor = &mut self.cursor;
        let known = match cursor.word() {
            Some("type") => types(cursor, set),
            Some("size") => cursor.word().is_some_and(|word| number::<u32>(word).is_some()),
            Some("flags") => flags(cursor, set),
            Some("counter" | "auto-merge") => true,
            Some("comment") => cursor.string().is_some(),
            Some("elements") => cursor.take(&["=", "{"]) && self.elements(set),
            _ => false,
        };
        known && self.cursor.ends_statement()
    }

    /// Behind the `{`. What is not understood is told; `false` is only for a set that cannot have elements.
    fn elements(&mut self, set: &mut Set) -> bool {
        if set.fields.is_empty() {
            return false;
        }
        loop {
            self.cursor.lines();
            let from = self.cursor.at();
            if self.cursor.take(&["}"]) {
                return true;
            }
            if self.cursor.kind().is_none() {
                return false;
            }
            let understood = element(&mut self.cursor, set).is_some();
            self.cursor.lines();
            if !understood || !(self.cursor.take(&[","]) || self.cursor.is_sign("}")) {
                set.unknown = true;
                self.cursor.go(from);
                while self.cursor.kind().is_some() && !(self.cursor.is_sign(",") || self.cursor.is_sign("}")) {
                    self.cursor.skip();
                }
                self.unread(from, "not understood as an element of the set");
                self.cursor.take(&[","]);
            }
        }
    }
}

fn types(cursor: &mut Cursor, set: &mut Set) -> bool {
    let mut fields = Vec::new();
    loop {
        fields.push(match cursor.word() {
            Some("ifname") => Field::Interface,
            Some("ipv4_addr") => Field::Address(Family::V4),
            Some("ipv6_addr") => Field::Address(Family::V6),
            Some("inet_proto") => Field::Protocol,
            Some("inet_service") => Field::Port,
            _ => return false,
        });
        if !cursor.take(&["."]) {
            break;
        }
    }
    if !set.fields.is_empty() {
        return set.fields == fields;
    }
    if let [Field::Address(_)] = fields[..] {
        set.contents = Contents::Addresses(Vec::new());
    }
    set.fields = fields;
    true
}

fn flags(cursor: &mut Cursor, set: &mut Set) -> bool {
    loop {
        match cursor.word() {
            Some("interval" | "constant") => {}
            // Elements come and go by themselves.
            Some("timeout" | "dynamic") => set.unknown = true,
            _ => return false,
        }
        if !cursor.take(&[","]) {
            return true;
        }
    }
}

/// An element and what is said about it.
fn element(cursor: &mut Cursor, set: &mut Set) -> Option<()> {
    match &mut set.contents {
        Contents::Addresses(ranges) => {
            let range: AddrRange = cursor.word()?.parse().ok()?;
            if set.fields != [Field::Address(range.family())] {
                return None;
            }
            ranges.push(range);
        }
        Contents::Keys(keys) => {
            let mut key = Vec::with_capacity(set.fields.len());
            for (index, field) in set.fields.iter().enumerate() {
                if index > 0 && !cursor.take(&["."]) {
                    return None;
                }
                key.push(value(cursor, *field)?);
            }
            keys.push(key);
        }
    }
    loop {
        if cursor.take(&["counter"]) {
            counter(cursor);
        } else if cursor.take(&["comment"]) {
            cursor.string()?;
        } else {
            return Some(());
        }
    }
}

/// The value or range of values of one field.
pub(super) fn value(cursor: &mut Cursor, field: Field) -> Option<Value> {
    if field == Field::Interface {
        let name = cursor.string().or_else(|| cursor.word())?;
        return pattern(name).map(Value::Interface);
    }
    let word = cursor.word()?;
    let (first, last) = match field {
        Field::Interface => return None,
        Field::Address(family) => {
            let range: AddrRange = word.parse().ok()?;
            if range.family() != family {
                return None;
            }
            match range {
                AddrRange::V4(first, last) => (first.into(), last.into()),
                AddrRange::V6(first, last) => (first, last),
            }
        }
        Field::Protocol => range(word, protocol)?,
        Field::Port => range(word, number::<u16>)?,
    };
    Some(Value::Numbers(first, last))
}

/// `value` or `value-value`.
fn range<T: Copy + Into<u128>>(word: &str, one: impl Fn(&str) -> Option<T>) -> Option<(u128, u128)> {
    // Some names have a dash.
    if let Some(value) = one(word) {
        return Some((value.into(), value.into()));
    }
    let (first, last) = word.split_once('-')?;
    let (first, last) = (one(first)?.into(), one(last)?.into());
    (first <= last).then_some((first, last))
}

/// A name, or the start of names: `eth*`.
pub(super) fn pattern(name: &str) -> Option<InterfacePattern> {
    let (name, prefix) = match name.strip_suffix('*') {
        Some(start) => (start, true),
        None => (name, false),
    };
    let plain = !name.contains(['*', '\\']) && (prefix || !name.is_empty()) && !name.starts_with(['@', '$']);
    plain.then(|| InterfacePattern { name: name.to_string(), prefix })
}
