//! fwc, a declarative firewall compiler.
//!
//! A spec says which services a host offers and uses, and which of them are stateless: not followed by conntrack. fwc proves that the spec makes
//! sense, turns it into matched NOTRACK rules and filter accepts for both directions, and loads them in one nf_tables transaction, or writes
//! files for nft and iptables-restore.
//!
//! # The way of the data
//!
//! ```text
//! text -> spec -> policy -> ruleset -> nft program -> nft text, netlink messages -> kernel
//!                              |  `---> iptables, ip6tables and ipset files
//!                              |------> evaluator
//!                              `------> dump <- what fwc writes, what the kernel lists, files of other tools
//!                                        `----> proof, import
//! ```
//!
//! Each stage has types of its own, and each can only be made from the one before:
//!
//! | module | what it holds | made by | can fail |
//! |---|---|---|---|
//! | [`source`] | texts, and places in them | | |
//! | [`net`] | addresses, ports, protocols, names: `FromStr` is the only door | | yes |
//! | [`spec`] | what was written, every leaf with its place | [`parse`] | yes |
//! | [`policy`] | what it means: ids instead of names, endpoints instead of texts | [`policy::resolve`] | yes |
//! | [`ruleset`] | the rules of each hook: the one truth about packets | [`lower`] | no |
//! | [`backend`] | the rules as an nf_tables program, as text, as netlink messages, as iptables files | | no |
//! | [`kernel`] | the live host: transactions, reading back, listings, namespaces | | yes |
//! | [`state`] | what fwc remembers of a host, so that every apply can be undone | | yes |
//!
//! [`dump`] is one model for every ruleset, whoever wrote it down, and names the NAT rules that are live on the host; [`proof`] leads all packets at once through it and holds the rules against what
//! the policy means, and every form against the rules; [`import`] makes specs of foreign rulesets and finds traps in them.
//!
//! [`doctor`] says from facts about a host whether its conntrack table is the problem and what would help.
//!
//! [`compile`] strings the stages together. [`packet`] is the evaluator: it leads a packet through a ruleset and so defines what rules mean.
//! [`diagnostic`] has every finding with its code; [`command`] does what [`cli`] was told, and only there is anything printed.
//!
//! # Invariants
//!
//! - Imports go one way, from the top of `tests/layers.rs` down. `unsafe` stands in [`sys`] alone.
//! - All mistakes of a pass are collected; no rules are made from a spec with a mistake.
//! - Tracking is decided by the server's endpoint alone, so the two legs of a flow are untracked together by construction (`src/lower/entry.rs`).
//! - No backend decides what a rule means; it may only choose how to make it fast.
//! - The same spec gives the same bytes.
//! - Nothing is loaded that cannot be undone: the former table is on the disk before a transaction goes out (`src/state`).
//! - A transaction goes to the kernel as one datagram, carries the generation of the ruleset it was decided on, and is read back.
#![deny(unsafe_code)]
#![warn(missing_docs)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod backend;
pub mod cli;
pub mod command;
pub mod compile;
pub mod diagnostic;
pub mod doctor;
pub mod dump;
pub mod few;
mod hash;
pub mod import;
pub mod kernel;
pub mod lower;
pub mod net;
pub mod packet;
pub mod parse;
pub mod policy;
pub mod proof;
pub mod ruleset;
pub mod schema;
pub mod source;
pub mod spec;
pub mod state;
pub mod sys;
mod threads;
