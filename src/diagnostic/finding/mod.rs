//! The findings, one a file: the code, what `fwc explain` says, and the functions that report it.

pub mod accepted_differs;
pub mod address;
pub mod block_too_wide;
pub mod cannot_restore;
pub mod cannot_say;
pub mod concurrent_change;
pub mod connections_cut;
pub mod conntrack_chains;
pub mod conntrack_disabled;
pub mod conntrack_filling;
pub mod conntrack_full;
pub mod conntrack_insert_failed;
pub mod conntrack_was_full;
pub mod dead_rule;
pub mod empty;
pub mod exact_flags;
pub mod family_mismatch;
pub mod form_differs;
pub mod forward_unfiltered;
pub mod given_twice;
pub mod half_pair;
pub mod healed;
pub mod host_bits;
pub mod host_failure;
pub mod import_refused;
pub mod interface;
pub mod kernel_disagrees;
pub mod kernel_refused;
pub mod kernel_unreached;
pub mod legs_apart;
pub mod live_nat;
pub mod loaded_differs;
pub mod local_port_clash;
pub mod lockout;
pub mod loopback_pair;
pub mod missing_key;
pub mod mute_host;
pub mod name;
pub mod nat_shape;
pub mod neighbour_drop;
pub mod never_confirmed;
pub mod not_as_applied;
pub mod not_permitted;
pub mod not_understood;
pub mod not_yaml;
pub mod nothing_pending;
pub mod nothing_to_undo;
pub mod notrack_nat;
pub mod number;
pub mod other_confirmed;
pub mod others_drop;
pub mod others_may_drop;
pub mod others_track;
pub mod packet;
pub mod pending;
pub mod pmtu_black_hole;
pub mod port;
pub mod port_shape;
pub mod port_zero;
pub mod proof_too_large;
pub mod protocol;
pub mod reversed;
pub mod ruleset_differs;
pub mod set_file;
pub mod set_of_sets;
pub mod size_absent;
pub mod size_not_writable;
pub mod size_refused;
pub mod source_port_hole;
pub mod spec_always;
pub mod spec_nat;
pub mod stale_plan;
pub mod state_unusable;
pub mod stateless_barred;
pub mod table_below_count;
pub mod table_large;
pub mod table_too_large;
pub mod test_failed;
pub mod test_impossible;
pub mod too_many;
pub mod tracking_clash;
pub mod tracking_differs;
pub mod unknown_key;
pub mod unknown_set;
pub mod unreadable;
pub mod unseen_host;
pub mod unspecified_address;
pub mod unspoken_services;
pub mod unsupported_kernel;
pub mod untracked_unaccepted;
pub mod untrusted_file;
pub mod version;
pub mod watchdog_failed;
pub mod wildcard_notrack;
pub mod word;
pub mod would_overwrite;
pub mod wrong_shape;

use super::{Diagnostic, Finding};
use crate::net::{Invalid, Mistake};
use crate::source::Place;

