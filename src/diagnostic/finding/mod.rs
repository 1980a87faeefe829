//! The findings, one a file.

pub mod block_too_wide;
pub mod concurrent_change;
pub mod conntrack_disabled;
pub mod family_mismatch;
pub mod forward_unfiltered;
pub mod host_failure;
pub mod kernel_refused;
pub mod live_nat;
pub mod loaded_differs;
pub mod local_port_clash;
pub mod lockout;
pub mod nat_shape;
pub mod not_permitted;
pub mod port_shape;
pub mod set_of_sets;
pub mod spec_nat;
pub mod tracking_clash;
pub mod unknown_set;
pub mod unseen_host;
pub mod unspecified_address;
pub mod unsupported_kernel;

use super::Finding;

/// Every finding, by code.
pub const ALL: &[&Finding] = &[
    &unknown_set::FINDING,
    &set_of_sets::FINDING,
    &family_mismatch::FINDING,
    &tracking_clash::FINDING,
    &local_port_clash::FINDING,
    &port_shape::FINDING,
    &unspecified_address::FINDING,
    &conntrack_disabled::FINDING,
    &forward_unfiltered::FINDING,
    &block_too_wide::FINDING,
    &nat_shape::FINDING,
    &spec_nat::FINDING,
    &live_nat::FINDING,
    &lockout::FINDING,
    &unsupported_kernel::FINDING,
    &unseen_host::FINDING,
    &kernel_refused::FINDING,
    &concurrent_change::FINDING,
    &loaded_differs::FINDING,
    &not_permitted::FINDING,
    &host_failure::FINDING,
];
