//! One form for what was sent and what the kernel lists, so that the two can be compared.
//!
//! Both are decoded by the same code: attributes in the order of their numbers, defaults left out, handles, counters and the like dropped. An
//! object's normal form is a list of (attribute number, length, content), so two objects have the same one only if they mean the same. Objects
//! are kept as digests: a set of a million elements takes 16 MB. A set without a name is part of the rule that it belongs to: its number
//! depends on who loaded it.

mod condition;
mod members;
mod shape;
mod simple;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::xxh3_128;

pub use self::members::Members;

use self::condition::Step;
use self::shape::{Field, Shape};
use super::nf_tables::{self, COMMENT, INET, element, elements, expression, message, rule, set, set_flag, table};
use super::wire::{self, Attribute, Fields, Malformed, Message};
use crate::backend::nft::SIGNATURE;

/// Whose words are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Ours. What is not understood here is an error: it could not be compared.
    Sent,
    /// The kernel's. It may say more than fwc understands, as newer kernels do.
    Listed,
}

/// XXH3 of a normal form. It tells changes apart, not forgeries: who may change the table may change its comment too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(u128);

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        Digest(xxh3_128(bytes))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a message added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// Nothing that counts.
    Nothing,
    /// The table.
    Table,
    /// A chain.
    Chain(Digest),
    /// A set.
    Set(Digest),
    /// A rule.
    Rule(Digest),
    /// Elements of a set.
    Elements,
}

/// A chain in normal form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalChain {
    /// Its own attributes.
    pub digest: Digest,
    /// Its rules, in order.
    pub rules: Vec<Digest>,
}

/// A set in normal form.
#[derive(Debug, Clone)]
pub struct NormalSet {
    /// Its own attributes.
    pub digest: Digest,
    /// Its elements.
    pub elements: Members,
    /// The expressions that elements get where they name none.
    expressions: Vec<u8>,
    /// Whether it belongs to a rule, whose digest has its content.
    pub(super) anonymous: bool,
    /// How many elements the kernel says it has, where it does. Of ranges that are two elements each it tells half, rounded down, so that nothing
    /// can be concluded.
    pub(super) count: Option<u64>,
}

impl NormalSet {
    /// What it is and holds, for a rule that it belongs to.
    fn content(&self) -> Digest {
        let elements = [Digest(self.elements.len() as u128), self.elements.digest()];
        let parts: Vec<u8> =
            std::iter::once(&self.digest).chain(&elements).flat_map(|digest| digest.0.to_le_bytes()).collect();
        Digest::of(&parts)
    }
}