/// Every finding, by code.
pub const ALL: &[&Finding] = &[
    &unreadable::FINDING,
    &not_yaml::FINDING,
    &unknown_key::FINDING,
    &given_twice::FINDING,
    &missing_key::FINDING,
    &wrong_shape::FINDING,
    &version::FINDING,
    &name::FINDING,
    &address::FINDING,
    &host_bits::FINDING,
    &port::FINDING,
    &port_zero::FINDING,
    &reversed::FINDING,
    &protocol::FINDING,
    &interface::FINDING,
    &number::FINDING,
    &packet::FINDING,
    &word::FINDING,
    &set_file::FINDING,
    &empty::FINDING,
    &too_many::FINDING,
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
    &mute_host::FINDING,
    &spec_nat::FINDING,
    &live_nat::FINDING,
    &lockout::FINDING,
    &others_drop::FINDING,
    &unsupported_kernel::FINDING,
    &unseen_host::FINDING,
    &unspoken_services::FINDING,
    &others_may_drop::FINDING,
    &others_track::FINDING,
    &connections_cut::FINDING,
    &conntrack_full::FINDING,
    &conntrack_was_full::FINDING,
    &conntrack_filling::FINDING,
    &conntrack_chains::FINDING,
    &conntrack_insert_failed::FINDING,
    &stateless_barred::FINDING,
    &size_not_writable::FINDING,
    &table_too_large::FINDING,
    &table_large::FINDING,
    &size_absent::FINDING,
    &size_refused::FINDING,
    &table_below_count::FINDING,
    &untrusted_file::FINDING,
    &kernel_refused::FINDING,
    &concurrent_change::FINDING,
    &loaded_differs::FINDING,
    &not_permitted::FINDING,
    &host_failure::FINDING,
    &pending::FINDING,
    &nothing_pending::FINDING,
    &nothing_to_undo::FINDING,
    &state_unusable::FINDING,
    &cannot_restore::FINDING,
    &watchdog_failed::FINDING,
    &stale_plan::FINDING,
    &other_confirmed::FINDING,
    &never_confirmed::FINDING,
    &healed::FINDING,
    &not_as_applied::FINDING,
    &would_overwrite::FINDING,
    &test_failed::FINDING,
    &test_impossible::FINDING,
    &kernel_disagrees::FINDING,
    &kernel_unreached::FINDING,
    &legs_apart::FINDING,
    &tracking_differs::FINDING,
    &accepted_differs::FINDING,
    &form_differs::FINDING,
    &ruleset_differs::FINDING,
    &proof_too_large::FINDING,
    &half_pair::FINDING,
    &source_port_hole::FINDING,
    &notrack_nat::FINDING,
    &pmtu_black_hole::FINDING,
    &untracked_unaccepted::FINDING,
    &loopback_pair::FINDING,
    &neighbour_drop::FINDING,
    &wildcard_notrack::FINDING,
    &dead_rule::FINDING,
    &exact_flags::FINDING,
    &not_understood::FINDING,
    &cannot_say::FINDING,
    &spec_always::FINDING,
    &import_refused::FINDING,
];

/// The finding of a code such as `FWC103`, in any case.
#[must_use]
pub fn by_code(code: &str) -> Option<&'static Finding> {
    ALL.iter().copied().find(|finding| finding.code.eq_ignore_ascii_case(code))
}

/// A value that was refused, `place` being that of its text.
#[must_use]
pub fn invalid(invalid: &Invalid, place: Place) -> Diagnostic {
    let finding = match invalid.mistake {
        Mistake::Address => &address::FINDING,
        Mistake::HostBits => &host_bits::FINDING,
        Mistake::Port => &port::FINDING,
        Mistake::PortZero => &port_zero::FINDING,
        Mistake::Reversed => &reversed::FINDING,
        Mistake::Protocol => &protocol::FINDING,
        Mistake::Interface => &interface::FINDING,
        Mistake::Name => &name::FINDING,
        Mistake::Duration => &number::FINDING,
        Mistake::Packet => &packet::FINDING,
    };
    Diagnostic::new(finding, invalid.message.clone(), invalid.help.clone()).at(place.part(&invalid.range), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_sorted_and_explained() {
        for pair in ALL.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} is not before {}", pair[0].code, pair[1].code);
        }
        for finding in ALL {
            let digits = finding.code.strip_prefix("FWC").unwrap();
            assert!(digits.len() == 3 && ('1'..='7').contains(&digits.chars().next().unwrap()), "{}", finding.code);
            assert!(finding.explanation.len() > 100, "{} is not explained", finding.code);
            assert!(!finding.title.is_empty() && finding.title == finding.title.trim_end_matches('.'));
            assert_eq!(by_code(&finding.code.to_lowercase()), Some(*finding));
        }
        assert_eq!(by_code("FWC000"), None);
    }
}
