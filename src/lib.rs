//! fwc
#![deny(unsafe_code)]
pub mod net;
pub mod source;
