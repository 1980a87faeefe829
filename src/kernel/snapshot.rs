//! The table `inet fwc` as it is, as messages that make it again.
//!
//! The kernel lists an object with nearly the attributes that it wants to make one. What it adds on its own is left out (handles, uses, counts),
//! sets that belong to a rule get their number anew, and the elements of plain interval sets are sorted, because the kernel wants the end of a
//! range before the start of the next. Then the messages are held against the listing in normal form: a table that would not come back as it is
//! gives no messages but the reason.

use nix::libc;

use super::KernelError;
use super::difference::gap;
use super::listing::own_table;
use super::messages::{Messages, Part, Subject};
use super::nf_tables::{self, INET, data, element, elements, expression, message, rule, set, set_flag, table};
use super::normal::{NormalTable, Side};
use super::socket::{Generation, Socket};
use super::table::{Identity, delete_table};
use super::transaction::{Transaction, TransactionError};
use super::wire::{self, Attribute, Fields, Malformed, Message, Request};

/// What stands where fwc loads.
#[derive(Debug, Clone)]
pub enum Former {
    /// No table.
    Nothing,
    /// A table, and the messages that put it in the place of whatever is there.
    Table(Messages, Identity),
    /// A table that cannot be made again exactly, and why.
    Lost(String),
}

const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const CREATE: u16 = libc::NLM_F_CREATE as u16 | REQUEST;
const APPEND: u16 = libc::NLM_F_APPEND as u16 | CREATE;
/// Elements of one message take at most this many bytes: a nested attribute's length has 16 bits.
const FULL: usize = 60_000;
/// How often the table is read again when the ruleset changes meanwhile.
const TRIES: usize = 20;
const ASKED: &str = "list the table";
/// `NFT_CHAIN_BINDING`: a chain without a name, which belongs to a rule.
const CHAIN_BINDING: u64 = 4;
/// `NFTA_CHAIN_FLAGS`.
const CHAIN_FLAGS: u16 = 10;
/// The attributes of an element of any list: `NFTA_LIST_ELEM`.
const ITEM: u16 = 1;

/// Takes the snapshot, and the generation of the ruleset that it is of.
///
/// # Errors
/// The table cannot be read.
pub fn take(socket: &mut Socket) -> Result<(Former, Generation), KernelError> {
    for _ in 0..TRIES {
        let generation = socket.generation()?;
        let bytes = own_table(socket)?;
        let beside = beside(socket)?;
        if socket.generation()? != generation {
            continue;
        }
        if bytes.is_empty() {
            return Ok((Former::Nothing, generation));
        }
        let former = match beside {
            Some(what) => Former::Lost(format!("it has {what}, which fwc does not make")),
            None => of_listing(&bytes).unwrap_or_else(|why| Former::Lost(why.to_string())),
        };
        return Ok((former, generation));
    }
    Err(KernelError::Unsettled { asked: ASKED })
}

/// Puts a snapshot's messages in the place of the table as it is, in one transaction.
///
/// # Errors
/// As [`Transaction::commit`]; nothing was changed.
pub fn restore(messages: &Messages, socket: &mut Socket) -> Result<(), TransactionError> {
    Transaction::new(messages).commit(socket).map(drop)
}

/// Makes sure that there is no table.
///
/// # Errors
/// As [`Transaction::commit`].
pub fn restore_nothing(socket: &mut Socket) -> Result<(), TransactionError> {
    delete_table(socket).map(drop)
}

/// Messages that were kept as bytes.
///
/// # Errors
/// They are not messages about the table.
pub fn messages_of(bytes: Vec<u8>) -> Result<Messages, Malformed> {
    let mut messages = Messages::default();
    let mut at = 0;
    for found in wire::messages(&bytes) {
        let found = found?;
        messages.index.push(part(at));
        at += (wire::HEADER + found.payload.len()).next_multiple_of(4);
    }
    messages.bytes = bytes;
    Ok(messages)
}

fn part(offset: usize) -> Part {
    Part { offset, subject: Subject { what: "the former table".to_string(), place: None } }
}