/// The table `inet fwc` in normal form, and how far it has been decoded.
#[derive(Debug, Clone, Default)]
pub struct NormalTable {
    /// The table's own attributes; none if it is not there.
    pub digest: Option<Digest>,
    /// The comment of the table, which is no part of its identity.
    pub comment: Option<String>,
    /// The comment of the chain [`SIGNATURE`]. It tells the identity of the rest, so it is no part of it; the chain is.
    pub signature: Option<String>,
    /// The table's flags: a dormant one is not in force.
    flags: u64,
    /// By name.
    pub chains: BTreeMap<String, NormalChain>,
    /// By name.
    pub sets: BTreeMap<String, NormalSet>,
    /// The names of sets by their id within the transaction.
    names: HashMap<u64, String>,
}

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

    /// Drops the sets that rules have taken in. Call it when all messages have been taken.
    pub fn settle(&mut self) {
        self.sets.retain(|_, set| !set.anonymous);
    }

    /// What the table is apart from what is in it.
    pub(super) fn own(&self) -> (Option<Digest>, &Option<String>, u64) {
        (self.digest, &self.comment, self.flags)
    }

    /// One digest of everything but the table's comment and its signature. The table must be settled.
    #[must_use]
    pub fn identity(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let mut part = |name: &str, digest: Option<Digest>, items: &[Digest]| {
            hasher.update((name.len() as u64).to_le_bytes());
            hasher.update(name);
            hasher.update(digest.map_or([0; 16], |digest| digest.0.to_le_bytes()));
            hasher.update((items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| hasher.update(item.0.to_le_bytes()));
        };
        part(if self.digest.is_some() { "table" } else { "no table" }, None, &[]);
        self.chains.iter().for_each(|(name, chain)| part(name, Some(chain.digest), &chain.rules));
        part("sets", None, &[]);
        for (name, set) in &self.sets {
            let count = Digest(set.elements.len() as u128);
            part(name, Some(set.digest), &[count, set.elements.digest()]);
        }
        hasher.update(self.flags.to_le_bytes());
        hasher.finalize().into()
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
    pub(super) fn take_elements(
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

    /// The digest of one element of a set; none for one that means nothing.
    pub(super) fn digest_of(&self, set: &str, bytes: &[u8], side: Side) -> Result<Option<Digest>, Malformed> {
        let expressions = self.sets.get(set).map_or(&[][..], |set| &set.expressions);
        let mut buffer = Vec::new();
        let counts = self.element(bytes, expressions, side, &mut buffer)?;
        Ok(counts.then(|| Digest::of(&buffer)))
    }

    /// The normal form of one element; false for one that means nothing.
    fn element(&self, bytes: &[u8], default: &[u8], side: Side, out: &mut Vec<u8>) -> Result<bool, Malformed> {
        simple::element(bytes, default, out).map_or_else(|| self.any_element(bytes, default, side, out), Ok)
    }

    /// The same, whatever the element has.
    fn any_element(&self, bytes: &[u8], default: &[u8], side: Side, out: &mut Vec<u8>) -> Result<bool, Malformed> {
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

    /// The normal form of an object with these fields.
    fn object(&self, what: &'static str, shapes: &[Field], bytes: &[u8], side: Side) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::new();
        self.fields(what, shapes, bytes, side, &mut out)?;
        Ok(out)
    }

    fn fields(
        &self,
        what: &'static str,
        shapes: &[Field],
        bytes: &[u8],
        side: Side,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let fields = Fields::of(bytes)?;
        for attribute in wire::attributes(bytes) {
            known(what, shapes, attribute?.kind, side)?;
        }
        for field in shapes {
            if let Some(value) = fields.get(field.0) {
                self.field(what, *field, value, &fields, side, out)?;
            }
        }
        Ok(())
    }

    /// Appends one attribute, unless it says nothing.
    fn field(
        &self,
        what: &'static str,
        (kind, shape): Field,
        value: &[u8],
        siblings: &Fields<'_>,
        side: Side,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let number = || wire::number(value).ok_or(Malformed::Missing(kind));
        match shape {
            Shape::Ignored => {}
            Shape::Bytes => some(out, kind, value),
            Shape::Text => some(out, kind, wire::text(value).as_bytes()),
            Shape::TextOr(default) => {
                let text = wire::text(value);
                some(out, kind, if text == default { b"" } else { text.as_bytes() });
            }
            Shape::Comment(comment) => some(out, kind, wire::user_data(value, comment).unwrap_or(&[])),
            // The kernel's number.
            Shape::SetName if what == "set" && is_anonymous(siblings) => {}
            Shape::SetName => {
                // The id is attribute 4 of a lookup, 5 of an objref, and 10 of the set itself.
                let id_kind = if what == "set" {
                    set::ID
                } else if kind == 4 {
                    5
                } else {
                    4
                };
                let name = self.set_name(Some(value), siblings.number(id_kind), side)?;
                match self.sets.get(&name).filter(|set| set.anonymous) {
                    Some(set) => some(out, kind, &set.content().0.to_le_bytes()),
                    None => some(out, kind, name.as_bytes()),
                }
            }
            // A verdict map's data length is the kernel's own business.
            Shape::Number if what == "set" && kind == 7 && siblings.number(6) == Some(shape::VERDICT_TYPE) => {}
            Shape::Number => quantity(out, kind, number()?, 0),
            Shape::NumberOr(default) => quantity(out, kind, number()?, default),
            Shape::FlagsWithout(bits) => quantity(out, kind, number()? & !bits, 0),
            Shape::Register => prefixed(out, kind, &register(number()?).to_be_bytes()),
            Shape::RegisterLike(other) => {
                let other = siblings.number(other).map_or(u64::MAX, register);
                quantity(out, kind, register(number()?), other);
            }
            Shape::Nested(shapes) => nested(out, kind, |out| self.fields(what, shapes, value, side, out))?,
            Shape::List(shapes) => {
                nested(out, kind, |out| list(value, out, |item, out| self.fields(what, shapes, item, side, out)))?
            }
            Shape::Expressions => nested(out, kind, |out| self.expressions(value, side, out))?,
            Shape::ExpressionAs(kind) => nested(out, kind, |out| {
                let start = begin(out, 0);
                self.expression(value, side, out)?;
                end(out, start);
                Ok(())
            })?,
        }
        Ok(())
    }

    /// Expressions, in order.
    fn expressions(&self, bytes: &[u8], side: Side, out: &mut Vec<u8>) -> Result<(), Malformed> {
        for step in condition::steps(bytes)? {
            match step {
                Step::Expression(bytes) => {
                    let start = begin(out, 0);
                    self.expression(bytes, side, out)?;
                    end(out, start);
                }
                Step::Equal(bytes) => {
                    let start = begin(out, EQUAL);
                    for (header, offset, byte) in bytes {
                        out.extend(header.to_be_bytes());
                        out.extend(offset.to_be_bytes());
                        out.push(byte);
                    }
                    end(out, start);
                }
            }
        }
        Ok(())
    }

    /// An expression: its name, then its data.
    fn expression(&self, bytes: &[u8], side: Side, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let fields = Fields::of(bytes)?;
        let name = fields.text(expression::NAME)?;
        prefixed(out, expression::NAME, name.as_bytes());
        let data = fields.get(expression::DATA).unwrap_or(&[]);
        match (shape::expression(&name), side) {
            (Some(shapes), _) => nested(out, expression::DATA, |out| self.fields("rule", shapes, data, side, out)),
            (None, Side::Sent) => Err(Malformed::Expression(name)),
            (None, Side::Listed) => {
                some(out, expression::DATA, data);
                Ok(())
            }
        }
    }

    /// A set's real name.
    fn set_name(&self, name: Option<&[u8]>, id: Option<u64>, side: Side) -> Result<String, Malformed> {
        let resolved = id.filter(|_| side == Side::Sent).and_then(|id| self.names.get(&id));
        match (resolved, name) {
            (Some(name), _) => Ok(name.clone()),
            (None, Some(name)) => Ok(wire::text(name)),
            (None, None) => Err(Malformed::Missing(elements::SET)),
        }
    }
}

fn is_anonymous(set: &Fields<'_>) -> bool {
    set.number(set::FLAGS).unwrap_or(0) & set_flag::ANONYMOUS != 0
}

fn key_is_zero(fields: &Fields<'_>) -> bool {
    let value = fields.get(element::KEY).and_then(|key| Fields::of(key).ok()?.get(nf_tables::data::VALUE));
    value.is_some_and(|value| value.iter().all(|&byte| byte == 0))
}

/// On our side, an attribute must be known, or it could not be compared.
fn known(what: &'static str, shapes: &[Field], kind: u16, side: Side) -> Result<(), Malformed> {
    if side == Side::Sent && !shapes.iter().any(|field| field.0 == kind) {
        return Err(Malformed::Unknown(what, kind));
    }
    Ok(())
}

/// Registers 8, 12, 16 and 20 start where the old registers 1 to 4 do, and the kernel lists them so (nft_dump_register).
fn register(number: u64) -> u64 {
    match number {
        8 => 1,
        12 => 2,
        16 => 3,
        20 => 4,
        other => other,
    }
}

/// Stands where an expression has 0: bytes of the packet that are equal to given ones.
const EQUAL: u16 = 1;
/// Bytes before each content: attribute number and length.
const PREFIX: usize = 6;

/// Attribute number and length of what follows.
fn prefix(out: &mut Vec<u8>, kind: u16, length: usize) {
    let [low, high] = kind.to_le_bytes();
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&[low, high, a, b, c, d]);
}

/// As [`prefix`], of a length that [`end`] fills in.
fn begin(out: &mut Vec<u8>, kind: u16) -> usize {
    prefix(out, kind, 0);
    out.len()
}

fn end(out: &mut [u8], start: usize) {
    let length = u32::try_from(out.len().saturating_sub(start)).unwrap_or(u32::MAX);
    wire::patch(out, start.saturating_sub(4), &length.to_le_bytes());
}

fn prefixed(out: &mut Vec<u8>, kind: u16, bytes: &[u8]) {
    prefix(out, kind, bytes.len());
    out.extend_from_slice(bytes);
}

/// As [`prefixed`], but empty is the same as absent.
fn some(out: &mut Vec<u8>, kind: u16, bytes: &[u8]) {
    if !bytes.is_empty() {
        prefixed(out, kind, bytes);
    }
}

fn quantity(out: &mut Vec<u8>, kind: u16, value: u64, default: u64) {
    if value != default {
        prefixed(out, kind, &value.to_be_bytes());
    }
}

fn nested(
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

fn list(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::wire::Request;
    use proptest::prelude::*;

    const OBJECTS: [(&str, u16); 4] = [
        ("table", message::NEW_TABLE),
        ("chain", message::NEW_CHAIN),
        ("set", message::NEW_SET),
        ("rule", message::NEW_RULE),
    ];

    fn shapes(what: &str) -> &'static [Field] {
        match what {
            "table" => shape::TABLE,
            "chain" => shape::CHAIN,
            "set" => shape::SET,
            _ => shape::RULE,
        }
    }

    /// The normal form of one message about the table fwc.
    fn digest(what: &str, request: Request, side: Side) -> Result<Digest, Malformed> {
        let bytes = request.finish(0);
        let message = wire::messages(&bytes).next().unwrap()?;
        NormalTable::default().object("object", shapes(what), message.attributes(), side).map(|form| Digest::of(&form))
    }

    fn chain(kind: u16) -> Request {
        Request::netfilter(kind, 0, INET).with_text(1, "fwc").with_text(3, "input")
    }

    #[test]
    fn what_the_kernel_adds_does_not_count() {
        let hook = |request: Request| request.with_nested(4, |h| h.with_be32(1, 1).with_be32(2, 0));
        let sent = hook(chain(message::NEW_CHAIN));
        let listed = hook(chain(message::NEW_CHAIN).with(2, &[0, 0, 0, 0, 0, 0, 0, 9]).with_be32(6, 3));
        let listed = listed.with_be32(5, 1).with_text(7, "filter").with_be32(10, 1).with(31, b"newer");
        assert_eq!(digest("chain", sent.clone(), Side::Sent), digest("chain", listed, Side::Listed));
        for other in [sent.clone().with_be32(5, 0), sent.clone().with_text(7, "nat"), sent.clone().with(12, &[0, 1, 0])]
        {
            assert_ne!(digest("chain", sent.clone(), Side::Sent), digest("chain", other, Side::Sent));
        }
        assert_ne!(digest("chain", sent, Side::Sent), digest("chain", chain(message::NEW_CHAIN), Side::Sent));
    }

    #[test]
    fn what_is_not_understood_is_an_error_on_our_side_only() {
        let newer = chain(message::NEW_CHAIN).with(31, b"newer");
        assert_eq!(digest("chain", newer.clone(), Side::Sent), Err(Malformed::Unknown("object", 31)));
        assert_eq!(digest("chain", newer, Side::Listed), digest("chain", chain(message::NEW_CHAIN), Side::Sent));
        let odd = Request::netfilter(message::NEW_RULE, 0, INET)
            .with_nested(4, |list| list.with_nested(1, |one| one.with_text(1, "quantum")));
        assert_eq!(digest("rule", odd.clone(), Side::Sent), Err(Malformed::Expression("quantum".into())));
        assert!(digest("rule", odd, Side::Listed).is_ok());
    }

    /// A rule with one expression.
    fn rule_with(name: &str, data: impl FnOnce(Request) -> Request) -> Request {
        Request::netfilter(message::NEW_RULE, 0, INET)
            .with_nested(4, |list| list.with_nested(1, |one| one.with_text(1, name).with_nested(2, data)))
    }

    #[test]
    fn expressions_mean_the_same_with_defaults_written_out_or_not() {
        let same = |sent: Request, listed: Request| {
            assert_eq!(digest("rule", sent, Side::Sent), digest("rule", listed, Side::Listed));
        };
        same(
            rule_with("lookup", |d| d.with_text(1, "s").with_be32(2, 8).with_be32(4, 7)),
            rule_with("lookup", |d| d.with_text(1, "s").with_be32(2, 1).with_be32(5, 0)),
        );
        same(
            rule_with("nat", |d| d.with_be32(1, 1).with_be32(2, 2).with_be32(3, 1).with_be32(5, 9)),
            rule_with("nat", |d| {
                let d = d.with_be32(1, 1).with_be32(2, 2).with_be32(3, 1).with_be32(4, 1);
                d.with_be32(5, 9).with_be32(6, 9).with_be32(7, 3)
            }),
        );
        same(
            rule_with("counter", |d| d),
            rule_with("counter", |d| d.with(1, &[0, 0, 0, 0, 0, 0, 1, 2]).with(2, &[0, 0, 0, 0, 0, 0, 0, 3])),
        );
        let verdict = |code: i32| {
            rule_with("immediate", |d| {
                d.with_be32(1, 0).with_nested(2, |d| d.with_nested(2, |v| v.with(1, &code.to_be_bytes())))
            })
        };
        assert_ne!(digest("rule", verdict(0), Side::Sent), digest("rule", verdict(1), Side::Sent));
        assert_ne!(
            digest("rule", rule_with("cmp", |d| d.with_be32(1, 1).with_be32(2, 0)), Side::Sent),
            digest("rule", rule_with("cmp", |d| d.with_be32(1, 1).with_be32(2, 1)), Side::Sent),
        );
    }

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
            for (_, object) in OBJECTS {
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
