//! Sets and their elements, encoded here: through libnftnl's objects, a million elements take ten times as long and 300 MB.

use super::attribute::{Open, Writer};
use crate::backend::nft::key_type::{self, Field};
use crate::backend::nft::keys::COMMENT;
use crate::backend::nft::program::{Elements, Program, Set, TABLE};
use crate::net::Scalar;

const NFT_MSG_NEWSET: u16 = 9;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NLM_F_CREATE: u16 = 0x400;

const NFTA_SET_TABLE: u16 = 1;
const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_DESC: u16 = 9;
const NFTA_SET_ID: u16 = 10;
const NFTA_SET_USERDATA: u16 = 13;
const NFTA_SET_EXPR: u16 = 17;
const NFTA_SET_DESC_SIZE: u16 = 1;
const NFTA_SET_DESC_CONCAT: u16 = 2;
const NFTA_SET_FIELD_LEN: u16 = 1;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_SET_ELEM_LIST_SET_ID: u16 = 4;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_FLAGS: u16 = 3;
const NFTA_SET_ELEM_USERDATA: u16 = 6;
const NFTA_SET_ELEM_KEY_END: u16 = 10;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;

const NFT_SET_ANONYMOUS: u32 = 1;
const NFT_SET_CONSTANT: u32 = 2;
const NFT_SET_INTERVAL: u32 = 4;
const NFT_SET_CONCAT: u32 = 0x80;
const NFT_SET_ELEM_INTERVAL_END: u32 = 1;

/// The name by which the kernel numbers sets that belong to one rule.
pub(super) const ANONYMOUS: &str = "__set%d";

/// User data of a set: the byte order of its keys.
const KEY_BYTE_ORDER: u8 = 0;
/// nft's number for the host's order: names of interfaces.
const HOST_ENDIAN: u32 = 1;
/// nft's number for network order.
const BIG_ENDIAN: u32 = 2;
/// nft's number for keys of several fields, which have none.
const MIXED_ENDIAN: u32 = 0;
/// User data of an element: nft's flags.
const ELEMENT_FLAGS: u8 = 1;
/// nft's flag for the last range of a set that goes up to the last address.
const OPEN_END: u32 = 1;

/// Elements of one message take at most this many bytes: a nested attribute's length has 16 bits.
const FULL: usize = 60_000;

/// What a set is, for the kernel.
pub(super) struct Shape<'a> {
    pub(super) name: &'a str,
    pub(super) id: u32,
    key_type: u32,
    key_length: u32,
    fields: &'a [Field],
    interval: bool,
    counted: bool,
    anonymous: bool,
    size: Option<usize>,
}

impl<'a> Shape<'a> {
    /// A named set.
    pub(super) fn named(set: &'a Set, id: u32) -> Self {
        Shape {
            name: &set.name,
            id,
            key_type: key_type::of_key(set.key()),
            key_length: key_type::length(set.key()),
            fields: set.key(),
            interval: set.interval,
            counted: set.counted,
            anonymous: false,
            size: set.size(),
        }
    }

    /// A set that belongs to one rule, of one field with nft's type number and this many bytes.
    pub(super) fn anonymous(id: u32, key_type: u32, key_length: u32, interval: bool, size: usize) -> Self {
        Shape {
            name: ANONYMOUS,
            id,
            key_type,
            key_length,
            fields: &[],
            interval,
            counted: false,
            anonymous: true,
            size: Some(size),
        }
    }

    /// Appends the message that makes the set.
    pub(super) fn write(&self, writer: &mut Writer) {
        let concatenated = self.fields.len() > 1;
        let mut flags = 0;
        if self.anonymous {
            flags |= NFT_SET_ANONYMOUS | NFT_SET_CONSTANT;
        }
        if self.interval {
            flags |= NFT_SET_INTERVAL;
        }
        if self.interval && concatenated {
            flags |= NFT_SET_CONCAT;
        }
        let message = writer.message(NFT_MSG_NEWSET, NLM_F_CREATE);
        writer.text(NFTA_SET_TABLE, TABLE);
        writer.text(NFTA_SET_NAME, self.name);
        writer.be32(NFTA_SET_FLAGS, flags);
        writer.be32(NFTA_SET_KEY_TYPE, self.key_type);
        writer.be32(NFTA_SET_KEY_LEN, self.key_length);
        writer.be32(NFTA_SET_ID, self.id);
        self.description(writer, self.interval && concatenated);
        let order = match self.key_type {
            key_type::INTERFACE => HOST_ENDIAN,
            _ if concatenated => MIXED_ENDIAN,
            _ => BIG_ENDIAN,
        };
        writer.user_data(NFTA_SET_USERDATA, KEY_BYTE_ORDER, &order.to_ne_bytes());
        if self.counted {
            // Each element gets one of its own (Linux 5.7). To name it in each element would take the kernel a search by name each time.
            counter(writer, NFTA_SET_EXPR);
        }
        writer.end_message(message);
    }

    fn description(&self, writer: &mut Writer, by_field: bool) {
        let size = self.size.and_then(|size| u32::try_from(size).ok());
        if size.is_none() && !by_field {
            return;
        }
        let description = writer.nested(NFTA_SET_DESC);
        if let Some(size) = size {
            writer.be32(NFTA_SET_DESC_SIZE, size);
        }
        if by_field {
            let fields = writer.nested(NFTA_SET_DESC_CONCAT);
            for field in self.fields {
                let item = writer.nested(NFTA_LIST_ELEM);
                writer.be32(NFTA_SET_FIELD_LEN, width(*field));
                writer.end_nested(item);
            }
            writer.end_nested(fields);
        }
        writer.end_nested(description);
    }
}

