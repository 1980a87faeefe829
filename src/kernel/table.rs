//! The table `inet fwc` as the kernel holds it: reading it back, comparing it with what was sent, its counters, its removal.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use nix::errno::Errno;

use super::KernelError;
use super::difference::{Difference, Gap, gap, gap_beside, subject_of};
use super::messages::{Messages, Part, Subject};
use super::nf_tables::{self, INET, chain, elements, message, rule, set, table};
use super::normal::{Members, NormalSet, NormalTable, Side};
use super::sample::{LARGE, Sample};
use super::socket::{Generation, Socket};
use super::transaction::{Committed, Transaction, TransactionError};
use super::update::{self, Made};
use super::wire::{self, Fields, Malformed, Message, Request};
use crate::backend::nft::SIGNATURE;

/// How often a table is read again when the ruleset changes meanwhile.
const TRIES: usize = 20;

/// What a loaded table is, apart from its counters: the SHA-256 of its normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub [u8; 32]);

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Identity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return Err(());
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * at..2 * at + 2).ok_or(())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| ())?;
        }
        Ok(Identity(bytes))
    }
}

/// The table in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveTable {
    /// What it is, to be compared with the identity of what was applied.
    pub identity: Identity,
    /// What it is signed with: the comment of its last chain, as `nft list table inet fwc` shows it.
    pub signature: Option<String>,
}

/// Why a table is not surely the one that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyError {
    /// The kernel holds something else.
    Differs(Difference),
    /// What was sent cannot be compared: a mistake in fwc.
    Encoding(Malformed),
    /// The table cannot be read.
    Kernel(KernelError),
}

