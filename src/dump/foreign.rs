//! A file of somebody's ruleset, in whichever of the known forms.

use super::Dump;
use super::ipset::Ipsets;
use super::xtables;
use crate::net::Family;
use crate::source::Sources;

/// Reads a file of iptables-save or ip6tables-save. A file that says nothing about its family is IPv4's.
pub fn read(name: &str, text: &str, ipsets: &Ipsets, sources: &mut Sources) -> Dump {
    let file = sources.add(name, text);
    xtables::read(file, text, family(name, text), ipsets)
}

/// The family of a file, by what it says or else by its name.
fn family(name: &str, text: &str) -> Family {
    let named_v6 = name.ends_with(".v6") || name.contains("ip6tables");
    xtables::guess_family(text).unwrap_or(if named_v6 { Family::V6 } else { Family::V4 })
}
