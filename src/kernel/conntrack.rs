//! Entries of the conntrack table, over ctnetlink: reading them, and deleting those of flows that are no longer tracked.

use std::net::IpAddr;

use nix::errno::Errno;

use super::KernelError;
use super::socket::Socket;
use super::wire::{self, Attribute, Fields, Malformed, Request};

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET`.
const GET: u16 = 0x101;
/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = 0x102;
const TUPLE_ORIGINAL: u16 = 1;
const ID: u16 = 12;
const ZONE: u16 = 18;
/// Inside a tuple: `CTA_TUPLE_IP`, `CTA_TUPLE_PROTO`.
const TUPLE_ADDRESSES: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
/// Flag of an attribute that holds others.
const NESTED: u16 = 0x8000;
/// Deletions in one datagram: about 100 bytes each.
const BATCH: usize = 500;

/// An entry: a flow in the direction of its first packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who sent the first packet.
    pub source: IpAddr,
    /// Who it went to.
    pub destination: IpAddr,
    /// The protocol's number.
    pub protocol: u8,
    /// Source and destination port, host byte order, where the protocol has ports.
    pub ports: Option<(u16, u16)>,
    /// What names the entry to the kernel: tuple, id and zone as it gave them.
    name: Vec<(u16, Vec<u8>)>,
}

/// The entries for which `wanted` holds, in no order. Only these are kept in memory.
///
/// # Errors
/// The table cannot be read.
pub fn entries(socket: &mut Socket, wanted: impl Fn(&Entry) -> bool) -> Result<Vec<Entry>, KernelError> {
    let asked = "list the conntrack entries";
    let malformed = |why| KernelError::Malformed { asked, why };
    socket.dump(asked, &Request::netfilter(GET, 0, 0), Vec::new, |found: &mut Vec<Entry>, message| {
        let entry = read(message.attributes()).map_err(malformed)?;
        found.extend(entry.filter(|entry| wanted(entry)));
        Ok(())
    })
}

fn read(attributes: &[u8]) -> Result<Option<Entry>, Malformed> {
    let fields = Fields::of(attributes)?;
    let Some(tuple) = fields.get(TUPLE_ORIGINAL) else { return Ok(None) };
    let parts = Fields::of(tuple)?;
    let addresses = Fields::of(parts.get(TUPLE_ADDRESSES).unwrap_or(&[]))?;
    let protocol = Fields::of(parts.get(TUPLE_PROTOCOL).unwrap_or(&[]))?;
    let address = |v4: u16, v6: u16| -> Option<IpAddr> {
        let from4 = addresses.get(v4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(IpAddr::from);
        from4.or_else(|| addresses.get(v6).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()).map(IpAddr::from))
    };
    let number = |kind: u16| protocol.number(kind);
    let (Some(source), Some(destination), Some(kind)) = (address(1, 3), address(2, 4), number(1)) else {
        return Ok(None);
    };
    let port = |kind: u16| number(kind).and_then(|port| u16::try_from(port).ok());
    let name = wire::attributes(attributes)
        .filter_map(Result::ok)
        .filter(|Attribute { kind, .. }| matches!(*kind, TUPLE_ORIGINAL | ID | ZONE))
        .map(|Attribute { kind, value }| (kind, value.to_vec()))
        .collect();
    Ok(Some(Entry {
        source,
        destination,
        protocol: u8::try_from(kind).unwrap_or(0),
        ports: port(2).zip(port(3)),
        name,
    }))
}

/// Deletes entries, each by its tuple and id, and gives how many were still there.
///
/// # Errors
/// The kernel refuses for another reason than that an entry is gone.
pub fn delete(socket: &mut Socket, entries: &[Entry]) -> Result<usize, KernelError> {
    let asked = "delete conntrack entries";
    let mut deleted = 0;
    for batch in entries.chunks(BATCH) {
        let first = socket.reserve(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        let mut bytes = Vec::with_capacity(batch.len() * 100);
        for (entry, sequence) in batch.iter().zip(first..) {
            bytes.extend(deletion(entry).finish(sequence));
        }
        socket.send(&bytes).map_err(|errno| KernelError::Call { doing: "send to netlink", errno })?;
        let (mut gone, mut refused) = (0, None);
        socket.drain(asked, |answer| {
            match answer.status().map(|status| Errno::from_raw(status.saturating_neg())) {
                Some(Errno::ENOENT) => gone += 1,
                Some(errno) if errno as i32 != 0 => refused = Some(errno),
                _ => {}
            }
            Ok(false)
        })?;
        if let Some(errno) = refused {
            return Err(KernelError::Refused { asked, errno });
        }
        deleted += batch.len().saturating_sub(gone);
    }
    Ok(deleted)
}

fn deletion(entry: &Entry) -> Request {
    let family = match entry.source {
        IpAddr::V4(_) => nix::libc::AF_INET,
        IpAddr::V6(_) => nix::libc::AF_INET6,
    };
    let request = Request::netfilter(DELETE, nix::libc::NLM_F_REQUEST as u16, u8::try_from(family).unwrap_or(0));
    entry.name.iter().fold(request, |request, (kind, value)| {
        let nested = if *kind == TUPLE_ORIGINAL { NESTED } else { 0 };
        request.with(kind | nested, value)
    })
}
