//! A program as netlink messages.
//!
//! Table, sets and elements are encoded here, chains and rules through libnftnl. The messages replace the table, whether it was there or not:
//! it is added, so that it exists, deleted, and added again.

mod attribute;
mod rule;
mod set;

use std::ffi::CString;

use nftnl::{ChainType, ProtoFamily};

use super::program::{Chain, Program, SIGNATURE, TABLE, TABLE_COMMENT};
use crate::ruleset::Hook;
use crate::source::Place;
use crate::spec::Fate;
use crate::sys::expression::Scratch;
use attribute::Writer;
use rule::{Encoder, Ids};
use set::{ElementWriter, Shape};

const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_USERDATA: u16 = 12;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
const NFTA_TABLE_USERDATA: u16 = 6;
/// The messages about the table come first: it is there, it is gone, it is new.
const TABLE_MESSAGES: usize = 3;
/// The first message of those that are enough where there is no table.
pub const ANEW: usize = TABLE_MESSAGES - 1;
/// Where a message has its sequence number, in bytes.
const SEQUENCE: usize = 8;
/// `NLM_F_CREATE`
const CREATE: u16 = 0x400;
/// `NLM_F_ACK`
const ACKNOWLEDGE: u16 = 4;

/// Complete nfnetlink messages, 4-aligned, back to back, without the batch's begin and end.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    /// The messages, without requests for acknowledgement. A transaction numbers those that are not numbered from 1 on.
    pub bytes: Vec<u8>,
    /// One part a message, in the order of the messages.
    pub index: Vec<Part>,
}

/// One message.
#[derive(Debug, Clone)]
pub struct Part {
    /// Where it starts in the bytes.
    pub offset: usize,
    /// What it is about.
    pub subject: Subject,
}

/// What a message is about, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// As in `chain input`, `set web_v4`, `rule 3 of chain input (fwc: web)`.
    pub what: String,
    /// Where the spec asked for it.
    pub place: Option<Place>,
}

/// The messages that put the program in the place of the table as it is.
#[must_use]
pub fn messages(program: &Program) -> Messages {
    let mut builder = Builder { program, writer: Writer::default(), index: Vec::new(), scratch: Scratch::default() };
    builder.table();
    let table = nftnl::Table::new(c(TABLE), ProtoFamily::Inet);
    let chains: Vec<nftnl::Chain<'_>> = program.chains.iter().map(|chain| lowered(chain, &table)).collect();
    for (chain, lowered) in program.chains.iter().zip(&chains) {
        builder.part(format!("chain {}", chain.name), None);
        builder.append(lowered);
    }
    builder.signature();
    builder.sets();
    // Ids of sets start at 1: 0 would mean none.
    let mut ids = Ids(id(program.sets.len()));
    for (chain, lowered) in program.chains.iter().zip(&chains) {
        builder.rules(chain, lowered, &mut ids);
    }
    let mut messages = Messages { bytes: builder.writer.bytes, index: builder.index };
    number(&mut messages);
    messages
}

/// Numbers the messages from 1 on, as a transaction sends them.
fn number(messages: &mut Messages) {
    for (number, part) in (1u32..).zip(&messages.index) {
        if let Some(place) = messages.bytes.get_mut(part.offset + SEQUENCE..).and_then(|bytes| bytes.first_chunk_mut())
        {
            *place = number.to_ne_bytes();
        }
    }
}

/// Puts the signature of a program that has been signed since into its messages.
pub fn resign(messages: &mut Messages, program: &Program) {
    // The chain's message is the last before those of sets and rules; the signature has kept its length.
    let at = TABLE_MESSAGES + program.chains.len();
    let start = messages.index.get(at).map_or(messages.bytes.len(), |part| part.offset);
    let end = messages.index.get(at + 1).map_or(messages.bytes.len(), |part| part.offset);
    let signature = program.signature.as_bytes();
    let Some(message) = messages.bytes.get_mut(start..end) else { return };
    let prefix = signature.get(..signature.len().saturating_sub(32)).unwrap_or(signature);
    if let Some(at) = message.windows(prefix.len().max(1)).position(|window| window == prefix)
        && let Some(old) = message.get_mut(at..at + signature.len())
    {
        old.copy_from_slice(signature);
    }
}

/// The id of a named set in the transaction.
fn id(place: usize) -> u32 {
    u32::try_from(place + 1).unwrap_or(u32::MAX)
}

/// A name for C. Names have no NUL bytes.
fn c(name: &str) -> CString {
    CString::new(name).unwrap_or_default()
}