/// Objects and flowtables of the table: fwc makes none, and they have state of their own.
fn beside(socket: &mut Socket) -> Result<Option<&'static str>, KernelError> {
    for (kind, what) in [(message::GET_OBJECT, "a stateful object"), (message::GET_FLOWTABLE, "a flowtable")] {
        // The table's name is attribute 1 of both.
        let is_there = socket.dump(
            ASKED,
            &Request::netfilter(kind, 0, INET),
            || false,
            |is_there, found| {
                let fields =
                    Fields::of(found.attributes()).map_err(|why| KernelError::Malformed { asked: ASKED, why })?;
                *is_there |=
                    found.family() == INET && fields.text(table::NAME).is_ok_and(|name| name == nf_tables::TABLE);
                Ok(())
            },
        )?;
        if is_there {
            return Ok(Some(what));
        }
    }
    Ok(None)
}

/// The messages that make what a listing shows, or why there are none.
fn of_listing(bytes: &[u8]) -> Result<Former, Malformed> {
    let mut listed = NormalTable::default();
    let mut builder = Builder::default();
    for found in wire::messages(bytes) {
        let found = found?;
        listed.take(&found, Side::Listed)?;
        if let Some(why) = builder.take(&found)? {
            return Ok(Former::Lost(why));
        }
    }
    builder.close_set();
    let messages = Messages { bytes: builder.bytes, index: builder.index };
    let mut sent = NormalTable::default();
    for found in wire::messages(&messages.bytes) {
        sent.take(&found?, Side::Sent)?;
    }
    listed.settle();
    sent.settle();
    if gap(&sent, &listed).is_some() {
        return Ok(Former::Lost("it has something that fwc cannot write down".to_string()));
    }
    let identity = Identity(listed.identity());
    Ok(Former::Table(messages, identity))
}

/// The messages so far.
#[derive(Default)]
struct Builder<'a> {
    bytes: Vec<u8>,
    index: Vec<Part>,
    /// The sets: name, id in the transaction, flags.
    sets: Vec<(String, u64)>,
    /// The set whose elements are being read, by its place in `sets`.
    open: Option<usize>,
    /// Its elements.
    elements: Vec<Element<'a>>,
}

/// An element as it was listed.
struct Element<'a> {
    key: &'a [u8],
    /// Whether it is the end of an interval. Ends come before starts at the same key.
    is_start: bool,
    bytes: &'a [u8],
}

