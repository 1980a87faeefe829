//! Network namespaces: entering a named one, and the private one in which fwc tries things out.
//!
//! Both change the calling thread, and a user namespace can only be entered by a process with a single thread: call
//! them first thing in `main`. A private namespace vanishes with the process.

use std::fmt;
use std::fs::{self, File};
use std::path::Path;

use mnl::Bus;
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{getegid, geteuid};

use super::KernelError;
use super::socket::Socket;
use super::wire::Request;

/// Where iproute2 keeps named network namespaces.
const NAMED: &str = "/run/netns";

/// Why a namespace cannot be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceError {
    /// There is no namespace of this name.
    Missing(String),
    /// The name cannot be one.
    Name(String),
    /// Entering the named namespace was refused.
    Enter(String, Errno),
    /// This host does not let this user have a private namespace.
    Forbidden(Forbidden),
    /// The limit of user or network namespaces is reached (user.max_user_namespaces, user.max_net_namespaces).
    Exhausted,
    /// The process has more than one thread: a mistake in the caller.
    Threads,
    /// Another reason.
    Unshare(Errno),
    /// The new namespace's loopback interface could not be set up.
    Loopback(KernelError),
}

/// What forbids a private namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    /// The sysctl kernel.apparmor_restrict_unprivileged_userns is 1.
    AppArmor,
    /// The sysctl kernel.unprivileged_userns_clone is 0.
    Sysctl,
    /// The kernel does not say; often the seccomp filter of a container.
    Unknown,
}

impl NamespaceError {
    /// What to do about it, where something can be done.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            NamespaceError::Missing(_) => "list the names with `ip netns`, or make one with `ip netns add NAME`",
            NamespaceError::Name(_) => "write the name as `ip netns` shows it",
            NamespaceError::Enter(_, Errno::EPERM) => "run fwc as root to enter a namespace",
            NamespaceError::Forbidden(Forbidden::AppArmor) => {
                "run as root, or set the sysctl kernel.apparmor_restrict_unprivileged_userns to 0"
            }
            NamespaceError::Forbidden(Forbidden::Sysctl) => {
                "run as root, or set the sysctl kernel.unprivileged_userns_clone to 1"
            }
            NamespaceError::Forbidden(Forbidden::Unknown) => {
                "run as root; in a container, let its seccomp profile allow unshare(2)"
            }
            NamespaceError::Exhausted => "raise the sysctls user.max_user_namespaces and user.max_net_namespaces",
            _ => return None,
        })
    }
}

impl fmt::Display for NamespaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NamespaceError::Missing(name) => write!(f, "there is no network namespace `{name}`"),
            NamespaceError::Name(name) => write!(f, "`{name}` is not the name of a network namespace"),
            NamespaceError::Enter(name, errno) => {
                write!(f, "cannot enter the network namespace `{name}`: {}", errno.desc())
            }
            NamespaceError::Forbidden(by) => {
                f.write_str("this host does not allow a private namespace")?;
                f.write_str(match by {
                    Forbidden::AppArmor => ": AppArmor restricts user namespaces",
                    Forbidden::Sysctl => ": user namespaces are for root only",
                    Forbidden::Unknown => "",
                })
            }
            NamespaceError::Exhausted => f.write_str("the limit of private namespaces is reached"),
            NamespaceError::Threads => f.write_str("a private namespace needs a process with a single thread"),
            NamespaceError::Unshare(errno) => write!(f, "cannot make a private namespace: {}", errno.desc()),
            NamespaceError::Loopback(error) => write!(f, "cannot set up loopback in the private namespace: {error}"),
        }
    }
}

impl std::error::Error for NamespaceError {}

/// Proof that the calling thread is in a private network namespace with nothing but loopback.
#[derive(Debug)]
pub struct Sandbox {
    /// Whether the thread keeps root's rights on the host: datagrams of any size can be sent.
    pub privileged: bool,
}

/// Moves the calling thread into a named network namespace (`ip netns`).
///
/// # Errors
/// No such namespace, or no right to enter it.
pub fn enter(name: &str) -> Result<(), NamespaceError> {
    if name.is_empty() || name.contains(['/', '\0']) || matches!(name, "." | "..") {
        return Err(NamespaceError::Name(name.to_string()));
    }
    let errno = |error: &std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
    let file = File::open(Path::new(NAMED).join(name)).map_err(|error| match errno(&error) {
        Errno::ENOENT => NamespaceError::Missing(name.to_string()),
        errno => NamespaceError::Enter(name.to_string(), errno),
    })?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|errno| NamespaceError::Enter(name.to_string(), errno))
}

/// Moves the calling thread into a fresh network namespace whose loopback is up.
///
/// Root keeps its rights; anybody else becomes root of a fresh user namespace, which needs a process with a single thread.
///
/// # Errors
/// The host forbids it, or the process has more than one thread.
pub fn sandbox() -> Result<Sandbox, NamespaceError> {
    let privileged = match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => true,
        Err(Errno::EPERM) => false,
        Err(errno) => return Err(refusal(errno)),
    };
    if !privileged {
        let (user, group) = (geteuid(), getegid());
        unshare(CloneFlags::CLONE_NEWUSER).map_err(refusal)?;
        // Rules load without these maps, but the files of iptables-legacy are readable only with them, and only when
        // they were there before the network namespace.
        let _ = fs::write("/proc/self/setgroups", "deny");
        let _ = fs::write("/proc/self/uid_map", format!("0 {user} 1"));
        let _ = fs::write("/proc/self/gid_map", format!("0 {group} 1"));
        unshare(CloneFlags::CLONE_NEWNET).map_err(refusal)?;
    }
    loopback_up().map_err(NamespaceError::Loopback)?;
    Ok(Sandbox { privileged })
}

/// Why unshare(2) failed.
fn refusal(errno: Errno) -> NamespaceError {
    let sysctl = |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    match errno {
        Errno::EPERM | Errno::EACCES => {
            NamespaceError::Forbidden(if sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
                Forbidden::AppArmor
            } else if sysctl("/proc/sys/kernel/unprivileged_userns_clone", "0") {
                Forbidden::Sysctl
            } else {
                Forbidden::Unknown
            })
        }
        Errno::ENOSPC | Errno::EUSERS => NamespaceError::Exhausted,
        // For a user namespace, unshare(2) answers so when the process has threads.
        Errno::EINVAL => NamespaceError::Threads,
        errno => NamespaceError::Unshare(errno),
    }
}

/// Sets the loopback interface up. It is always the first interface of its namespace.
fn loopback_up() -> Result<(), KernelError> {
    let up = libc::IFF_UP as u32;
    // struct ifinfomsg: family, padding, type (u16), index, flags, which flags to change.
    let mut header = vec![0; 4];
    header.extend(1i32.to_ne_bytes());
    header.extend(up.to_ne_bytes());
    header.extend(up.to_ne_bytes());
    let request = Request::with_header(libc::RTM_NEWLINK, 0, &header);
    Socket::on(Bus::Route)?.command("set the loopback interface up", &request)
}
