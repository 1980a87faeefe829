//! What the integration tests stand on: network namespaces, the machine's tools, probes and crafted packets.
//!
//! A test file says `mod support;` and takes what it needs. Nothing here is timed beyond the waits that a probe
//! needs to call a packet lost, and nothing is skipped: a missing tool or right is a failed test that says what to do.

// Each test binary compiles this module for itself and uses a part of it.
#![allow(dead_code, unused_imports)]

pub mod cli;
pub mod golden;
pub mod guard;
pub mod link;
pub mod namespace;
pub mod packet;
pub mod probe;
pub mod specs;
pub mod tools;
pub mod turn;
pub mod watch;
pub mod web;

pub use cli::{Spec, Variant, apply, fwc, iptables_apply, try_apply};
pub use link::{Link, Router};
pub use namespace::{Namespace, Running, TRACKING};
pub use packet::Packet;
pub use probe::{Connection, Mirror, tcp_connect, tcp_connect_from, tcp_seen_as, udp_echoes, udp_seen_as};
pub use specs::{broken, compile, examples, folders, write_files};
pub use tools::{Ran, require};
pub use turn::ConntrackMax;
pub use watch::{Tap, expect_verdicts, expect_verdicts_through, passes, passes_through};
pub use web::{Nginx, Wrk, curl};
