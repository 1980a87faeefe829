//! fwc
#![deny(unsafe_code)]
pub mod diagnostic;
pub mod net;
pub mod source;
pub mod spec;
