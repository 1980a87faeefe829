//! The findings, one a file.

use super::Finding;

/// Every finding, by code.
pub const ALL: &[&Finding] = &[];
