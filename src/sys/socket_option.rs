//! Socket options that nix does not know.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;

/// The descriptor of a netlink socket, for calls that want one which is surely open.
#[must_use]
pub fn descriptor(socket: &mnl::Socket) -> BorrowedFd<'_> {
    // SAFETY: the socket keeps its descriptor open until it is dropped, and the result borrows the socket.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

/// Options of netlink sockets that are on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetlinkOption {
    /// Errors come without a copy of the request (Linux 4.3).
    CapAck,
    /// Errors come with the place of the mistake in the request (Linux 4.12).
    ExtAck,
}

/// Switches an option of a netlink socket on.
///
/// # Errors
/// What setsockopt(2) answers: `ENOPROTOOPT` on kernels that do not know the option.
pub fn enable(socket: &mnl::Socket, option: NetlinkOption) -> Result<(), Errno> {
    let name = match option {
        NetlinkOption::CapAck => libc::NETLINK_CAP_ACK,
        NetlinkOption::ExtAck => libc::NETLINK_EXT_ACK,
    };
    let on: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open as long as the socket lives, `on` is a live C int and `length` is its size.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_NETLINK, name, (&raw const on).cast::<libc::c_void>(), length)
    };
    Errno::result(result).map(drop)
}

/// The kernel's number for the network namespace of a socket: `SO_NETNS_COOKIE` of `asm-generic/socket.h`, Linux 5.14. No other namespace of this boot ever has it.
///
/// # Errors
/// What getsockopt(2) answers: `ENOPROTOOPT` on kernels that do not know the option.
pub fn netns_cookie(socket: &impl AsFd) -> Result<u64, Errno> {
    const SO_NETNS_COOKIE: libc::c_int = 71;
    let mut cookie = 0u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the descriptor is open, `cookie` is a live number of 64 bits and `length` is its size.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast::<libc::c_void>(),
            &raw mut length,
        )
    };
    Errno::result(result).map(|_| cookie)
}

/// Which question of iptables-legacy to ask (`linux/netfilter_ipv4/ip_tables.h`, `linux/netfilter_ipv6/ip6_tables.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XtablesQuestion {
    /// `IPT_SO_GET_INFO` or `IP6T_SO_GET_INFO`.
    Info,
    /// `IPT_SO_GET_ENTRIES` or `IP6T_SO_GET_ENTRIES`.
    Entries,
}

/// Asks the kernel's iptables-legacy of one family. `buffer` holds the request, and the reply replaces it. Gives the
/// number of bytes that the kernel reports, never more than the buffer holds.
///
/// # Errors
/// What getsockopt(2) answers: `EPERM` without `CAP_NET_ADMIN`, `ENOENT` for a table that is not there, `EAGAIN` when
/// the table's size has changed; `EINVAL` for a buffer of more than 4 GiB.
pub fn ask_xtables(
    socket: &impl AsFd,
    ipv6: bool,
    question: XtablesQuestion,
    buffer: &mut [u8],
) -> Result<usize, Errno> {
    let level = if ipv6 { libc::IPPROTO_IPV6 } else { libc::IPPROTO_IP };
    // Both families use the same numbers.
    let name: libc::c_int = match question {
        XtablesQuestion::Info => 64,
        XtablesQuestion::Entries => 65,
    };
    let mut length = libc::socklen_t::try_from(buffer.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the descriptor is open and `length` is the size of the live buffer. Both questions write only into the
    // buffer: the kernel refuses a length that is not the one it needs.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            buffer.as_mut_ptr().cast::<libc::c_void>(),
            &raw mut length,
        )
    };
    Errno::result(result)?;
    Ok(buffer.len().min(length as usize))
}
