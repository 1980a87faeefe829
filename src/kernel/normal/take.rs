//! Messages taken into a table, one kind of object after another.

use super::form::PREFIX;
use super::object::is_anonymous;
use super::{Added, Digest, Members, NormalChain, NormalSet, NormalTable, Side, shape};
use crate::backend::nft::SIGNATURE;
use crate::kernel::nf_tables::{self, COMMENT, INET, elements, message, rule, set, set_flag, table};
use crate::kernel::wire::{self, Fields, Malformed, Message};

impl NormalTable {
    /// Takes one message in, be it sent or listed.
    ///
    /// # Errors
    /// It is malformed, or, on our side, not understood.
    pub fn take(&mut self, found: &Message<'_>, side: Side) -> Result<Added, Malformed> {
        let fields = Fields::of(found.attributes())?;
        // The table's name is attribute 1 of every object.
        if found.family() != INET || fields.text(table::NAME)? != nf_tables::TABLE {
            return if side == Side::Sent {
                Err(Malformed::Orphan("another table".into()))
            } else {
                Ok(Added::Nothing)
            };
        }
        match found.kind {
            message::DELETE_TABLE => {
                *self = NormalTable::default();
                Ok(Added::Nothing)
            }
            message::NEW_TABLE => self.take_table(found, &fields, side),
            message::NEW_CHAIN => self.take_chain(found, &fields, side),
            message::NEW_SET => self.take_set(found, &fields, side),
            message::NEW_RULE => self.take_rule(found, &fields, side),
            message::NEW_ELEMENTS => self.take_elements(&fields, side, |_, _| {}),
            kind => Err(Malformed::Kind(kind)),
        }
    }

    fn take_table(&mut self, found: &Message<'_>, fields: &Fields<'_>, side: Side) -> Result<Added, Malformed> {
        let digest = Digest::of(&self.object("table", shape::TABLE, found.attributes(), side)?);
        // A second `add table` without a delete in between changes nothing.
        if self.digest.is_none() {
            let comment = fields.get(table::USER_DATA).and_then(|data| wire::user_data(data, COMMENT));
            self.comment = comment.map(wire::text);
            self.flags = fields.number(table::FLAGS).unwrap_or(0);
            self.digest = Some(digest);
        }
        Ok(Added::Table)
    }

    fn take_chain(&mut self, found: &Message<'_>, fields: &Fields<'_>, side: Side) -> Result<Added, Malformed> {
        let name = fields.text(nf_tables::chain::NAME)?;
        let shape = if name == SIGNATURE { shape::SIGNATURE } else { shape::CHAIN };
        let digest = Digest::of(&self.object("chain", shape, found.attributes(), side)?);
        if name == SIGNATURE {
            let comment = fields.get(nf_tables::chain::USER_DATA).and_then(|data| wire::user_data(data, COMMENT));
            self.signature = comment.map(wire::text);
        }
        self.chains.entry(name).or_insert(NormalChain { digest, rules: Vec::new() });
        Ok(Added::Chain(digest))
    }

    fn take_rule(&mut self, found: &Message<'_>, fields: &Fields<'_>, side: Side) -> Result<Added, Malformed> {
        let digest = Digest::of(&self.object("rule", shape::RULE, found.attributes(), side)?);
        let name = fields.text(rule::CHAIN)?;
        let Some(chain) = self.chains.get_mut(&name) else {
            return Err(Malformed::Orphan(format!("the chain `{name}` of a rule")));
        };
        // Without this flag the kernel puts a new rule first. Listings are in order.
        let append = found.flags & nix::libc::NLM_F_APPEND as u16 != 0;
        let at = if append || side == Side::Listed { chain.rules.len() } else { 0 };
        chain.rules.insert(at, digest);
        Ok(Added::Rule(digest))
    }

