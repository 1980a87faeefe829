//! The messages that make a table, sorted by what they make.

use std::collections::BTreeMap;

use crate::kernel::messages::{Messages, Subject};
use crate::kernel::nf_tables::{chain, description, element, elements, message, rule, set, set_flag};
use crate::kernel::wire::{self, Attribute, Fields, Malformed, Message};

use super::SIGNATURE;

/// One message, and what it is about.
#[derive(Debug)]
pub(super) struct Piece<'m> {
    pub(super) message: Message<'m>,
    pub(super) subject: &'m Subject,
}

/// A table.
#[derive(Debug, Default)]
pub(super) struct Outline<'m> {
    /// The names of the chains, in order.
    pub(super) chains: Vec<String>,
    pub(super) signature: Option<Piece<'m>>,
    /// In order.
    pub(super) sets: Vec<NamedSet<'m>>,
    /// By chain and in order: the messages of the sets that belong to a rule, and the rule's.
    pub(super) rules: BTreeMap<String, Vec<Vec<Piece<'m>>>>,
}

/// A named set.
#[derive(Debug)]
pub(super) struct NamedSet<'m> {
    pub(super) name: String,
    /// The most elements that it has room for, where that is limited.
    pub(super) size: Option<u64>,
    /// Whether a range is two elements.
    is_plain: bool,
    definition: Piece<'m>,
    members: Vec<Piece<'m>>,
}

/// An element as it was sent, or the two of a range.
pub(super) type Unit<'m> = (&'m [u8], Option<&'m [u8]>);

impl<'m> Outline<'m> {
    pub(super) fn of(messages: &'m Messages) -> Result<Self, Malformed> {
        let mut outline = Outline::default();
        // Messages of sets that belong to the rule that comes next.
        let mut own = Vec::new();
        for (found, part) in wire::messages(&messages.bytes).zip(&messages.index) {
            let piece = Piece { message: found?, subject: &part.subject };
            let fields = Fields::of(piece.message.attributes())?;
            match piece.message.kind {
                message::NEW_CHAIN => {
                    let name = fields.text(chain::NAME)?;
                    if name == SIGNATURE {
                        outline.signature = Some(piece);
                    }
                    outline.chains.push(name);
                }
                message::NEW_SET if fields.number(set::FLAGS).unwrap_or(0) & set_flag::ANONYMOUS != 0 => {
                    own.push(piece)
                }
                message::NEW_SET => outline.sets.push(NamedSet::of(piece, &fields)?),
                message::NEW_ELEMENTS => {
                    let name = fields.text(elements::SET)?;
                    match outline.sets.last_mut().filter(|set| set.name == name) {
                        Some(set) => set.members.push(piece),
                        None => own.push(piece),
                    }
                }
                message::NEW_RULE => {
                    own.push(piece);
                    outline.rules.entry(fields.text(rule::CHAIN)?).or_default().push(std::mem::take(&mut own));
                }
                _ => {}
            }
        }
        Ok(outline)
    }
}

impl<'m> NamedSet<'m> {
    fn of(definition: Piece<'m>, fields: &Fields<'m>) -> Result<Self, Malformed> {
        let flags = fields.number(set::FLAGS).unwrap_or(0);
        let size = fields.get(set::DESCRIPTION).map(Fields::of).transpose()?;
        Ok(NamedSet {
            name: fields.text(set::NAME)?,
            size: size.and_then(|description| description.number(description::SIZE)),
            is_plain: flags & set_flag::INTERVAL != 0 && flags & set_flag::CONCATENATED == 0,
            definition,
            members: Vec::new(),
        })
    }

    /// The messages that make it and its elements.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &Piece<'m>> {
        std::iter::once(&self.definition).chain(&self.members)
    }

    /// Whether the elements come in the very same messages, which most sets' do.
    pub(super) fn has_same_messages(&self, other: &Self) -> bool {
        let payload = |piece: &Piece<'m>| piece.message.payload;
        self.members.iter().map(payload).eq(other.members.iter().map(payload))
    }

    /// Its elements.
    pub(super) fn elements(&self) -> Result<Vec<Unit<'m>>, Malformed> {
        let mut units: Vec<Unit<'m>> = Vec::new();
        for piece in &self.members {
            let list = Fields::of(piece.message.attributes())?.get(elements::ELEMENTS).unwrap_or(&[]);
            for item in wire::attributes(list) {
                let Attribute { value, .. } = item?;
                let is_end = self.is_plain
                    && Fields::of(value)?.number(element::FLAGS).unwrap_or(0) & element::INTERVAL_END != 0;
                match units.last_mut() {
                    Some((_, end)) if is_end && end.is_none() => *end = Some(value),
                    _ => units.push((value, None)),
                }
            }
        }
        Ok(units)
    }
}
