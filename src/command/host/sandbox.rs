//! A private namespace: the real kernel, and nothing left behind.

use super::load::{self, Base, Prepared, Sent};
use super::{kernel_failure, namespace_failure, socket};
use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::kernel::namespace;
use crate::kernel::parts::load_in_parts;
use crate::kernel::socket::Socket;
use crate::kernel::table;

/// The process is in a namespace of its own, until it ends.
pub(crate) struct Sandbox {
    proof: namespace::Sandbox,
}

impl Sandbox {
    /// Goes into a fresh namespace. For anybody but root the process must still have one thread.
    pub(crate) fn enter() -> Result<Self, Diagnostic> {
        namespace::sandbox().map(|proof| Sandbox { proof }).map_err(|error| namespace_failure(&error))
    }

    /// Loads a spec, reads it back, and removes it again.
    pub(crate) fn try_load(&self, compiled: &Compiled) -> Result<String, Diagnostic> {
        let prepared = load::prepare(compiled)?;
        let mut socket = socket()?;
        self.load(&prepared, &mut socket)?;
        table::delete_table(&mut socket).map_err(|error| load::refusal(&error, 1))?;
        Ok("the kernel takes it".to_string())
    }

    /// Loads a spec and reads it back. Without root's rights a large one goes in several transactions: nobody else sees this namespace.
    pub(crate) fn load(&self, prepared: &Prepared, socket: &mut Socket) -> Result<(), Diagnostic> {
        let sent = if self.proof.privileged {
            let generation = socket.generation().map_err(|error| kernel_failure(&error))?;
            load::commit(prepared, &Base::Nothing, socket, generation)
        } else {
            load_in_parts(&prepared.messages, socket, &self.proof).map(Sent::whole)
        };
        let sent = sent.map_err(|error| load::refusal(&error, 1))?;
        load::verify(prepared, &sent, socket).map(drop)
    }
}
