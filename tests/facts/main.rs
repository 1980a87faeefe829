//! What the kernel does, and what fwc must therefore emit: each fact a test against the real kernel.
//!
//! A fact about a loaded ruleset is tried in each form that fwc gives it: over netlink, and as files for both kinds of
//! iptables programs. The name of a test says the fact.

#[path = "../support/mod.rs"]
mod support;

#[macro_use]
mod forms;

mod addresses;
mod blocking;
mod examples;
mod fragments;
mod guard;
mod icmp;
mod legs;
mod loopback;
mod portless;
mod restrictions;
mod routing;
mod survival;
mod untracked;
