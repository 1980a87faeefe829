//! fwc
#![deny(unsafe_code)]
pub mod backend;
pub mod compile;
pub mod diagnostic;
pub mod lower;
pub mod net;
pub mod packet;
pub mod parse;
pub mod policy;
pub mod ruleset;
pub mod source;
pub mod spec;
