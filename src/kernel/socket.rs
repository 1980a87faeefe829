//! The netlink socket to netfilter.

use std::io::IoSlice;
use std::os::fd::AsRawFd;

use mnl::{Bus, Socket as MnlSocket};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce, SndBuf, SndBufForce};
use nix::sys::socket::{MsgFlags, getsockopt, recv, sendmsg, setsockopt};

use super::KernelError;
use super::nf_tables::{generation, message};
use super::wire::{self, Fields, Malformed, Message, Request};
use crate::sys::socket_option::{NetlinkOption, descriptor, enable};

/// Room for one datagram of the kernel. Dumps come in datagrams of at most 32 KiB, errors repeat up to one message.
const DATAGRAM: usize = 128 * 1024;
/// Room for answers that wait, in bytes: an error takes about 1 KiB there.
const RECEIVE_BUFFER: usize = 8 * 1024 * 1024;
/// What the kernel wants free beside the datagram (`netlink_sendmsg`).
const SEND_OVERHEAD: usize = 32;
/// How often a listing is tried again when the ruleset changes meanwhile.
const TRIES: usize = 20;

const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const DUMP: u16 = libc::NLM_F_DUMP as u16;
const INTERRUPTED: u16 = libc::NLM_F_DUMP_INTR as u16;
const ERROR: u16 = libc::NLMSG_ERROR as u16;
const DONE: u16 = libc::NLMSG_DONE as u16;

/// A number that every change of a namespace's nf_tables ruleset raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(pub u32);

impl Generation {
    /// The one after a single change (`nf_tables_commit` leaves out 0).
    #[must_use]
    pub fn next(self) -> Self {
        Generation(self.0.checked_add(1).unwrap_or(1))
    }
}

/// A netlink socket in the network namespace of the thread that opened it.
///
/// Every request has a sequence number of its own, so that a late answer is never taken for another one's.
pub struct Socket {
    socket: MnlSocket,
    next_sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket to netfilter.
    ///
    /// # Errors
    /// The kernel has no netfilter netlink, or the process may not open sockets.
    pub fn open() -> Result<Self, KernelError> {
        Self::on(Bus::Netfilter)
    }

    pub(super) fn on(bus: Bus) -> Result<Self, KernelError> {
        let socket = MnlSocket::new(bus).map_err(|error| call("open a netlink socket", &error))?;
        let borrowed = descriptor(&socket);
        // Small buffers cost completeness of error lists, not correctness: what is lost is found out by reading back.
        if setsockopt(&borrowed, RcvBufForce, &RECEIVE_BUFFER).is_err() {
            let _ = setsockopt(&borrowed, RcvBuf, &RECEIVE_BUFFER);
        }
        let _ = enable(&socket, NetlinkOption::CapAck);
        let _ = enable(&socket, NetlinkOption::ExtAck);
        Ok(Socket { socket, next_sequence: 1, buffer: vec![0; DATAGRAM] })
    }

    /// Makes room for a datagram of `bytes` and gives the largest one that can be sent now, in bytes.
    ///
    /// Without `CAP_NET_ADMIN` in the initial user namespace the limit is twice the sysctl net.core.wmem_max.
    ///
    /// # Errors
    /// The socket cannot be asked.
    pub fn make_room(&mut self, bytes: usize) -> Result<usize, KernelError> {
        let borrowed = descriptor(&self.socket);
        let size = |errno| KernelError::Call { doing: "size the send buffer", errno };
        let current = getsockopt(&borrowed, SndBuf).map_err(size)?;
        let wanted = bytes.saturating_add(SEND_OVERHEAD);
        // The kernel doubles what is asked for.
        let asked = wanted.div_ceil(2).min(i32::MAX as usize / 2);
        if current < wanted && setsockopt(&borrowed, SndBufForce, &asked).is_err() {
            let _ = setsockopt(&borrowed, SndBuf, &asked);
        }
        Ok(getsockopt(&borrowed, SndBuf).map_err(size)?.saturating_sub(SEND_OVERHEAD))
    }

