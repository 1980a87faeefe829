//! Reading back a large set by some of its keys.
//!
//! The kernel lists a hash set by walking it from its start for each datagram of the answer (`nft_rhash_walk`, `nft_hash_walk`: elements before the
//! cursor are skipped one by one), so the time for a listing grows with the square of the set: 1,000,000 elements take ten seconds and more. A
//! request for named keys takes the time of a lookup each, and one message has room for many of them.
//!
//! Some keys are enough right after a transaction of one's own, as long as nobody has changed the ruleset since: a transaction is carried out as a
//! whole or not at all, the kernel has acknowledged its end, and the generation says that it was the last one. Then the kernel holds every
//! element that it was sent. What is left to find out is whether it understood them as they were meant, which is the same for all elements
//! of a set: they are encoded by the same code. Newer kernels tell the number of elements as well (`NFTA_SET_COUNT`, read by `NormalSet::count`).

use std::collections::BTreeMap;

use super::KernelError;
use super::messages::Messages;
use super::nf_tables::{self, INET, element, elements, message};
use super::normal::{Digest, NormalTable, Side};
use super::socket::Socket;
use super::wire::{self, Attribute, Fields, Malformed, Request};

/// Sets of more elements than this are read back by some keys.
pub(super) const LARGE: usize = 512;
/// About how many keys of a large set are looked at, in all parts of it.
const KEYS: usize = 64;
/// Keys of one request. Its answers must fit the smallest receive buffer, as they are all there before the first is read.
const ASKED_AT_ONCE: usize = 16;
const ASKED: &str = "look up elements of the table";
/// `NFTA_LIST_ELEM`.
const ITEM: u16 = 1;

/// Some elements of each large set, as they were sent: the digest and the bytes.
#[derive(Debug, Default)]
pub(super) struct Sample<'m> {
    sets: BTreeMap<String, Vec<(Digest, &'m [u8])>>,
}

impl<'m> Sample<'m> {
    /// Takes the sample: some of all elements, and those that an update has added. `table` is what the messages make.
    pub(super) fn of(
        messages: &'m Messages,
        update: Option<&'m Messages>,
        table: &NormalTable,
    ) -> Result<Self, Malformed> {
        let mut sample = Sample::default();
        sample.take(messages, table)?;
        if let Some(update) = update {
            sample.take(update, table)?;
        }
        Ok(sample)
    }

    /// Takes the first elements of each message about a large set, two at least: of ranges, a start and an end.
    fn take(&mut self, messages: &'m Messages, table: &NormalTable) -> Result<(), Malformed> {
        let mut lists: BTreeMap<String, Vec<&'m [u8]>> = BTreeMap::new();
        for found in wire::messages(&messages.bytes) {
            let found = found?;
            if found.kind == message::NEW_ELEMENTS {
                let fields = Fields::of(found.attributes())?;
                let list = fields.get(elements::ELEMENTS).unwrap_or(&[]);
                lists.entry(fields.text(elements::SET)?).or_default().push(list);
            }
        }
        lists.retain(|name, _| table.sets.get(name).is_some_and(|set| set.elements.len() > LARGE));
        for (name, lists) in lists {
            let each = (KEYS / lists.len()).max(2);
            for item in lists.iter().flat_map(|list| wire::attributes(list).take(each)) {
                let Attribute { value, .. } = item?;
                if let Some(digest) = table.digest_of(&name, value, Side::Sent)? {
                    self.sets.entry(name.clone()).or_default().push((digest, value));
                }
            }
        }
        Ok(())
    }

    /// Whether the kernel has each of them as it was sent.
    pub(super) fn is_there(&self, socket: &mut Socket, table: &NormalTable) -> Result<bool, KernelError> {
        for (name, wanted) in &self.sets {
            for some in wanted.chunks(ASKED_AT_ONCE) {
                let there = look_up(socket, table, name, some.iter().map(|(_, bytes)| *bytes))?;
                if some.iter().any(|(digest, _)| !there.contains(digest)) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// The digests of the elements that the kernel finds under the keys of these.
fn look_up<'b>(
    socket: &mut Socket,
    table: &NormalTable,
    set: &str,
    wanted: impl Iterator<Item = &'b [u8]>,
) -> Result<Vec<Digest>, KernelError> {
    let malformed = |why| KernelError::Malformed { asked: ASKED, why };
    let mut list = Request::attributes();
    for bytes in wanted {
        let fields = Fields::of(bytes).map_err(malformed)?;
        list = list.with_nested(ITEM, |mut item| {
            for kind in [element::KEY, element::FLAGS, element::KEY_END] {
                if let Some(value) = fields.get(kind) {
                    item = item.with(kind, value);
                }
            }
            item
        });
    }
    let request = Request::netfilter(message::GET_ELEMENTS, 0, INET)
        .with_text(elements::TABLE, nf_tables::TABLE)
        .with_text(elements::SET, set)
        .with_nested(elements::ELEMENTS, |_| list);
    let mut found = Vec::new();
    let answered = socket.ask_all(ASKED, &request, |answer| {
        let fields = Fields::of(answer.attributes()).map_err(malformed)?;
        for item in wire::attributes(fields.get(elements::ELEMENTS).unwrap_or(&[])) {
            let bytes = item.map_err(malformed)?.value;
            found.extend(table.digest_of(set, bytes, Side::Listed).map_err(malformed)?);
        }
        Ok(())
    });
    match answered {
        // The kernel stops at the first key that it does not have.
        Err(KernelError::Refused { errno: nix::errno::Errno::ENOENT, .. }) | Ok(()) => Ok(found),
        Err(error) => Err(error),
    }
}
