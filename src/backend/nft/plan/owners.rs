//! Whose the rules are.

use crate::net::Name;
use crate::policy::EntryId;

/// A section of the spec that has entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Section(usize);

/// The entries' names, and their sections.
#[derive(Debug, Default)]
pub(super) struct Owners {
    pub(super) names: Vec<Name>,
    /// The sections, each with the first of its entries: these stand one section behind the other.
    sections: Vec<(usize, &'static str)>,
}

impl Owners {
    /// The name of an entry.
    pub(super) fn name(&self, entry: EntryId) -> Option<&Name> {
        self.names.get(entry.0 as usize)
    }

    /// The section of an entry.
    pub(super) fn section(&self, entry: EntryId) -> Section {
        Section(self.sections.iter().rposition(|(first, _)| *first <= entry.0 as usize).unwrap_or(0))
    }

    /// The section's key.
    pub(super) fn word(&self, section: Section) -> &'static str {
        self.sections.get(section.0).map_or("entries", |(_, word)| word)
    }
}

impl FromIterator<(&'static str, Name)> for Owners {
    fn from_iter<I: IntoIterator<Item = (&'static str, Name)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut owners = Owners { names: Vec::with_capacity(entries.size_hint().0), sections: Vec::new() };
        for (section, name) in entries {
            if owners.sections.last().is_none_or(|(_, last)| *last != section) {
                owners.sections.push((owners.names.len(), section));
            }
            owners.names.push(name);
        }
        owners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_has_its_name_and_section() {
        let entries = [("services", "web"), ("services", "dns"), ("clients", "dns")];
        let owners: Owners = entries.iter().map(|(section, name)| (*section, name.parse().unwrap())).collect();
        for (entry, number) in entries.iter().zip(0..) {
            let id = EntryId(number);
            assert_eq!((owners.word(owners.section(id)), owners.name(id).map(Name::as_str)), (entry.0, Some(entry.1)));
        }
    }
}
