//! Loading in several transactions, where a datagram for everything is more than the socket takes.

use std::ops::Range;

use super::messages::{Messages, Part};
use super::namespace::Sandbox;
use super::nf_tables::{message, set};
use super::socket::Socket;
use super::transaction::{Committed, Transaction, TransactionError};
use super::wire::{self, Fields, HEADER, Malformed};

/// Loads messages in as many transactions as the socket needs.
///
/// Between them the ruleset is half loaded, so this is for a sandbox only, where no packet can see it: a user without
/// privileges cannot enlarge the socket's buffer and could not check a large spec otherwise. The rules go last, in one
/// transaction with the anonymous sets, which the kernel keeps only together with the rule that uses them.
///
/// # Errors
/// As [`Transaction::commit`]; parts before the guilty one stay loaded in the sandbox.
pub fn load_in_parts(
    messages: &Messages,
    socket: &mut Socket,
    _proof: &Sandbox,
) -> Result<Committed, TransactionError> {
    let limit = socket.make_room(messages.bytes.len().saturating_add(OVERHEAD))?;
    load_within(messages, socket, limit.saturating_sub(OVERHEAD))
}

/// Room for the batch's begin and end, in bytes.
const OVERHEAD: usize = 256;

/// Loads messages in transactions of at most `room` bytes of messages, except that the rules stay together.
fn load_within(messages: &Messages, socket: &mut Socket, room: usize) -> Result<Committed, TransactionError> {
    if messages.bytes.len() <= room {
        return Transaction::new(messages).commit(socket);
    }
    let (early, late) = rules_last(messages)?;
    for range in ranges(&early, room) {
        let _ = Transaction::of_range(&early, range).commit(socket)?;
    }
    Transaction::new(&late).commit(socket)
}

/// Divides messages into those that may be loaded without the others, and the rules with their anonymous sets.
fn rules_last(messages: &Messages) -> Result<(Messages, Messages), TransactionError> {
    let (mut early, mut late) = (Messages::default(), Messages::default());
    let mut rest = messages.bytes.as_slice();
    for (found, part) in wire::messages(&messages.bytes).zip(&messages.index) {
        let found = found.map_err(TransactionError::Encoding)?;
        // The set's name is attribute 2 of sets and of elements.
        let anonymous = matches!(found.kind, message::NEW_SET | message::NEW_ELEMENTS)
            && Fields::of(found.attributes())
                .and_then(|fields| fields.text(set::NAME))
                .is_ok_and(|n| n.ends_with("%d"));
        let group = if anonymous || found.kind == message::NEW_RULE { &mut late } else { &mut early };
        group.index.push(Part { offset: group.bytes.len(), subject: part.subject.clone() });
        let length = (HEADER + found.payload.len()).next_multiple_of(4);
        let (bytes, after) = rest.split_at_checked(length).ok_or(TransactionError::Encoding(Malformed::Message))?;
        group.bytes.extend_from_slice(bytes);
        rest = after;
    }
    Ok((early, late))
}