impl<'a> Builder<'a> {
    fn push(&mut self, request: &Request) {
        self.index.push(part(self.bytes.len()));
        self.bytes.extend(request.finish(0));
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Takes one listed message in; gives why the table cannot be made again.
    fn take(&mut self, found: &Message<'a>) -> Result<Option<String>, Malformed> {
        let fields = Fields::of(found.attributes())?;
        if found.kind != message::NEW_ELEMENTS {
            self.close_set();
        }
        match found.kind {
            message::NEW_TABLE => self.table(found)?,
            message::NEW_CHAIN => {
                if fields.number(CHAIN_FLAGS).unwrap_or(0) & CHAIN_BINDING != 0 {
                    return Ok(Some("it has a chain without a name".to_string()));
                }
                self.push(&copy(found, CREATE, "chain", CHAIN)?);
            }
            message::NEW_SET => {
                let flags = fields.number(set::FLAGS).unwrap_or(0);
                let name = fields.text(set::NAME)?;
                if flags & (set_flag::TIMEOUT | set_flag::EVALUATED) != 0 {
                    return Ok(Some(format!("the set {name} changes by itself")));
                }
                self.set(found, name, flags)?;
            }
            message::NEW_ELEMENTS => self.elements_of(&fields)?,
            message::NEW_RULE => self.rule(found, &fields)?,
            kind => return Err(Malformed::Kind(kind)),
        }
        Ok(None)
    }

    /// Adds it, so that it is there, deletes it, and makes it anew.
    fn table(&mut self, found: &Message<'_>) -> Result<(), Malformed> {
        let named = |kind, flags| Request::netfilter(kind, flags, INET).with_text(table::NAME, nf_tables::TABLE);
        self.push(&named(message::NEW_TABLE, CREATE));
        self.push(&named(message::DELETE_TABLE, REQUEST));
        self.push(&copy(found, CREATE, "table", TABLE)?);
        Ok(())
    }

    fn set(&mut self, found: &Message<'_>, name: String, flags: u64) -> Result<(), Malformed> {
        let id = self.sets.len() + 1;
        let shown = template(&name, flags);
        self.sets.push((name, flags));
        let mut request = Request::netfilter(found.kind, CREATE, INET);
        for Attribute { kind, value } in kept(found.attributes(), "set", SET)? {
            request = if kind == set::NAME { request.with_text(kind, &shown) } else { request.with(kind, value) };
        }
        self.push(&request.with_be32(set::ID, number(id)));
        Ok(())
    }

    fn elements_of(&mut self, fields: &Fields<'a>) -> Result<(), Malformed> {
        let name = fields.text(elements::SET)?;
        let at = self.sets.iter().position(|(known, _)| *known == name).ok_or(Malformed::Orphan(name))?;
        if self.open != Some(at) {
            self.close_set();
            self.open = Some(at);
        }
        for attribute in wire::attributes(fields.get(elements::ELEMENTS).unwrap_or(&[])) {
            let bytes = attribute?.value;
            let fields = Fields::of(bytes)?;
            let key = match fields.get(element::KEY) {
                Some(key) => Fields::of(key)?.get(data::VALUE).unwrap_or(&[]),
                None => &[],
            };
            let is_start = fields.number(element::FLAGS).unwrap_or(0) & element::INTERVAL_END == 0;
            for attribute in wire::attributes(bytes) {
                known("set element", ELEMENT, attribute?.kind)?;
            }
            self.elements.push(Element { key, is_start, bytes });
        }
        Ok(())
    }

    /// Writes the elements of the set that was read last.
    fn close_set(&mut self) {
        let Some((at, (name, flags))) = self.open.take().and_then(|at| Some((at, self.sets.get(at)?.clone()))) else {
            return;
        };
        let mut elements = std::mem::take(&mut self.elements);
        let is_plain = flags & set_flag::INTERVAL != 0 && flags & set_flag::CONCATENATED == 0;
        if is_plain {
            elements.sort_by_key(|element| (element.key, element.is_start));
        }
        let mut rest = elements.as_slice();
        while !rest.is_empty() {
            let (mut list, mut count) = (Request::attributes(), 0);
            while let Some(element) = rest.get(count)
                && (count == 0 || list.bytes().len() + element.bytes.len() + 8 < FULL)
            {
                list = list.with_nested(ITEM, |item| element.write(item));
                count += 1;
            }
            let message = Request::netfilter(message::NEW_ELEMENTS, CREATE, INET)
                .with_text(elements::TABLE, nf_tables::TABLE)
                .with_text(elements::SET, &template(&name, flags))
                .with_be32(elements::SET_ID, number(at + 1))
                .with_nested(elements::ELEMENTS, |_| list);
            self.push(&message);
            rest = rest.get(count..).unwrap_or(&[]);
        }
    }

    fn rule(&mut self, found: &Message<'_>, fields: &Fields<'_>) -> Result<(), Malformed> {
        let mut request = Request::netfilter(found.kind, APPEND, INET);
        let mut list = Request::attributes();
        for item in wire::attributes(fields.get(rule::EXPRESSIONS).unwrap_or(&[])) {
            list = list.with(ITEM, self.expression(item?.value)?.bytes());
        }
        for Attribute { kind, value } in kept(found.attributes(), "rule", RULE)? {
            request =
                if kind == rule::EXPRESSIONS { request.with(kind, list.bytes()) } else { request.with(kind, value) };
        }
        self.push(&request);
        Ok(())
    }

    /// An expression. One that looks into a set that belongs to the rule names it by its number in the transaction.
    fn expression(&self, bytes: &[u8]) -> Result<Request, Malformed> {
        let fields = Fields::of(bytes)?;
        let name = fields.text(expression::NAME)?;
        // The attributes of the set's name and number.
        let (set_name, set_id) = match name.as_str() {
            "lookup" => (1, 4),
            "objref" => (4, 5),
            _ => (u16::MAX, 0),
        };
        let mut content = Request::attributes();
        for attribute in wire::attributes(fields.get(expression::DATA).unwrap_or(&[])) {
            let Attribute { kind, value } = attribute?;
            let text = wire::text(value);
            let place = self.sets.iter().position(|(known, _)| kind == set_name && *known == text);
            content = match place.and_then(|at| Some((at, self.sets.get(at)?))) {
                Some((at, (name, flags))) => {
                    content.with_text(kind, &template(name, *flags)).with_be32(set_id, number(at + 1))
                }
                None => content.with(kind, value),
            };
        }
        let mut request = Request::attributes();
        for attribute in wire::attributes(bytes) {
            let Attribute { kind, value } = attribute?;
            request = if kind == expression::DATA {
                request.with_nested(kind, |_| content.clone())
            } else {
                request.with(kind, value)
            };
        }
        Ok(request)
    }
}

impl Element<'_> {
    /// The end of an interval is a key and nothing else.
    fn write(&self, mut item: Request) -> Request {
        for Attribute { kind, value } in wire::attributes(self.bytes).flatten() {
            let wanted = ELEMENT.0.contains(&kind) && (self.is_start || [element::KEY, element::FLAGS].contains(&kind));
            if wanted {
                item = item.with(kind, value);
            }
        }
        item
    }
}

