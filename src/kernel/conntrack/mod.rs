//! The conntrack table of a network namespace: its entries over ctnetlink, one at a time, deleting those of flows that are no
//! longer tracked, and the figures that the kernel keeps about it.

mod delete;
mod entry;
mod statistics;
mod timeouts;

pub use delete::delete;
pub use entry::{Entry, Flow, TcpState};
pub use statistics::{Statistics, statistics};
pub use timeouts::timeouts;

use super::KernelError;
use super::socket::Socket;
use super::wire::Request;

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET`.
const GET: u16 = 0x101;

/// Gives each entry to `each`, in no order. Nothing is kept, so that a table of any size takes the same memory.
///
/// The table goes on changing meanwhile: an entry that comes or goes may be seen or not. Where the kernel lost answers, the reading starts
/// again, and `start` makes a new value for it.
///
/// # Errors
/// The table cannot be read, or `each` fails.
pub fn each<T>(
    socket: &mut Socket,
    start: impl Fn() -> T,
    mut each: impl FnMut(&mut T, &Entry<'_>) -> Result<(), KernelError>,
) -> Result<T, KernelError> {
    let asked = "list the conntrack entries";
    socket.dump(asked, &Request::netfilter(GET, 0, 0), start, |value, message| {
        match Entry::read(message.attributes()).map_err(|why| KernelError::Malformed { asked, why })? {
            Some(entry) => each(value, &entry),
            None => Ok(()),
        }
    })
}
