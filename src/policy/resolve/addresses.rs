//! Sets and lists of addresses.

use std::collections::HashMap;

use crate::diagnostic::{Diagnostic, finding};
use crate::net::{AddrRange, AddressPattern, AddressSet, Name};
use crate::policy::sets::{AddressSets, Addresses};
use crate::source::{Place, Placed};
use crate::spec::{Entry, SetSpec};

/// Knows the spec's sets, keeps the policy's, and collects what is wrong.
pub(super) struct Resolver<'a> {
    specs: HashMap<&'a Name, &'a Entry<SetSpec>>,
    done: HashMap<&'a Name, Option<Addresses>>,
    sets: AddressSets,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl<'a> Resolver<'a> {
    /// Resolves every set of the spec, used or not, so that mistakes in it show.
    pub(super) fn new(specs: &'a [Entry<SetSpec>]) -> Self {
        let mut resolver = Resolver {
            specs: specs.iter().map(|entry| (&entry.name.value, entry)).collect(),
            done: HashMap::new(),
            sets: AddressSets::default(),
            diagnostics: Vec::new(),
        };
        for entry in specs {
            resolver.set(entry, &mut Vec::new());
        }
        resolver
    }

    pub(super) fn finish(self) -> (AddressSets, Vec<Diagnostic>) {
        (self.sets, self.diagnostics)
    }

    /// The sets so far.
    pub(super) fn sets(&self) -> &AddressSets {
        &self.sets
    }

    /// `path` holds the names of the sets that are being resolved, outermost first.
    fn set(&mut self, entry: &'a Entry<SetSpec>, path: &mut Vec<&'a Name>) -> Option<Addresses> {
        let name = &entry.name.value;
        if let Some(&known) = self.done.get(name) {
            return known;
        }
        path.push(name);
        let content: AddressSet = match &entry.value {
            SetSpec::File { ranges, .. } => ranges.iter().copied().collect(),
            SetSpec::Inline(items) => {
                let mut ranges = Vec::new();
                for item in items {
                    self.item(item, path, &mut ranges);
                }
                ranges.into_iter().collect()
            }
        };
        path.pop();
        let resolved = (!content.is_empty()).then(|| Addresses::Set(self.sets.intern(name.as_str(), content)));
        self.done.insert(name, resolved);
        resolved
    }

    fn item(&mut self, item: &Placed<AddressPattern>, path: &mut Vec<&'a Name>, into: &mut Vec<AddrRange>) {
        match &item.value {
            AddressPattern::Range(range) => into.push(*range),
            AddressPattern::Any => self.diagnostics.push(finding::set_of_sets::star(item.place)),
            AddressPattern::Set(name) => {
                let Some(&entry) = self.specs.get(name) else {
                    self.unknown(name, item.place);
                    return;
                };
                if path.contains(&name) {
                    let diagnostic = finding::set_of_sets::circular(name.as_str(), entry.name.place, item.place);
                    self.diagnostics.push(diagnostic);
                    return;
                }
                if let Some(Addresses::Set(id)) = self.set(entry, path) {
                    let set = self.sets.get(id);
                    into.extend(set.ranges(crate::net::Family::V4).chain(set.ranges(crate::net::Family::V6)));
                }
            }
        }
    }

    fn unknown(&mut self, name: &Name, place: Place) {
        let known = self.specs.keys().map(|known| known.as_str());
        let mut known: Vec<&str> = known.collect();
        known.sort_unstable();
        self.diagnostics.push(finding::unknown_set::report(name.as_str(), place, known));
    }

    /// One pattern that stands alone. `None` where a mistake has been reported.
    pub(super) fn pattern(&mut self, pattern: &AddressPattern, place: Place) -> Option<Addresses> {
        match pattern {
            AddressPattern::Any => Some(Addresses::Any),
            AddressPattern::Range(range) => Some(Addresses::Range(*range)),
            AddressPattern::Set(name) => match self.specs.get(name) {
                Some(&entry) => self.set(entry, &mut Vec::new()),
                None => {
                    self.unknown(name, place);
                    None
                }
            },
        }
    }

    /// A list such as `from` or `block`, as one set with this label. `None` where nothing usable is left.
    pub(super) fn list(&mut self, label: &str, items: &[Placed<AddressPattern>]) -> Option<Addresses> {
        if let [alone] = items {
            if alone.value == AddressPattern::Any {
                self.diagnostics.push(finding::set_of_sets::star(alone.place));
                return None;
            }
            return self.pattern(&alone.value, alone.place);
        }
        let mut ranges = Vec::new();
        for item in items {
            self.item(item, &mut Vec::new(), &mut ranges);
        }
        let set: AddressSet = ranges.into_iter().collect();
        (!set.is_empty()).then(|| Addresses::Set(self.sets.intern(label, set)))
    }
}
