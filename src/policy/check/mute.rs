//! A host that lets everything in and answers only what is listed.

use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::mute_host;
use crate::policy::model::Policy;
use crate::spec::{Fate, Spec};

pub(super) fn check(spec: &Spec, policy: &Policy) -> Option<Diagnostic> {
    let (input, output) = (spec.policy.input?, spec.policy.output?);
    let mute = input.value == Fate::Accept && output.value == Fate::Drop && !policy.tracks;
    mute.then(|| mute_host::report(input.place, output.place))
}