    /// Reserves `count` sequence numbers and gives the first.
    pub(super) fn reserve(&mut self, count: u32) -> u32 {
        // Numbers stay in the positive half, so that an addition to one never overflows.
        if self.next_sequence.checked_add(count).is_none_or(|next| next > i32::MAX as u32) {
            self.next_sequence = 1;
        }
        let first = self.next_sequence;
        self.next_sequence = first.saturating_add(count);
        first
    }

    /// Sends one datagram, whose bytes may lie in several places.
    pub(super) fn send(&self, parts: &[&[u8]]) -> Result<(), Errno> {
        let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let sent = sendmsg::<()>(self.socket.as_raw_fd(), &slices, &[], MsgFlags::empty(), None)?;
        if sent == parts.iter().map(|part| part.len()).sum::<usize>() { Ok(()) } else { Err(Errno::EMSGSIZE) }
    }

    /// Gives each message that waits to be read. The kernel handles a request while it is being sent, so all its
    /// answers are there when the call returns: waiting is never needed. Gives whether answers were lost (`ENOBUFS`).
    pub(super) fn drain(
        &mut self,
        asked: &'static str,
        mut each: impl FnMut(&Message<'_>) -> Result<bool, KernelError>,
    ) -> Result<Drained, KernelError> {
        let mut drained = Drained { lost: false, ended: false };
        while !drained.ended {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
            let received = match recv(self.socket.as_raw_fd(), &mut self.buffer, flags) {
                Ok(received) => received,
                Err(Errno::EAGAIN) => return Ok(drained),
                Err(Errno::EINTR) => continue,
                Err(Errno::ENOBUFS) => {
                    drained.lost = true;
                    continue;
                }
                Err(errno) => return Err(KernelError::Call { doing: "receive from netlink", errno }),
            };
            let malformed = |why| KernelError::Malformed { asked, why };
            let datagram = self.buffer.get(..received).ok_or(malformed(Malformed::Message))?;
            for message in wire::messages(datagram) {
                drained.ended |= each(&message.map_err(malformed)?)?;
            }
        }
        Ok(drained)
    }

    /// Asks for a listing and folds its messages into the value that `start` makes. Starts again with a new value when the
    /// ruleset changed while it was read.
    ///
    /// # Errors
    /// The kernel refuses, or the ruleset changed on each of many tries, or `each` fails.
    pub fn dump<T>(
        &mut self,
        asked: &'static str,
        request: &Request,
        start: impl Fn() -> T,
        mut each: impl FnMut(&mut T, &Message<'_>) -> Result<(), KernelError>,
    ) -> Result<T, KernelError> {
        for _ in 0..TRIES {
            let mut value = start();
            let mut interrupted = false;
            let answered = self.exchange(asked, request, REQUEST | DUMP, |message| {
                interrupted |= message.flags & INTERRUPTED != 0;
                if message.kind == DONE {
                    return Ok(true);
                }
                // What was read of an interrupted listing is thrown away, but it has to be read to its end.
                if !interrupted {
                    each(&mut value, message)?;
                }
                Ok(false)
            });
            match answered {
                Ok(Drained { ended: false, lost: false }) => return Err(KernelError::Silent { asked }),
                Ok(Drained { ended: true, lost: false }) if !interrupted => return Ok(value),
                Ok(_) | Err(KernelError::Refused { errno: Errno::EINTR | Errno::EAGAIN, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(KernelError::Unsettled { asked })
    }

    /// Asks for a listing of what comes and goes at any time, and gives each message to `each`. An interruption means nothing there: a second reading
    /// would be no truer.
    ///
    /// # Errors
    /// The kernel refuses or loses an answer, or `each` fails.
    pub(super) fn dump_once(
        &mut self,
        asked: &'static str,
        request: &Request,
        mut each: impl FnMut(&Message<'_>) -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        self.all_answers(asked, request, REQUEST | DUMP, |message| {
            if message.kind == DONE {
                return Ok(true);
            }
            each(message).map(|()| false)
        })
    }

    /// Asks for one thing and reads the one message that answers.
    ///
    /// # Errors
    /// The kernel refuses or does not answer, or `read` fails.
    pub fn ask<T>(
        &mut self,
        asked: &'static str,
        request: &Request,
        read: impl Fn(&Message<'_>) -> Result<T, KernelError>,
    ) -> Result<T, KernelError> {
        let mut answer = None;
        self.exchange(asked, request, REQUEST, |message| {
            answer = Some(read(message)?);
            Ok(true)
        })?;
        answer.ok_or(KernelError::Silent { asked })
    }

    /// Asks for several things at once and gives each answer to `each`.
    ///
    /// # Errors
    /// The kernel refuses one of them, which ends its answers, or `each` fails.
    pub(super) fn ask_all(
        &mut self,
        asked: &'static str,
        request: &Request,
        mut each: impl FnMut(&Message<'_>) -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        self.all_answers(asked, request, REQUEST | libc::NLM_F_ACK as u16, |message| each(message).map(|()| false))
    }

    /// As [`Socket::exchange`], where no answer may be missing.
    fn all_answers(
        &mut self,
        asked: &'static str,
        request: &Request,
        flags: u16,
        each: impl FnMut(&Message<'_>) -> Result<bool, KernelError>,
    ) -> Result<(), KernelError> {
        let drained = self.exchange(asked, request, flags, each)?;
        if drained.ended && !drained.lost { Ok(()) } else { Err(KernelError::Silent { asked }) }
    }

    /// Sends a request that changes something and waits for its acknowledgement.
    pub(super) fn command(&mut self, asked: &'static str, request: &Request) -> Result<(), KernelError> {
        let drained = self.exchange(asked, request, REQUEST | libc::NLM_F_ACK as u16, |_| Ok(false))?;
        if drained.ended { Ok(()) } else { Err(KernelError::Silent { asked }) }
    }

    /// Sends a request and gives the answers to it, errors excepted. An acknowledgement ends the exchange.
    fn exchange(
        &mut self,
        asked: &'static str,
        request: &Request,
        flags: u16,
        mut each: impl FnMut(&Message<'_>) -> Result<bool, KernelError>,
    ) -> Result<Drained, KernelError> {
        let sequence = self.reserve(1);
        self.send(&[&request.clone().flagged(flags).finish(sequence)])
            .map_err(|errno| KernelError::Call { doing: "send to netlink", errno })?;
        self.drain(asked, |message| {
            if message.sequence != sequence {
                return Ok(false);
            }
            if message.kind == ERROR || message.kind == DONE {
                match message.status() {
                    Some(0) if message.kind == ERROR => return Ok(true),
                    Some(status) if status < 0 => {
                        return Err(KernelError::Refused { asked, errno: Errno::from_raw(status.saturating_neg()) });
                    }
                    _ => {}
                }
            }
            each(message)
        })
    }

    /// The generation of the ruleset.
    ///
    /// # Errors
    /// nf_tables is not there (`EINVAL` or `EOPNOTSUPP`), or the answer is malformed.
    pub fn generation(&mut self) -> Result<Generation, KernelError> {
        let asked = "name the ruleset's generation";
        let request = Request::netfilter(message::GET_GENERATION, 0, 0);
        self.ask(asked, &request, |message| {
            let malformed = |why| KernelError::Malformed { asked, why };
            let fields = Fields::of(message.attributes()).map_err(malformed)?;
            let id = fields.number(generation::ID).and_then(|id| u32::try_from(id).ok());
            id.map(Generation).ok_or(malformed(Malformed::Missing(generation::ID)))
        })
    }
}

/// How a reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drained {
    /// The kernel had to throw answers away.
    pub lost: bool,
    /// The last expected message came.
    pub ended: bool,
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

fn call(doing: &'static str, error: &std::io::Error) -> KernelError {
    KernelError::Call { doing, errno: errno(error) }
}
