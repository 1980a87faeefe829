//! fwc
#![deny(unsafe_code)]
pub mod diagnostic;
pub mod net;
pub mod parse;
pub mod source;
pub mod spec;
