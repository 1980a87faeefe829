//! Contradictions that only the whole policy shows, one kind a file.

mod block;
mod clash;
mod disabled;
mod forward;
mod local_ports;
mod mute;
mod nat;
pub(super) mod tracking;

pub(crate) use nat::{advice, bytes, let_through as spec_nat_let_through};

use super::model::{Entry, Policy};
use crate::diagnostic::Diagnostic;
use crate::spec::Spec;

/// Runs every check.
pub(super) fn all(spec: &Spec, policy: &Policy) -> Vec<Diagnostic> {
    let mut found = clash::check(policy);
    found.extend(local_ports::check(spec, policy));
    found.extend(disabled::check(spec, policy));
    found.extend(forward::check(spec, policy));
    found.extend(block::check(spec, policy));
    found.extend(mute::check(spec, policy));
    found.extend(nat::check(spec, policy));
    found
}

/// An entry as messages name it: `services.web`.
pub(crate) fn title(entry: &Entry) -> String {
    format!("{}.{}", entry.role.section(), entry.name)
}