fn counter(writer: &mut Writer, kind: u16) {
    let expression = writer.nested(kind);
    writer.text(NFTA_EXPR_NAME, "counter");
    let data = writer.nested(NFTA_EXPR_DATA);
    writer.end_nested(data);
    writer.end_nested(expression);
}

/// Bytes of a field, without padding.
fn width(field: Field) -> u32 {
    key_type::width(field).into()
}

/// Messages with elements of one set: as many as it takes.
pub(super) struct ElementWriter<'w, 's> {
    writer: &'w mut Writer,
    shape: &'s Shape<'s>,
    open: Option<(Open, Open)>,
    /// Where each message starts.
    offsets: Vec<usize>,
}

impl<'w, 's> ElementWriter<'w, 's> {
    pub(super) fn new(writer: &'w mut Writer, shape: &'s Shape<'s>) -> Self {
        ElementWriter { writer, shape, open: None, offsets: Vec::new() }
    }

    /// Ends the last message, and gives the offsets of all.
    pub(super) fn finish(mut self) -> Vec<usize> {
        self.close();
        self.offsets
    }

    /// A named set's elements.
    pub(super) fn set(&mut self, program: &Program, set: &Set) {
        match &set.elements {
            Elements::V4(ranges) if set.interval => self.intervals(ranges, u32::to_be_bytes),
            Elements::V6(ranges) if set.interval => self.intervals(ranges, u128::to_be_bytes),
            Elements::V4(ranges) => ranges.iter().for_each(|(address, _)| self.key(&address.to_be_bytes())),
            Elements::V6(ranges) => ranges.iter().for_each(|(address, _)| self.key(&address.to_be_bytes())),
            Elements::Keys(keys) => {
                for element in keys.iter() {
                    self.commented(element.first, set.interval.then_some(element.last), program.name(element.owner));
                }
            }
        }
    }

    /// Ranges of a plain interval set: a start and, one past the last, an end, with an end at the lowest value where nothing starts there.
    pub(super) fn intervals<T: Scalar, const N: usize>(&mut self, ranges: &[(T, T)], bytes: impl Fn(T) -> [u8; N]) {
        if ranges.first().is_some_and(|(first, _)| *first > T::MIN) {
            self.end_of_range(&bytes(T::MIN));
        }
        for &(first, last) in ranges {
            match last.next() {
                Some(end) => {
                    self.key(&bytes(first));
                    self.end_of_range(&bytes(end));
                }
                None => self.open_ended(&bytes(first)),
            }
        }
    }

    /// An element that is only a key.
    pub(super) fn key(&mut self, key: &[u8]) {
        let element = self.element();
        data(self.writer, NFTA_SET_ELEM_KEY, key);
        self.writer.end_nested(element);
    }

    fn end_of_range(&mut self, key: &[u8]) {
        let element = self.element();
        self.writer.be32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
        data(self.writer, NFTA_SET_ELEM_KEY, key);
        self.writer.end_nested(element);
    }

    fn open_ended(&mut self, key: &[u8]) {
        let element = self.element();
        data(self.writer, NFTA_SET_ELEM_KEY, key);
        self.writer.user_data(NFTA_SET_ELEM_USERDATA, ELEMENT_FLAGS, &OPEN_END.to_ne_bytes());
        self.writer.end_nested(element);
    }

    fn commented(&mut self, first: &[u8], last: Option<&[u8]>, name: &str) {
        let element = self.element();
        data(self.writer, NFTA_SET_ELEM_KEY, first);
        if let Some(last) = last {
            data(self.writer, NFTA_SET_ELEM_KEY_END, last);
        }
        self.writer.comment(NFTA_SET_ELEM_USERDATA, [COMMENT, name]);
        self.writer.end_nested(element);
    }

    /// Starts an element, in a message with room for it.
    fn element(&mut self) -> Open {
        if self.open.as_ref().is_some_and(|(_, list)| self.writer.since(list) > FULL) {
            self.close();
        }
        if self.open.is_none() {
            self.offsets.push(self.writer.bytes.len());
            let message = self.writer.message(NFT_MSG_NEWSETELEM, NLM_F_CREATE);
            self.writer.text(NFTA_SET_ELEM_LIST_TABLE, TABLE);
            self.writer.text(NFTA_SET_ELEM_LIST_SET, self.shape.name);
            self.writer.be32(NFTA_SET_ELEM_LIST_SET_ID, self.shape.id);
            let list = self.writer.nested(NFTA_SET_ELEM_LIST_ELEMENTS);
            self.open = Some((message, list));
        }
        self.writer.nested(NFTA_LIST_ELEM)
    }

    fn close(&mut self) {
        if let Some((message, list)) = self.open.take() {
            self.writer.end_nested(list);
            self.writer.end_message(message);
        }
    }
}

fn data(writer: &mut Writer, kind: u16, value: &[u8]) {
    let nest = writer.nested(kind);
    writer.bytes(NFTA_DATA_VALUE, value);
    writer.end_nested(nest);
}