/// The name to ask for: the kernel numbers the sets that belong to a rule.
fn template(name: &str, flags: u64) -> String {
    if flags & set_flag::ANONYMOUS == 0 {
        return name.to_string();
    }
    format!("{}%d", name.trim_end_matches(|digit: char| digit.is_ascii_digit()))
}

fn number(id: usize) -> u32 {
    u32::try_from(id).unwrap_or(u32::MAX)
}

/// Attributes to keep, and attributes to leave out: the kernel's own.
type Attributes = (&'static [u16], &'static [u16]);

/// A table: name, flags, user data; use, handle, pad, owner are the kernel's.
const TABLE: Attributes = (&[1, 2, 6], &[3, 4, 5, 7]);
/// A chain: table, name, hook, policy, type, flags, user data; handle, use, counters, pad, id are not.
const CHAIN: Attributes = (&[1, 3, 4, 5, 7, CHAIN_FLAGS, 12], &[2, 6, 8, 9, 11]);
/// A rule: table, chain, expressions, compat, user data; handle, position, pad, id are not.
const RULE: Attributes = (&[1, 2, 4, 5, 7], &[3, 6, 8, 9]);
/// A set: all up to its description, timeout, collection interval, user data, object type, expressions; id, pad, handle, the kernel's choice of
/// implementation and the number of elements are not.
const SET: Attributes = (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 17, 18], &[10, 14, 16, 19, 20]);
/// An element: key, data, flags, timeout, user data, expression, object, last key, expressions; expiration and pad are not.
const ELEMENT: Attributes = (&[1, 2, 3, 4, 6, 7, 9, 10, 11], &[5, 8]);

/// Whether an attribute is to be kept. One that fwc does not know could say something that would be lost.
fn known(what: &'static str, (kept, dropped): Attributes, kind: u16) -> Result<bool, Malformed> {
    if kept.contains(&kind) {
        return Ok(true);
    }
    if dropped.contains(&kind) { Ok(false) } else { Err(Malformed::Unknown(what, kind)) }
}

fn kept<'b>(bytes: &'b [u8], what: &'static str, wanted: Attributes) -> Result<Vec<Attribute<'b>>, Malformed> {
    let mut found = Vec::new();
    for attribute in wire::attributes(bytes) {
        let attribute = attribute?;
        if known(what, wanted, attribute.kind)? {
            found.push(attribute);
        }
    }
    Ok(found)
}

fn copy(found: &Message<'_>, flags: u16, what: &'static str, wanted: Attributes) -> Result<Request, Malformed> {
    let request = Request::netfilter(found.kind, flags, INET);
    let attributes = kept(found.attributes(), what, wanted)?;
    Ok(attributes.into_iter().fold(request, |request, attribute| request.with(attribute.kind, attribute.value)))
}
