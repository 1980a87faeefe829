//! From names to ids: a [`Spec`] becomes a [`Policy`].
//!
//! Every mistake is collected. What a mistake makes unusable is left out, so that the rest can be looked at in the same run.

mod addresses;
mod entries;
mod nat;

use std::sync::Arc;

use addresses::Resolver;

use super::check;
use super::model::{Policy, Sizing, Written};
use super::sets::Addresses;
use crate::diagnostic::Diagnostic;
use crate::spec::{Conntrack, Fate, NatConflict, Spec};

/// What a spec means, with everything that is wrong or odd about it. The policy is sound only if no diagnostic is an error.
#[must_use]
pub fn resolve(spec: &Spec) -> (Policy, Vec<Diagnostic>) {
    let mut resolver = Resolver::new(&spec.sets);
    let entries = entries::entries(spec, &mut resolver);
    let nat = nat::translations(&spec.nat, &mut resolver);
    let block = spec.block.as_ref().and_then(|block| resolver.list("blocked", &block.value));
    let block = block.filter(|&addresses| addresses != Addresses::Any);
    let (sets, mut diagnostics) = resolver.finish();
    let input = spec.policy.input.map_or(Fate::Drop, |fate| fate.value);
    let output = spec.policy.output.map_or(Fate::Accept, |fate| fate.value);
    let mut policy = Policy {
        input,
        output,
        forward: spec.policy.forward.map(|fate| fate.value),
        sets: Arc::new(sets),
        block,
        entries,
        nat,
        nat_conflict: spec.nat_conflict.map_or(NatConflict::Any, |mode| mode.value),
        sizing: sizing(spec),
        tracks: false,
        ping: spec.ping.is_some_and(|ping| ping.value),
        tests: spec.tests.iter().map(|test| test.value.clone()).collect(),
        written: written(spec),
    };
    policy.tracks = check::tracking::needed(&policy);
    diagnostics.extend(check::all(spec, &policy));
    (policy, diagnostics)
}

fn written(spec: &Spec) -> Written {
    Written {
        input: spec.policy.input.map(|fate| fate.place),
        output: spec.policy.output.map(|fate| fate.place),
        forward: spec.policy.forward.map(|fate| fate.place),
        block: spec.block.as_ref().map(|block| block.place),
        ping: spec.ping.map(|ping| ping.place),
    }
}

fn sizing(spec: &Spec) -> Sizing {
    let Some(Conntrack::Sized { max, buckets, timeouts }) = spec.conntrack.as_ref().map(|section| &section.value)
    else {
        return Sizing::default();
    };
    let mut timeouts = timeouts.clone();
    timeouts.sort_unstable_by_key(|timeout| timeout.value);
    Sizing { max: *max, buckets: *buckets, timeouts }
}
