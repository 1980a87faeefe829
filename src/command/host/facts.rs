//! What is known about the host, as far as it could be read.

use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::kernel::socket::Socket;

/// What speaks against loading a spec on this host.
pub(crate) fn against(_compiled: &Compiled, _socket: &mut Socket, _other_namespace: bool) -> Vec<Diagnostic> {
    Vec::new()
}

/// How full the conntrack table is.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Conntrack {
    pub(crate) count: u64,
    pub(crate) max: u64,
}

pub(crate) fn table() -> Option<Conntrack> {
    let read =
        |name: &str| std::fs::read_to_string(format!("/proc/sys/net/netfilter/{name}")).ok()?.trim().parse().ok();
    Some(Conntrack { count: read("nf_conntrack_count")?, max: read("nf_conntrack_max")? })
}
