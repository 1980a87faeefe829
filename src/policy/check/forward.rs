//! `from` of a forward entry counts only where the forward hook is filtered.

use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::forward_unfiltered;
use crate::policy::model::Policy;
use crate::spec::{Fate, Spec};

pub(super) fn check(spec: &Spec, policy: &Policy) -> Vec<Diagnostic> {
    if policy.forward == Some(Fate::Drop) {
        return Vec::new();
    }
    spec.forward
        .iter()
        .filter_map(|entry| {
            let from = entry.value.from.as_ref()?;
            Some(forward_unfiltered::report(&format!("forward.{}", entry.name.value), from.place))
        })
        .collect()
}
