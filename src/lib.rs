//! fwc
