//! FWC504: no right to change the firewall, or to make a private namespace.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC504",
    severity: Severity::Error,
    title: "not permitted",
    explanation: "\
Loading rules takes CAP_NET_ADMIN: run `fwc apply` as root. `--sandbox` and `check --kernel` need no rights, only a host that lets users make user
namespaces. Some do not: AppArmor (`kernel.apparmor_restrict_unprivileged_userns=1`), `user.max_user_namespaces=0`, or the seccomp profile of a container.
There, run them as root, or use `fwc check` without `--kernel`.
",
};

/// Something was not permitted.
pub fn report(message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
    Diagnostic::new(&FINDING, message, help)
}
