//! Deleting entries of the conntrack table, each by what names it and nothing else.

use std::mem;
use std::net::IpAddr;
use std::sync::mpsc::sync_channel;
use std::thread::{self, Builder};

use nix::errno::Errno;
use nix::libc;

use super::entry::{ID, TUPLE_ORIGINAL, ZONE};
use super::{Entry, each};
use crate::kernel::KernelError;
use crate::kernel::socket::Socket;
use crate::kernel::wire::{NESTED, Request};

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = 0x102;
/// Deletions in one datagram: about 100 bytes each.
const BATCH: usize = 500;
/// Datagrams that wait for their turn.
const WAITING: usize = 4;
const ASKED: &str = "delete conntrack entries";

/// Deletes the entries for which `wanted` holds, and no others, and gives how many were still there.
///
/// The kernel is never asked to delete by a filter, because older ones ignore it and delete all: each entry is named by its tuple and id. They
/// are deleted by another thread while the table is read, so that only a few of them are ever in memory, and both take half the time.
///
/// # Errors
/// The table cannot be read, or the kernel refuses for another reason than that an entry is gone.
pub fn delete(reader: &mut Socket, wanted: impl Fn(&Entry<'_>) -> bool) -> Result<usize, KernelError> {
    let (sender, receiver) = sync_channel(WAITING);
    thread::scope(|scope| {
        let Ok(deleting) = Builder::new().spawn_scoped(scope, move || delete_all(receiver)) else {
            // There may be no more threads, as under a limit on processes: one after the other.
            let mut batches = Vec::new();
            let keep = |batch| {
                batches.push(batch);
                true
            };
            collect(reader, wanted, keep)?;
            return delete_all(batches);
        };
        // Whoever deletes is gone only when the kernel refused, and then has the reason.
        let read = collect(reader, wanted, |batch| sender.send(batch).is_ok());
        drop(sender);
        let deleted = deleting.join().unwrap_or(Err(KernelError::Silent { asked: ASKED }));
        read.and(deleted)
    })
}

/// Deletions, ready to be sent.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    count: usize,
}

/// Hands over deletions until nobody takes them any more.
fn collect(
    reader: &mut Socket,
    wanted: impl Fn(&Entry<'_>) -> bool,
    mut hand_over: impl FnMut(Batch) -> bool,
) -> Result<(), KernelError> {
    let mut batch = Batch::default();
    let mut heard = true;
    each(
        reader,
        || (),
        |(), entry| {
            if heard && wanted(entry) {
                batch.bytes.extend(deletion(entry).finish(0));
                batch.count += 1;
                heard = batch.count < BATCH || hand_over(mem::take(&mut batch));
            }
            Ok(())
        },
    )?;
    hand_over(batch);
    Ok(())
}

/// In the network namespace of the thread that started this one.
fn delete_all(batches: impl IntoIterator<Item = Batch>) -> Result<usize, KernelError> {
    // Answers to deletions must not get between the entries.
    let mut socket = Socket::open()?;
    let mut deleted = 0;
    for Batch { bytes, count } in batches.into_iter().filter(|batch| batch.count > 0) {
        socket.send(&[&bytes]).map_err(|errno| KernelError::Call { doing: "send to netlink", errno })?;
        let (mut gone, mut refused) = (0, None);
        // The kernel answers only where a deletion failed.
        socket.drain(ASKED, |answer| {
            match answer.status().map(|status| Errno::from_raw(status.saturating_neg())) {
                Some(Errno::ENOENT) => gone += 1,
                Some(errno) if errno as i32 != 0 => refused = Some(errno),
                _ => {}
            }
            Ok(false)
        })?;
        if let Some(errno) = refused {
            return Err(KernelError::Refused { asked: ASKED, errno });
        }
        deleted += count.saturating_sub(gone);
    }
    Ok(deleted)
}

fn deletion(entry: &Entry<'_>) -> Request {
    let family = match entry.flow.source {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    let request = Request::netfilter(DELETE, libc::NLM_F_REQUEST as u16, u8::try_from(family).unwrap_or(0))
        .with(TUPLE_ORIGINAL | NESTED, entry.tuple);
    let named = [(ID, entry.id), (ZONE, entry.zone)];
    named.into_iter().fold(request, |request, (kind, value)| match value {
        Some(value) => request.with(kind, value),
        None => request,
    })
}