    fn take_set(&mut self, found: &Message<'_>, fields: &Fields<'_>, side: Side) -> Result<Added, Malformed> {
        let mut name = fields.text(set::NAME)?;
        if side == Side::Sent
            && let Some(id) = fields.number(set::ID)
        {
            if name.ends_with("%d") {
                // The kernel will number it (nf_tables_set_alloc_name). Until then, its id tells it from others.
                name = format!("{name} {id}");
            }
            self.names.insert(id, name.clone());
        }
        let digest = Digest::of(&self.object("set", shape::SET, found.attributes(), side)?);
        let mut expressions = Vec::new();
        for field in shape::SET.iter().filter(|field| [set::EXPRESSION, set::EXPRESSIONS].contains(&field.0)) {
            if let Some(value) = fields.get(field.0) {
                self.field("set", *field, value, fields, side, &mut expressions)?;
            }
        }
        // The number of the attribute is the set's; the elements have their own for the same thing.
        let expressions = expressions.get(PREFIX..).map(<[u8]>::to_vec).unwrap_or_default();
        let (anonymous, flags) = (is_anonymous(fields), fields.number(set::FLAGS).unwrap_or(0));
        let is_plain = flags & set_flag::INTERVAL != 0 && flags & set_flag::CONCATENATED == 0;
        let count = fields.number(set::COUNT).filter(|_| !is_plain);
        self.sets.entry(name).or_insert(NormalSet {
            digest,
            elements: Members::default(),
            expressions,
            anonymous,
            count,
        });
        Ok(Added::Set(digest))
    }

    /// Takes elements in and tells `each` the digest and the bytes of every one that counts.
    pub(in crate::kernel) fn take_elements(
        &mut self,
        fields: &Fields<'_>,
        side: Side,
        mut each: impl FnMut(Digest, &[u8]),
    ) -> Result<Added, Malformed> {
        let name = self.set_name(fields.get(elements::SET), fields.number(elements::SET_ID), side)?;
        let orphan = || Malformed::Orphan(format!("the set `{name}` of an element"));
        let set = self.sets.get_mut(&name).ok_or_else(orphan)?;
        let (expressions, mut known) = (std::mem::take(&mut set.expressions), std::mem::take(&mut set.elements));
        let mut buffer = Vec::new();
        for attribute in wire::attributes(fields.get(elements::ELEMENTS).unwrap_or(&[])) {
            let value = attribute?.value;
            buffer.clear();
            if self.element(value, &expressions, side, &mut buffer)? {
                let digest = Digest::of(&buffer);
                each(digest, value);
                known.push(digest);
            }
        }
        let set = self.sets.get_mut(&name).ok_or_else(orphan)?;
        (set.expressions, set.elements) = (expressions, known);
        Ok(Added::Elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::wire::Request;
    use proptest::prelude::*;

    const OBJECTS: [u16; 4] = [message::NEW_TABLE, message::NEW_CHAIN, message::NEW_SET, message::NEW_RULE];

    proptest! {
        #[test]
        fn no_message_can_make_it_panic(
            kind in 0u16..20,
            bytes in proptest::collection::vec(any::<u8>(), 0..120),
            flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            sent in any::<bool>(),
        ) {
            let side = if sent { Side::Sent } else { Side::Listed };
            let mut table = NormalTable::default();
            for object in OBJECTS {
                let request = Request::netfilter(object, 0, INET).with_text(1, "fwc").with_text(2, "x").with_text(3, "x");
                let mut whole = request.with(4, &bytes).with(9, &bytes).finish(0);
                for (at, value) in &flips {
                    let at = at.index(whole.len());
                    whole[at] = *value;
                }
                for message in wire::messages(&whole).flatten() {
                    let _ = table.take(&message, side);
                }
            }
            let raw = [&[INET, 0, 0, 0, 8, 0, 1, 0, b'f', b'w', b'c', 0], bytes.as_slice()].concat();
            let _ = table.take(&Message { kind: nf_tables::SUBSYSTEM | kind, flags: 0, sequence: 0, payload: &raw }, side);
            table.settle();
            let _ = table.identity();
        }
    }
}