impl From<KernelError> for VerifyError {
    fn from(error: KernelError) -> Self {
        VerifyError::Kernel(error)
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VerifyError::Differs(difference) => difference.fmt(f),
            VerifyError::Encoding(why) => write!(f, "what was sent cannot be compared: {why}"),
            VerifyError::Kernel(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for VerifyError {}

/// What messages make of the table: what reading back is held against.
#[derive(Debug, Clone)]
pub struct Expected {
    table: NormalTable,
}

impl Expected {
    /// Decodes messages before they are sent.
    ///
    /// # Errors
    /// They are malformed or hold something that cannot be compared.
    pub fn of(messages: &Messages) -> Result<Self, Malformed> {
        normal_of(messages).map(|table| Expected { table })
    }

    /// The identity that the table will have. Its signature is no part of it.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity(self.table.identity())
    }

    /// The messages have been signed since.
    pub fn signed(&mut self, signature: &str) {
        self.table.signature = Some(signature.to_string());
    }
}

/// The table in the kernel, or none.
///
/// # Errors
/// It cannot be read.
pub fn live(socket: &mut Socket) -> Result<Option<LiveTable>, KernelError> {
    let (table, _) = read(socket)?;
    let identity = Identity(table.identity());
    Ok(table.digest.is_some().then_some(LiveTable { identity, signature: table.signature }))
}

/// What the table is signed with, which says what it was when it was loaded; none if it is not there or has no signature.
///
/// # Errors
/// It cannot be read.
pub fn signature(socket: &mut Socket) -> Result<Option<String>, KernelError> {
    let request = Request::netfilter(message::GET_CHAIN, 0, INET)
        .with_text(chain::TABLE, nf_tables::TABLE)
        .with_text(chain::NAME, SIGNATURE);
    let read = socket.ask(ASKED, &request, |found| {
        let mut table = NormalTable::default();
        table.take(found, Side::Listed).map_err(malformed)?;
        Ok(table.signature)
    });
    match read {
        Err(KernelError::Refused { errno: Errno::ENOENT, .. }) => Ok(None),
        read => read,
    }
}

/// Reads the table back and compares it with what was sent, a million elements included.
///
/// # Errors
/// The first difference, or why there is no answer.
pub fn verify_loaded(socket: &mut Socket, messages: &Messages) -> Result<Identity, VerifyError> {
    let expected = Expected::of(messages).map_err(VerifyError::Encoding)?;
    verify(socket, messages, &expected, Loaded::Somehow).map(|_| expected.identity())
}

/// How the table came to be what it should be.
#[derive(Debug, Clone, Copy)]
pub enum Loaded<'m> {
    /// Not by us, or not by one transaction.
    Somehow,
    /// By a transaction of all its messages.
    Whole(Committed),
    /// By one with the messages that make it of the table before.
    Updated(Committed, &'m Messages),
}

/// The same with messages that have been decoded already. Where nothing has happened since our own transaction, large sets are read back by some keys
/// (see [`super::sample`]), everything else as a whole. Gives the generation at which the table is the one that was sent.
///
/// # Errors
/// The first difference, or why there is no answer.
pub fn verify(
    socket: &mut Socket,
    messages: &Messages,
    expected: &Expected,
    loaded: Loaded<'_>,
) -> Result<Generation, VerifyError> {
    let (committed, update) = match loaded {
        Loaded::Somehow => (None, None),
        Loaded::Whole(committed) => (Some(committed), None),
        Loaded::Updated(committed, update) => (Some(committed), Some(update)),
    };
    if let Some(own) = committed.filter(|committed| committed.is_last).map(|committed| committed.generation) {
        let sample = Sample::of(messages, update, &expected.table).map_err(VerifyError::Encoding)?;
        if is_as_sent(socket, &sample, expected, own)? {
            return Ok(own);
        }
    }
    let (listed, generation) = read(socket)?;
    let Some(gap) = gap(&expected.table, &listed) else {
        return Ok(generation);
    };
    let mut difference = subject_of(&gap, messages);
    if let Gap::UnexpectedElement { set, digest } = &gap
        && let Some(listed_set) = listed.sets.get(set)
    {
        let mut key = None;
        read_elements(socket, set, listed_set, &mut |found, bytes| {
            if found == *digest {
                key = super::element::key_text(bytes);
            }
        })?;
        if let Some(key) = key {
            difference.what = format!("element {key} of set {set}");
        }
    }
    Err(VerifyError::Differs(difference))
}

/// Whether the table, but for the elements of large sets, is the one that was sent, some keys of these are there, and the ruleset is still the one of
/// the generation that our own transaction made. Whatever else it is, reading it as a whole says.
fn is_as_sent(
    socket: &mut Socket,
    sample: &Sample<'_>,
    Expected { table }: &Expected,
    own: Generation,
) -> Result<bool, KernelError> {
    let large: BTreeSet<String> =
        table.sets.iter().filter(|(_, set)| set.elements.len() > LARGE).map(|(name, _)| name.clone()).collect();
    let mut listed = match read_once(socket, &large) {
        Ok(listed) => listed,
        Err(error) if is_passing(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    listed.settle();
    let number = |set: &NormalSet| u64::try_from(set.elements.len()).ok();
    let is_full = |name| match (table.sets.get(name), listed.sets.get(name)) {
        (Some(sent), Some(there)) => there.count.is_none() || there.count == number(sent),
        _ => false,
    };
    if gap_beside(table, &listed, &large).is_some() || !large.iter().all(is_full) {
        return Ok(false);
    }
    Ok(sample.is_there(socket, table)? && socket.generation()? == own)
}

/// The messages that make the table of `new` of that of `old`, which is the one in the kernel; none where it has to be loaded as a whole.
///
/// # Errors
/// The kernel cannot be asked for the handles of its rules.
pub fn update(
    socket: &mut Socket,
    (old, before): (&Messages, &Expected),
    (new, after): (&Messages, &Expected),
) -> Result<Option<Messages>, KernelError> {
    let old = Made { messages: old, normal: &before.table };
    update::between(socket, old, Made { messages: new, normal: &after.table })
}

/// What messages make of a table that is not there.
fn normal_of(messages: &Messages) -> Result<NormalTable, Malformed> {
    let mut table = NormalTable::default();
    for message in wire::messages(&messages.bytes) {
        table.take(&message?, Side::Sent)?;
    }
    table.settle();
    Ok(table)
}

/// Reads the whole table at one generation of the ruleset.
fn read(socket: &mut Socket) -> Result<(NormalTable, Generation), KernelError> {
    for _ in 0..TRIES {
        let before = socket.generation()?;
        match read_once(socket, &BTreeSet::new()) {
            Ok(mut table) if socket.generation()? == before => {
                table.settle();
                return Ok((table, before));
            }
            Ok(_) => {}
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Err(KernelError::Unsettled { asked: ASKED })
}

/// Whether it comes of something that vanished between two listings.
fn is_passing(error: &KernelError) -> bool {
    matches!(
        error,
        KernelError::Refused { errno: Errno::ENOENT, .. } | KernelError::Malformed { why: Malformed::Orphan(_), .. }
    )
}

const ASKED: &str = "list the table";

fn malformed(why: Malformed) -> KernelError {
    KernelError::Malformed { asked: ASKED, why }
}

/// Reads the table, without the elements of some sets.
fn read_once(socket: &mut Socket, without: &BTreeSet<String>) -> Result<NormalTable, KernelError> {
    let mut table = NormalTable::default();
    for request in [
        Request::netfilter(message::GET_TABLE, 0, INET),
        Request::netfilter(message::GET_CHAIN, 0, INET),
        sets_request(),
    ] {
        table = read_list(socket, &request, table)?;
        if table.digest.is_none() {
            return Ok(table);
        }
    }
    // A rule takes in the sets that belong to it, so these come before it.
    read_all_elements(socket, &mut table, |_, set| set.anonymous)?;
    let rules = Request::netfilter(message::GET_RULE, 0, INET).with_text(rule::TABLE, nf_tables::TABLE);
    table = read_list(socket, &rules, table)?;
    read_all_elements(socket, &mut table, |name, set| !set.anonymous && !without.contains(name))?;
    Ok(table)
}

fn read_list(socket: &mut Socket, request: &Request, so_far: NormalTable) -> Result<NormalTable, KernelError> {
    socket.dump(
        ASKED,
        request,
        || so_far.clone(),
        |table, message| table.take(message, Side::Listed).map(drop).map_err(malformed),
    )
}

fn read_all_elements(
    socket: &mut Socket,
    table: &mut NormalTable,
    wanted: impl Fn(&str, &NormalSet) -> bool,
) -> Result<(), KernelError> {
    for (name, set) in table.sets.iter_mut().filter(|(name, set)| wanted(name, set)) {
        *set = read_elements(socket, name, set, &mut |_, _| {})?;
    }
    Ok(())
}

/// The request for all elements of a set of the table.
pub(super) fn elements_request(set: &str) -> Request {
    Request::netfilter(message::GET_ELEMENTS, 0, INET)
        .with_text(elements::TABLE, nf_tables::TABLE)
        .with_text(elements::SET, set)
}

/// Reads the elements of one set, and tells `each` the digest and the bytes of every one, also those of tries that come to nothing.
fn read_elements(
    socket: &mut Socket,
    name: &str,
    set: &NormalSet,
    each: &mut dyn FnMut(super::normal::Digest, &[u8]),
) -> Result<NormalSet, KernelError> {
    let start = || {
        let mut one = NormalTable::default();
        let mut empty = set.clone();
        empty.elements = Members::default();
        one.sets.insert(name.to_string(), empty);
        one
    };
    let mut read = socket.dump(ASKED, &elements_request(name), start, |one, message| {
        let fields = Fields::of(message.attributes()).map_err(malformed)?;
        one.take_elements(&fields, Side::Listed, &mut *each).map(drop).map_err(malformed)
    })?;
    read.sets.remove(name).ok_or(malformed(Malformed::Missing(elements::SET)))
}

/// Whether there was something to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The table is gone.
    Removed,
    /// There was none.
    WasNotThere,
}

/// Deletes the table `inet fwc` with everything in it, in one transaction.
///
/// # Errors
/// As [`Transaction::commit`].
pub fn delete_table(socket: &mut Socket) -> Result<Removal, TransactionError> {
    let delete = Request::netfilter(message::DELETE_TABLE, nix::libc::NLM_F_REQUEST as u16, INET)
        .with_text(table::NAME, nf_tables::TABLE);
    let subject = Subject { what: "the table inet fwc".to_string(), place: None };
    let messages = Messages { bytes: delete.finish(0), index: vec![Part { offset: 0, subject }] };
    match Transaction::new(&messages).commit(socket) {
        Ok(_) => Ok(Removal::Removed),
        Err(TransactionError::Rejected(why)) if why.iter().all(|why| why.errno == Errno::ENOENT) => {
            Ok(Removal::WasNotThere)
        }
        Err(error) => Err(error),
    }
}

/// Folds a listing of the table's parts into a value.
pub(super) fn list<T: Default>(
    socket: &mut Socket,
    request: &Request,
    mut each: impl FnMut(&mut T, &Message<'_>) -> Result<(), Malformed>,
) -> Result<T, KernelError> {
    socket.dump(ASKED, request, T::default, |value, message| each(value, message).map_err(malformed))
}

/// The request for all sets of the table.
pub(super) fn sets_request() -> Request {
    Request::netfilter(message::GET_SET, 0, INET).with_text(set::TABLE, nf_tables::TABLE)
}
