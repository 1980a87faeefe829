//! `conntrack: disabled` is a promise.

use super::title;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::conntrack_disabled as finding;
use crate::policy::model::Policy;
use crate::spec::{Conntrack, Fate, Spec, Tracking};

pub(super) fn check(spec: &Spec, policy: &Policy) -> Vec<Diagnostic> {
    let Some(disabled) = spec.conntrack.as_ref().filter(|section| matches!(section.value, Conntrack::Disabled)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in policy.entries.iter().filter(|entry| entry.tracking == Tracking::Tracked) {
        let what = format!("`{}` is tracked, so it", title(entry));
        found.push(finding::report(disabled.place, &what, entry.place, "write `stateless: true` in the entry"));
    }
    for translation in &policy.nat {
        found.push(finding::report(
            disabled.place,
            "NAT",
            translation.place,
            "take `conntrack: disabled` or the rule out",
        ));
    }
    match spec.policy.output {
        Some(output) if output.value == Fate::Accept => found.push(finding::report(
            disabled.place,
            "`output: accept`",
            output.place,
            "write `output: drop` and list what the host uses under `clients`",
        )),
        Some(_) => {}
        None => found.push(finding::default_output(disabled.place)),
    }
    found
}
