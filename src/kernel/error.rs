//! What can go wrong between fwc and the kernel, whatever the question was.

use std::fmt;

use nix::errno::Errno;

use super::wire::Malformed;

/// A question to the kernel that got no usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelError {
    /// A system call failed.
    Call {
        /// What was tried, as in `open a netlink socket`.
        doing: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The kernel answered with an error.
    Refused {
        /// What was asked for, as in `list the chains`.
        asked: &'static str,
        /// Its answer.
        errno: Errno,
    },
    /// The answer cannot be read.
    Malformed {
        /// What was asked for.
        asked: &'static str,
        /// What is wrong with it.
        why: Malformed,
    },
    /// No answer came.
    Silent {
        /// What was asked for.
        asked: &'static str,
    },
    /// Somebody else kept changing the ruleset while it was read, on each of many tries.
    Unsettled {
        /// What was asked for.
        asked: &'static str,
    },
}

impl KernelError {
    /// The kernel's error number, where there is one.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            KernelError::Call { errno, .. } | KernelError::Refused { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// Whether the process lacks the right to ask (`CAP_NET_ADMIN` in the network namespace's user namespace).
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(self.errno(), Some(Errno::EPERM | Errno::EACCES))
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KernelError::Call { doing, errno } => write!(f, "cannot {doing}: {}", errno.desc()),
            KernelError::Refused { asked, errno } => write!(f, "the kernel refused to {asked}: {}", errno.desc()),
            KernelError::Malformed { asked, why } => {
                write!(f, "the kernel's answer cannot be read (asked to {asked}): {why}")
            }
            KernelError::Silent { asked } => write!(f, "the kernel did not answer when asked to {asked}"),
            KernelError::Unsettled { asked } => {
                write!(f, "the ruleset kept changing while fwc asked the kernel to {asked}")
            }
        }
    }
}

impl std::error::Error for KernelError {}
