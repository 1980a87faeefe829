//! Whether anything needs conntrack.

use crate::policy::model::Policy;
use crate::spec::{Fate, Tracking};

/// Whether anything needs conntrack: a tracked entry, NAT, or replies to the host's own undeclared connections.
pub(in crate::policy) fn needed(policy: &Policy) -> bool {
    policy.output == Fate::Accept
        || !policy.nat.is_empty()
        || policy.entries.iter().any(|entry| entry.tracking == Tracking::Tracked)
}
