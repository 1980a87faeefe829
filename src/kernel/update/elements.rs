//! What changes in a set.

use super::Writer;
use super::outline::Unit;
use crate::kernel::messages::Subject;
use crate::kernel::nf_tables::{self, INET, element, elements, message};
use crate::kernel::wire::{Fields, Request};

/// `NFTA_LIST_ELEM`.
const ITEM: u16 = 1;
/// Elements of one message take at most this many bytes: a nested attribute's length has 16 bits.
const FULL: usize = 60_000;

/// Elements that go and elements that come.
#[derive(Debug, Default)]
pub(super) struct Change<'m> {
    removed: Vec<Unit<'m>>,
    pub(super) added: Vec<Unit<'m>>,
}

impl<'m> Change<'m> {
    /// Elements count as the same if they are to the byte, as both were written by fwc: of another version's, more may go and come back.
    pub(super) fn between(old: &[Unit<'m>], new: &[Unit<'m>]) -> Self {
        let sorted = |units: &[Unit<'m>]| {
            let mut units = units.to_vec();
            // Addresses are in order already, which takes no time.
            units.sort_unstable();
            units
        };
        let (old, new) = (sorted(old), sorted(new));
        let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
        let mut change = Change::default();
        loop {
            match (old.peek(), new.peek()) {
                (Some(before), Some(after)) if before == after => {
                    old.next();
                    new.next();
                }
                (Some(before), Some(after)) if before < after => change.removed.extend(old.next()),
                (Some(_), None) => change.removed.extend(old.next()),
                (_, Some(_)) => change.added.extend(new.next()),
                (None, None) => return change,
            }
        }
    }

    pub(super) fn delete(&self, set: &str, writer: &mut Writer) {
        write(message::DELETE_ELEMENTS, super::REQUEST, set, &self.removed, writer);
    }

    pub(super) fn add(&self, set: &str, writer: &mut Writer) {
        write(message::NEW_ELEMENTS, super::CREATE, set, &self.added, writer);
    }
}

/// Appends messages about these elements, as many as it takes.
fn write(kind: u16, flags: u16, set: &str, units: &[Unit<'_>], writer: &mut Writer) {
    let mut list = Request::attributes();
    let mut items = units.iter().flat_map(|(first, second)| std::iter::once(*first).chain(*second)).peekable();
    while let Some(item) = items.next() {
        list = list.with_nested(ITEM, |request| attributes(kind, item, request));
        if items.peek().is_some_and(|next| list.bytes().len() + next.len() < FULL) {
            continue;
        }
        let full = std::mem::replace(&mut list, Request::attributes());
        let message = Request::netfilter(kind, flags, INET)
            .with_text(elements::TABLE, nf_tables::TABLE)
            .with_text(elements::SET, set)
            .with_nested(elements::ELEMENTS, |_| full);
        writer.part(Subject { what: format!("elements of set {set}"), place: None });
        writer.append(&message);
    }
}

/// Of an element that goes, its key says enough.
fn attributes(kind: u16, item: &[u8], mut request: Request) -> Request {
    if kind == message::NEW_ELEMENTS {
        return request.with_raw(item);
    }
    let Ok(fields) = Fields::of(item) else { return request };
    for attribute in [element::KEY, element::FLAGS, element::KEY_END] {
        if let Some(value) = fields.get(attribute) {
            request = request.with(attribute, value);
        }
    }
    request
}
