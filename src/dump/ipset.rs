//! The sets of `ipset save`, and of the files that `ipset restore` reads.

use std::collections::HashMap;
use std::sync::Arc;

use crate::net::{AddrRange, AddressSet, Family};

/// Sets by name.
#[derive(Debug, Clone, Default)]
pub struct Ipsets {
    sets: HashMap<String, Ipset>,
}

#[derive(Debug, Clone)]
struct Ipset {
    family: Family,
    /// `None`: of a type, or with a member, that is not followed.
    ranges: Option<Vec<AddrRange>>,
    /// The content, once all has been read.
    content: Option<Arc<AddressSet>>,
}

impl Ipsets {
    /// Reads commands: create, add, del, flush, swap, rename and destroy.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut sets = Ipsets::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split_ascii_whitespace().filter(|word| *word != "-exist").collect();
            sets.command(&words);
        }
        for set in sets.sets.values_mut() {
            set.content = set.ranges.take().map(|ranges| Arc::new(ranges.into_iter().collect()));
        }
        sets
    }

    /// The addresses of a set. `None`: it is not known, not followed, or of the other family.
    #[must_use]
    pub fn get(&self, name: &str, family: Family) -> Option<Arc<AddressSet>> {
        let set = self.sets.get(name).filter(|set| set.family == family)?;
        set.content.clone()
    }

    /// Whether a text looks like the file of a set.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        first.is_some_and(|line| line.starts_with("create ") || line.starts_with("add ") || line.starts_with("-N "))
    }

    fn command(&mut self, words: &[&str]) {
        match words {
            ["create" | "-N", name, kind, options @ ..] => {
                let six = options.windows(2).any(|pair| matches!(pair, ["family", "inet6"]));
                let family = if six { Family::V6 } else { Family::V4 };
                let followed = matches!(*kind, "hash:ip" | "hash:net" | "bitmap:ip") && are_about_size(options);
                let ranges = followed.then(Vec::new);
                self.sets.entry((*name).to_string()).or_insert(Ipset { family, ranges, content: None });
            }
            ["add" | "-A", name, member, options @ ..] => {
                let plain = !options.iter().any(|option| matches!(*option, "nomatch" | "timeout"));
                if let Some(set) = self.sets.get_mut(*name) {
                    let range = member_range(member).filter(|_| plain);
                    match (range, set.ranges.as_mut()) {
                        (Some(range), Some(ranges)) => ranges.push(range),
                        _ => set.ranges = None,
                    }
                }
            }
            // A member that is taken out again: such files are not followed.
            ["del" | "-D", name, ..] => {
                if let Some(set) = self.sets.get_mut(*name) {
                    set.ranges = None;
                }
            }
            ["flush" | "-F", name] => {
                if let Some(ranges) = self.sets.get_mut(*name).and_then(|set| set.ranges.as_mut()) {
                    ranges.clear();
                }
            }
            ["swap" | "-W", one, other] => {
                let (a, b) = (self.sets.remove(*one), self.sets.remove(*other));
                self.sets.extend(b.map(|set| ((*one).to_string(), set)));
                self.sets.extend(a.map(|set| ((*other).to_string(), set)));
            }
            ["rename" | "-E", from, to] => {
                let set = self.sets.remove(*from);
                self.sets.extend(set.map(|set| ((*to).to_string(), set)));
            }
            ["destroy" | "-X", name] => drop(self.sets.remove(*name)),
            _ => {}
        }
    }
}

/// Whether the options of a set say nothing about which addresses it holds.
fn are_about_size(options: &[&str]) -> bool {
    match options {
        [] => true,
        ["family" | "hashsize" | "maxelem" | "bucketsize" | "initval" | "range", _, rest @ ..]
        | ["counters" | "comment" | "skbinfo" | "forceadd" | "-exist" | "-!", rest @ ..] => are_about_size(rest),
        _ => false,
    }
}

fn member_range(text: &str) -> Option<AddrRange> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swapped_set_holds_what_was_filled() {
        let text = "create a hash:net family inet -exist\ncreate b hash:net family inet\nadd b 192.0.2.0/24\nadd b 198.51.100.1\nswap b a\ndestroy b\n";
        let sets = Ipsets::read(text);
        let set = sets.get("a", Family::V4).unwrap();
        assert!(set.contains("192.0.2.7".parse().unwrap()) && set.contains("198.51.100.1".parse().unwrap()));
        assert!(!set.contains("198.51.100.2".parse().unwrap()));
        assert_eq!(sets.get("b", Family::V4), None);
        assert_eq!(sets.get("a", Family::V6), None);
    }

    #[test]
    fn a_set_of_networks_in_disguise_is_not_followed() {
        let sets =
            Ipsets::read("create n hash:ip family inet hashsize 1024 maxelem 65536 netmask 24\nadd n 10.1.2.0\n");
        assert_eq!(sets.get("n", Family::V4), None);
        let sets = Ipsets::read("create n hash:ip family inet hashsize 1024 maxelem 65536 counters\nadd n 10.1.2.0\n");
        assert!(sets.get("n", Family::V4).is_some());
    }

    #[test]
    fn what_is_not_followed_has_no_content() {
        let text = "create a hash:ip,port family inet\nadd a 192.0.2.1,tcp:80\ncreate c hash:net\nadd c 10.0.0.0/8\nadd c 10.1.0.0/16 nomatch\n";
        let sets = Ipsets::read(text);
        assert_eq!((sets.get("a", Family::V4), sets.get("c", Family::V4)), (None, None));
    }
}
