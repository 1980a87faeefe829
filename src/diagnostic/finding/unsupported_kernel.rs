//! FWC403: a kernel that cannot do what the spec needs.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC403",
    severity: Severity::Error,
    title: "the kernel cannot do this",
    explanation: "\
fwc needs Linux 5.10 or newer with nf_tables (CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET, CONFIG_NFT_CT and, for `*` in `listen`, CONFIG_NFT_FIB_INET).

On an older kernel use the iptables files: `fwc compile SPEC --target iptables -o rules.v4`.
",
};

/// `what` is missing.
pub fn report(what: &str) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        what,
        "boot a kernel that has it, or use `fwc compile --target iptables` and `--target ip6tables`",
    )
}
