//! What the commands that look at a live host share: where they look, how they load, what they refuse.

pub(super) mod facts;
pub(super) mod load;
mod lockout;
pub(super) mod nat;
mod others;
pub(super) mod ownership;
pub(super) mod sandbox;
pub(super) mod sizing;
mod sockets;
pub(super) mod stale;
pub(super) mod undoable;

use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{host_failure, not_permitted, unsupported_kernel};
use crate::kernel::KernelError;
use crate::kernel::namespace::{self, NamespaceError};
use crate::kernel::socket::Socket;
use crate::kernel::version::{KernelTooOld, require_supported};

/// Goes into a named network namespace, or stays where it is.
pub(super) fn enter(netns: Option<&str>) -> Result<(), Diagnostic> {
    netns.map_or(Ok(()), |name| namespace::enter(name).map_err(|error| namespace_failure(&error)))
}

/// A socket to the namespace that the process is in.
pub(super) fn socket() -> Result<Socket, Diagnostic> {
    supported(require_supported())?;
    Socket::open().map_err(|error| kernel_failure(&error))
}

fn supported(kernel: Result<(), KernelTooOld>) -> Result<(), Diagnostic> {
    kernel.map_err(|old| unsupported_kernel::report(&old.to_string()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::version::KernelVersion;

    #[test]
    fn an_old_kernel_is_named() {
        let found = KernelVersion { major: 4, minor: 19 };
        let diagnostic = supported(Err(KernelTooOld { found })).unwrap_err();
        assert_eq!(diagnostic.finding.code, "FWC403");
        assert!(diagnostic.message.contains("4.19") && diagnostic.message.contains("5.10"), "{}", diagnostic.message);
    }
}
