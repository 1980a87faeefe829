//! What speaks against loading a spec on this host, as far as the host could be read.

use super::{lockout, nat, others, sockets};
use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::unseen_host;
use crate::dump::live::{self, Live};
use crate::kernel::host::{SshConnection, local_addresses};
use crate::kernel::socket::Socket;
use crate::kernel::sockets::Sockets;

/// What a look at the host found.
pub(crate) struct Facts {
    pub(crate) found: Vec<Diagnostic>,
    /// The verdict about each NAT rule on the host and in the spec, for the report.
    pub(crate) nat_rules: Vec<nat::Verdict>,
}

/// Everything that speaks against it. In another namespace than the caller's (`--netns`) the caller's ssh session counts only
/// if it ends there.
pub(crate) fn against(compiled: &Compiled, socket: &mut Socket, other_namespace: bool) -> Facts {
    // Where nothing is stateless nothing changes for the rules of others.
    let others = if compiled.policy.has_stateless() { live::read(socket) } else { Live::default() };
    let mut found: Vec<Diagnostic> =
        others.unseen.iter().map(|part| unseen_host::report(&part.what, &part.why.to_string())).collect();
    let (nat, nat_rules) = nat::check(compiled, &others);
    found.extend(nat);
    found.extend(others::check(compiled, &others));
    let local = local_addresses();
    let here = |ssh: &SshConnection| {
        !other_namespace || local.iter().any(|local| local.address == ssh.server.ip() && !local.address.is_loopback())
    };
    let session = SshConnection::of_this_process().filter(here);
    let open = Sockets::read();
    let listeners = open.listeners();
    found.extend(lockout::cut(compiled, &lockout::sessions(session, &open, &listeners), &local));
    found.extend(lockout::listeners(compiled, &listeners));
    found.extend(sockets::unspoken(compiled, &listeners));
    found.extend(sockets::cut(compiled, socket, &open, &listeners, &local));
    Facts { found, nat_rules }
}