/// Cuts messages into as few runs as possible of at most `room` bytes. A message that is larger stands alone.
fn ranges(messages: &Messages, room: usize) -> Vec<Range<usize>> {
    let offset = |part: usize| messages.index.get(part).map_or(messages.bytes.len(), |part| part.offset);
    let mut ranges = Vec::new();
    let mut start = 0;
    for next in 1..=messages.index.len() {
        // `next` ends where the one after it starts.
        let is_last = next == messages.index.len();
        if is_last || offset(next + 1) - offset(start) > room {
            ranges.push(start..next);
            start = next;
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::messages::Subject;
    use crate::kernel::namespace::sandbox;
    use crate::kernel::nf_tables::{INET, TABLE, chain, elements, expression, rule, table};
    use crate::kernel::table::{delete_table, verify_loaded};
    use crate::kernel::wire::Request;
    use nix::libc;
    use proptest::prelude::*;

    fn message(messages: &mut Messages, request: &Request) {
        let subject = Subject { what: format!("message {}", messages.index.len()), place: None };
        messages.index.push(Part { offset: messages.bytes.len(), subject });
        messages.bytes.extend(request.finish(0));
    }

    /// A table, an anonymous set, some chains, and a rule that uses the set.
    fn chains(count: usize) -> Messages {
        let mut messages = Messages::default();
        let create = (libc::NLM_F_REQUEST | libc::NLM_F_CREATE) as u16;
        message(&mut messages, &Request::netfilter(message::NEW_TABLE, create, INET).with_text(table::NAME, TABLE));
        let ports = Request::netfilter(message::NEW_SET, create, INET).with_text(set::TABLE, TABLE);
        let ports = ports.with_text(set::NAME, "__set%d").with_be32(set::FLAGS, 3).with_be32(4, 13);
        message(&mut messages, &ports.with_be32(set::KEY_LENGTH, 2).with_be32(set::ID, 7));
        for number in 0..count {
            let request = Request::netfilter(message::NEW_CHAIN, create, INET).with_text(chain::TABLE, TABLE);
            message(&mut messages, &request.with_text(chain::NAME, &format!("chain_{number}")));
        }
        let port = Request::netfilter(message::NEW_ELEMENTS, create, INET).with_text(elements::TABLE, TABLE);
        let port = port.with_text(elements::SET, "__set%d").with_be32(elements::SET_ID, 7);
        let port = port.with_nested(elements::ELEMENTS, |list| {
            list.with_nested(1, |element| element.with_nested(1, |key| key.with(1, &[0, 80])))
        });
        message(&mut messages, &port);
        let lookup = Request::netfilter(message::NEW_RULE, create | libc::NLM_F_APPEND as u16, INET)
            .with_text(rule::TABLE, TABLE)
            .with_text(rule::CHAIN, "chain_0");
        let named = |one: Request, name| one.with_text(expression::NAME, name);
        let lookup = lookup.with_nested(rule::EXPRESSIONS, |list| {
            let load = |d: Request| d.with_be32(1, 1).with_be32(2, 2).with_be32(3, 2).with_be32(4, 2);
            list.with_nested(1, |one| named(one, "payload").with_nested(2, load)).with_nested(1, |one| {
                named(one, "lookup").with_nested(2, |d| d.with_text(1, "__set%d").with_be32(2, 1).with_be32(4, 7))
            })
        });
        message(&mut messages, &lookup);
        messages
    }

    proptest! {
        #[test]
        fn ranges_cover_everything_and_fit(lengths in proptest::collection::vec(1usize..9, 1..40), room in 1usize..30) {
            let mut messages = Messages::default();
            for length in &lengths {
                let subject = Subject { what: String::new(), place: None };
                messages.index.push(Part { offset: messages.bytes.len(), subject });
                messages.bytes.resize(messages.bytes.len() + length, 0);
            }
            let ranges = ranges(&messages, room);
            let all: Vec<usize> = ranges.iter().cloned().flatten().collect();
            prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
            let size = |range: &Range<usize>| lengths[range.clone()].iter().sum::<usize>();
            for range in &ranges {
                prop_assert!(size(range) <= room || range.len() == 1);
            }
            for pair in ranges.windows(2) {
                prop_assert!(size(&(pair[0].start..pair[0].end + 1)) > room, "as few as possible");
            }
        }
    }

    #[test]
    fn parts_make_the_same_table_as_one_transaction() {
        // A thread of its own goes into the private namespace.
        std::thread::spawn(|| {
            let proof = sandbox().unwrap();
            let messages = chains(100);
            let mut socket = Socket::open().unwrap();
            let before = socket.generation().unwrap();
            let committed = load_within(&messages, &mut socket, 1000).unwrap();
            assert!(committed.generation.0 > before.0 + 3, "several transactions");
            verify_loaded(&mut socket, &messages).unwrap();
            delete_table(&mut socket).unwrap();
            load_in_parts(&messages, &mut socket, &proof).unwrap();
            verify_loaded(&mut socket, &messages).unwrap();
        })
        .join()
        .unwrap();
    }
}
