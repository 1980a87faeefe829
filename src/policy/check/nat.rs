//! NAT and NOTRACK exclude each other.

use super::title;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::spec_nat::{Conflict, report};
use crate::net::{AddrRange, AddressSet, RangeSet};
use crate::policy::footprint::{Footprint, NewAddress, Target, led_into, touched, why};
use crate::policy::model::{Entry, Policy, Server, Translation, TranslationKind};
use crate::spec::{NatConflict, Spec, Tracking};

pub(super) fn check(spec: &Spec, policy: &Policy) -> Vec<Diagnostic> {
    let stateless = || policy.entries.iter().filter(|entry| entry.tracking == Tracking::Untracked);
    let Some(first) = stateless().next() else { return Vec::new() };
    let only_overlap = spec.nat_conflict.is_some_and(|mode| mode.value == NatConflict::Overlap);
    let advice = advice(None);
    policy
        .nat
        .iter()
        .filter_map(|translation| {
            let touched = touched_by(translation, policy);
            if touched.is_none() && only_overlap {
                return None;
            }
            let entry = touched.unwrap_or(first);
            let (entry_title, rule) = (title(entry), describe(translation));
            let conflict = Conflict {
                rule: &rule,
                place: translation.place,
                entry: &entry_title,
                entry_place: entry.place,
                overlaps: touched.is_some(),
            };
            Some(report(&conflict, &advice))
        })
        .collect()
}

fn touched_by<'a>(translation: &Translation, policy: &'a Policy) -> Option<&'a Entry> {
    match &translation.kind {
        TranslationKind::Masquerade { from, .. } | TranslationKind::Snat { from, .. } => {
            touched(&Footprint::of_source(policy, *from), policy)
        }
        TranslationKind::Dnat { listen, to, port } => {
            let address = NewAddress::OneOf(AddressSet::from_iter([AddrRange::host(*to)]));
            let target = Target { address, ports: port.map(RangeSet::single) };
            listen.iter().find_map(|server| either_side(policy, server, &target))
        }
        TranslationKind::Redirect { listen, port } => {
            let target = Target { address: NewAddress::ThisHost, ports: Some(RangeSet::single(*port)) };
            listen.iter().find_map(|server| either_side(policy, server, &target))
        }
    }
}

/// The rules of a spec's `nat` that were let through because they touch no stateless flow, each with the reason.
pub(crate) fn let_through(policy: &Policy) -> Vec<(String, String)> {
    if !policy.has_stateless() {
        return Vec::new();
    }
    let reasons = |translation: &Translation| match &translation.kind {
        TranslationKind::Masquerade { from, .. } | TranslationKind::Snat { from, .. } => {
            why::apart(&Footprint::of_source(policy, *from), policy)
        }
        TranslationKind::Dnat { listen, .. } | TranslationKind::Redirect { listen, .. } => {
            let mut all: Vec<String> =
                listen.iter().map(|server| why::apart(&Footprint::of_destination(policy, server), policy)).collect();
            all.dedup();
            format!("{}, and it leads to no stateless server", all.join("; "))
        }
    };
    policy.nat.iter().map(|translation| (describe(translation), reasons(translation))).collect()
}

/// A destination NAT touches the flows that it translates, and those of the place where they end up: replies come from there.
fn either_side<'a>(policy: &'a Policy, server: &Server, target: &Target) -> Option<&'a Entry> {
    let footprint = Footprint::of_destination(policy, server);
    touched(&footprint, policy).or_else(|| led_into(policy, &footprint, target))
}

fn describe(translation: &Translation) -> String {
    match &translation.kind {
        TranslationKind::Masquerade { out, .. } => format!("masquerade out {out}"),
        TranslationKind::Snat { out, to, .. } => format!("snat out {out} to {to}"),
        TranslationKind::Dnat { to, port, .. } => match port {
            Some(port) => format!("dnat to {}", std::net::SocketAddr::new(*to, *port)),
            None => format!("dnat to {to}"),
        },
        TranslationKind::Redirect { port, .. } => format!("redirect to port {port}"),
    }
}

/// Bytes that an entry costs, with its extensions: a 256-byte slab object and about 64 more.
const ENTRY_BYTES: u64 = 320;
/// Bytes that a hash bucket costs.
const BUCKET_BYTES: u64 = 8;
/// Seconds that the proposed TIME_WAIT lasts.
const TIME_WAIT: u64 = 30;

/// Bytes of kernel memory that a table takes when it is full.
pub(crate) fn bytes(entries: u64, buckets: u64) -> u64 {
    entries.saturating_mul(ENTRY_BYTES).saturating_add(buckets.saturating_mul(BUCKET_BYTES))
}

/// A table size to propose, with what it holds and costs. `now` is the live host's `nf_conntrack_max`, if known; the default is 262,144.
pub(crate) fn advice(now: Option<u64>) -> String {
    let now = now.unwrap_or(262_144);
    let size = (now * 4).clamp(262_144, 1 << 27).next_power_of_two();
    let megabytes = bytes(size, size).div_ceil(1_000_000);
    format!(
        "`conntrack: {{max: {size}, buckets: {size}, timeouts: {{tcp_time_wait: {TIME_WAIT}s}}}}` lasts for {} new connections \
         a second instead of {} ({now} entries, 120 s), for {megabytes} MB when full",
        size / TIME_WAIT,
        now / 120,
    )
}
