//! The `fwc` binary.

fn main() {}
