//! Tables of iptables-legacy and ip6tables-legacy, read as iptables-legacy-save does: by getsockopt, of a 64-bit kernel and process
//! (`linux/netfilter_ipv4/ip_tables.h`, `linux/netfilter_ipv6/ip6_tables.h`). Bytes as they come, for a reader that makes rules of them.

use std::fs;
use std::io::ErrorKind;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::KernelError;
use super::wire::{self, Malformed, u32_at};
use crate::net::Family;
use crate::sys::socket_option::{XtablesQuestion, ask_xtables};

/// `XT_TABLE_MAXNAMELEN`.
const NAME: usize = 32;
/// Bytes of `struct ipt_getinfo`.
const INFO: usize = 84;
/// Where in it the table's size is, and where the hooks' chains and their policies begin.
const SIZE: usize = 80;
const STARTS: usize = 36;
const POLICIES: usize = 56;
/// Bytes of `struct ipt_get_entries` before the entries, which are aligned to 8.
const ENTRIES: usize = 40;
/// How often to ask again when somebody changes the table meanwhile.
const TRIES: usize = 20;

const ASKED: &str = "list a legacy table";

/// A table as the kernel gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyTable {
    /// Its name: `filter`, `nat`.
    pub name: String,
    /// Where each hook's chain starts in the entries, in bytes, by the hooks' numbers (`enum nf_inet_hooks`); `None` where the table has none.
    pub starts: [Option<usize>; 5],
    /// Where the rule is that is the policy of each of these chains.
    pub policies: [Option<usize>; 5],
    /// The entries: `struct ipt_entry` or `ip6t_entry`, one after the other.
    pub entries: Vec<u8>,
}

/// The names of the tables of a family that are loaded. Asking for one that is not would load it.
///
/// # Errors
/// They cannot be read: they are root's.
pub fn names(family: Family) -> Result<Vec<String>, KernelError> {
    let path = match family {
        Family::V4 => "/proc/thread-self/net/ip_tables_names",
        Family::V6 => "/proc/thread-self/net/ip6_tables_names",
    };
    match fs::read_to_string(path) {
        Ok(names) => Ok(names.split_whitespace().map(str::to_string).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
            Err(KernelError::Call { doing: "read the names of the legacy tables", errno })
        }
    }
}

/// A table of a family, in the network namespace of the calling thread.
///
/// # Errors
/// It cannot be read, it changes all the time, or this process has not 64 bits.
pub fn table(family: Family, name: &str) -> Result<LegacyTable, KernelError> {
    if !cfg!(target_pointer_width = "64") {
        // The entries of a 32-bit process have another layout.
        return Err(KernelError::Call { doing: ASKED, errno: Errno::ENOSYS });
    }
    let ipv6 = family == Family::V6;
    let domain = if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let call = |errno| KernelError::Call { doing: ASKED, errno };
    let socket = socket(domain, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map_err(call)?;
    let malformed = KernelError::Malformed { asked: ASKED, why: Malformed::Message };
    for _ in 0..TRIES {
        let mut info = vec![0; INFO];
        // The last byte stays 0.
        wire::patch(&mut info, 0, name.as_bytes().get(..NAME - 1).unwrap_or(name.as_bytes()));
        let asked = info.get(..NAME).unwrap_or_default().to_vec();
        ask_xtables(&socket, ipv6, XtablesQuestion::Info, &mut info).map_err(call)?;
        let Some(size) = u32_at(&info, SIZE) else { return Err(malformed) };
        let mut entries = vec![0; ENTRIES + size as usize];
        wire::patch(&mut entries, 0, &asked);
        wire::patch(&mut entries, NAME, &size.to_ne_bytes());
        match ask_xtables(&socket, ipv6, XtablesQuestion::Entries, &mut entries) {
            Ok(_) => {
                let mut now = asked;
                now.resize(INFO, 0);
                ask_xtables(&socket, ipv6, XtablesQuestion::Info, &mut now).map_err(call)?;
                if now != info {
                    // The table changed, and the offsets may be those of another one.
                    continue;
                }
                let (starts, policies) = (offsets(&info, STARTS), offsets(&info, POLICIES));
                let entries = entries.split_off(ENTRIES);
                return Ok(LegacyTable { name: name.to_string(), starts, policies, entries });
            }
            // The table changed its size in between.
            Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(call(errno)),
        }
    }
    Err(KernelError::Unsettled { asked: ASKED })
}

/// An offset for each hook at which the table has a chain.
fn offsets(info: &[u8], at: usize) -> [Option<usize>; 5] {
    let hooks = u32_at(info, NAME).unwrap_or(0);
    [0, 1, 2, 3, 4].map(|hook| {
        let offset = u32_at(info, at + 4 * hook).map(|offset| offset as usize);
        offset.filter(|_| hooks & 1 << hook != 0)
    })
}