fn lowered<'t>(chain: &Chain, table: &'t nftnl::Table) -> nftnl::Chain<'t> {
    let mut lowered = nftnl::Chain::new(c(&chain.name), table);
    if let Some((hook, policy)) = chain.base {
        let (point, kind, priority) = match hook {
            Hook::RawPrerouting => (nftnl::Hook::PreRouting, ChainType::Filter, -300),
            Hook::RawOutput => (nftnl::Hook::Out, ChainType::Filter, -300),
            Hook::NatPrerouting => (nftnl::Hook::PreRouting, ChainType::Nat, -100),
            Hook::Input => (nftnl::Hook::In, ChainType::Filter, 0),
            Hook::Forward => (nftnl::Hook::Forward, ChainType::Filter, 0),
            Hook::Output => (nftnl::Hook::Out, ChainType::Filter, 0),
            Hook::NatPostrouting => (nftnl::Hook::PostRouting, ChainType::Nat, 100),
        };
        lowered.set_hook(point, priority);
        lowered.set_type(kind);
        lowered.set_policy(match policy {
            Fate::Accept => nftnl::Policy::Accept,
            Fate::Drop => nftnl::Policy::Drop,
        });
    }
    lowered
}

struct Builder<'a> {
    program: &'a Program,
    writer: Writer,
    index: Vec<Part>,
    scratch: Scratch,
}

impl Builder<'_> {
    fn part(&mut self, what: String, place: Option<Place>) {
        self.part_at(self.writer.bytes.len(), what, place);
    }

    fn part_at(&mut self, offset: usize, what: String, place: Option<Place>) {
        self.index.push(Part { offset, subject: Subject { what, place } });
    }

    /// Appends a message of libnftnl's, without its request for an acknowledgement.
    fn append<M: nftnl::NlMsg>(&mut self, message: &M) {
        const FLAGS: usize = 6;
        let start = self.writer.bytes.len();
        self.scratch.append(message, &mut self.writer.bytes);
        if let Some(flags) = self.writer.bytes.get_mut(start + FLAGS..).and_then(|bytes| bytes.first_chunk_mut()) {
            *flags = (u16::from_ne_bytes(*flags) & !ACKNOWLEDGE).to_ne_bytes();
        }
    }

    fn table(&mut self) {
        for (kind, whole) in [(NFT_MSG_NEWTABLE, false), (NFT_MSG_DELTABLE, false), (NFT_MSG_NEWTABLE, true)] {
            self.part(format!("table inet {TABLE}"), None);
            let message = self.writer.message(kind, 0);
            self.writer.text(NFTA_TABLE_NAME, TABLE);
            if kind == NFT_MSG_NEWTABLE {
                self.writer.be32(NFTA_TABLE_FLAGS, 0);
            }
            if whole {
                self.writer.comment(NFTA_TABLE_USERDATA, [TABLE_COMMENT]);
            }
            self.writer.end_message(message);
        }
    }

    fn signature(&mut self) {
        self.part(format!("chain {SIGNATURE}"), None);
        let message = self.writer.message(NFT_MSG_NEWCHAIN, CREATE);
        self.writer.text(NFTA_CHAIN_TABLE, TABLE);
        self.writer.text(NFTA_CHAIN_NAME, SIGNATURE);
        self.writer.comment(NFTA_CHAIN_USERDATA, [&self.program.signature]);
        self.writer.end_message(message);
    }

    fn sets(&mut self) {
        let program = self.program;
        for (place, set) in program.sets.iter().enumerate() {
            let shape = Shape::named(set, id(place));
            self.part(format!("set {}", set.name), set.place);
            shape.write(&mut self.writer);
            let mut elements = ElementWriter::new(&mut self.writer, &shape);
            elements.set(program, set);
            for offset in elements.finish() {
                self.part_at(offset, format!("elements of set {}", set.name), set.place);
            }
        }
    }

    fn rules(&mut self, chain: &Chain, lowered: &nftnl::Chain<'_>, ids: &mut Ids) {
        let program = self.program;
        for (number, rule) in (1..).zip(&chain.rules) {
            let comment = rule.comment.as_ref().map_or(String::new(), |comment| format!(" ({comment})"));
            let what = format!("rule {number} of chain {}{comment}", chain.name);
            let mut encoder = Encoder::new(program, ids, &mut self.writer);
            encoder.rule(rule);
            let (expressions, offsets) = (encoder.expressions, encoder.offsets);
            for offset in offsets {
                self.part_at(offset, format!("a set in {what}"), rule.place);
            }
            let mut message = nftnl::Rule::new(lowered);
            for expression in &expressions {
                message.add_expr(expression);
            }
            if let Some(comment) = &rule.comment {
                // Too long only for a name that no spec can have; the rule then has no comment.
                let _ = message.set_comment(c(comment));
            }
            self.part(what, rule.place);
            self.append(&message);
        }
    }
}
