//! What the commands that look at a live host share: where they look, how they load, what they refuse.

pub(super) mod facts;
pub(super) mod load;
mod lockout;
mod nat;
pub(super) mod sandbox;
pub(super) mod stale;

use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{host_failure, not_permitted, unsupported_kernel};
use crate::kernel::KernelError;
use crate::kernel::namespace::{self, NamespaceError};
use crate::kernel::socket::Socket;

/// Goes into a named network namespace, or stays where it is.
pub(super) fn enter(netns: Option<&str>) -> Result<(), Diagnostic> {
    netns.map_or(Ok(()), |name| namespace::enter(name).map_err(|error| namespace_failure(&error)))
}

/// A socket to the namespace that the process is in.
pub(super) fn socket() -> Result<Socket, Diagnostic> {
    Socket::open().map_err(|error| kernel_failure(&error))
}

/// A question to the kernel that got no usable answer.
pub(super) fn kernel_failure(error: &KernelError) -> Diagnostic {
    if error.is_permission() {
        return not_permitted::report(
            "reading or changing the firewall is not permitted to this user",
            "run fwc as root; `--sandbox` and `check --kernel` need no rights",
        );
    }
    match error.errno() {
        Some(nix::errno::Errno::EPROTONOSUPPORT | nix::errno::Errno::EAFNOSUPPORT) => {
            unsupported_kernel::report("this kernel has no nf_tables over netlink")
        }
        _ => host_failure::report(error.to_string(), "nothing was changed; try again, and look into the kernel log"),
    }
}

/// A namespace that cannot be entered or made.
pub(super) fn namespace_failure(error: &NamespaceError) -> Diagnostic {
    let help = error.help().unwrap_or("use `fwc check` without `--kernel`, or run fwc as root");
    match error {
        NamespaceError::Forbidden(_) | NamespaceError::Exhausted => not_permitted::report(error.to_string(), help),
        _ => host_failure::report(error.to_string(), help),
    }
}
