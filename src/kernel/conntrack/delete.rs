//! Deleting entries of the conntrack table, each by what names it and nothing else.

use std::net::IpAddr;

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
const BATCH: u32 = 500;
const ASKED: &str = "delete conntrack entries";

/// Deletes the entries for which `wanted` holds, and no others, and gives how many were still there.
///
/// The kernel is never asked to delete by a filter, because older ones ignore it and delete all: each entry is named by its tuple and id. They
/// are deleted while the table is read, so that only a batch of them is ever in memory.
///
/// # Errors
/// The table cannot be read, or the kernel refuses for another reason than that an entry is gone.
pub fn delete(reader: &mut Socket, wanted: impl Fn(&Entry<'_>) -> bool) -> Result<usize, KernelError> {
    // Answers to deletions must not get between the entries.
    let mut batch = Batch { socket: Socket::open()?, bytes: Vec::new(), first: 0, count: 0, deleted: 0 };
    each(reader, || (), |(), entry| if wanted(entry) { batch.add(entry) } else { Ok(()) })?;
    batch.send()?;
    Ok(batch.deleted)
}

struct Batch {
    socket: Socket,
    bytes: Vec<u8>,
    /// The sequence number of the first deletion.
    first: u32,
    count: u32,
    deleted: usize,
}

impl Batch {
    fn add(&mut self, entry: &Entry<'_>) -> Result<(), KernelError> {
        if self.count == 0 {
            self.first = self.socket.reserve(BATCH);
        }
        self.bytes.extend(deletion(entry).finish(self.first.saturating_add(self.count)));
        self.count += 1;
        if self.count == BATCH { self.send() } else { Ok(()) }
    }

    /// The kernel answers only where a deletion failed.
    fn send(&mut self) -> Result<(), KernelError> {
        if self.count == 0 {
            return Ok(());
        }
        self.socket.send(&self.bytes).map_err(|errno| KernelError::Call { doing: "send to netlink", errno })?;
        let (mut gone, mut refused) = (0, None);
        self.socket.drain(ASKED, |answer| {
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
        self.deleted += usize::try_from(self.count.saturating_sub(gone)).unwrap_or(0);
        self.count = 0;
        self.bytes.clear();
        Ok(())
    }
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
