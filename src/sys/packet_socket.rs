//! Sending frames out of an interface: nix has no safe way to write a link-layer address with an interface's index.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::libc;

/// Sends a whole frame, link-layer header included, out of the interface of this index.
///
/// # Errors
/// What sendto(2) answers; `EMSGSIZE` when only a part was sent.
pub fn send_frame(socket: &impl AsFd, interface: i32, frame: &[u8]) -> Result<(), Errno> {
    // SAFETY: all-zero bytes are a valid sockaddr_ll: it holds integers only.
    let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    to.sll_family = libc::AF_PACKET as libc::c_ushort;
    to.sll_ifindex = interface;
    // SAFETY: the descriptor is open, the frame and the address are live, and their lengths are those given.
    let sent = unsafe {
        libc::sendto(
            socket.as_fd().as_raw_fd(),
            frame.as_ptr().cast::<libc::c_void>(),
            frame.len(),
            0,
            (&raw const to).cast::<libc::sockaddr>(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    let sent = usize::try_from(Errno::result(sent)?).unwrap_or(0);
    if sent == frame.len() { Ok(()) } else { Err(Errno::EMSGSIZE) }
}
