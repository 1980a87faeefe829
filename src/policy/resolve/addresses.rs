//! Sets and lists of addresses.

use std::collections::{HashMap, HashSet};

use crate::diagnostic::{Diagnostic, finding};
use crate::net::{AddressPattern, AddressRanges, AddressSet, Name};
use crate::policy::sets::{AddressSets, Addresses, Collector};
use crate::source::{Place, Placed};
use crate::spec::{Entry, SetSpec};

/// How many ranges may be copied from sets into other sets and lists: sets of sets of sets multiply what a small spec says.
const MOST_COPIED: usize = 1 << 22;

/// Knows the spec's sets, keeps the policy's, and collects what is wrong.
pub(super) struct Resolver<'a> {
    specs: HashMap<&'a Name, &'a Entry<SetSpec>>,
    done: HashMap<&'a Name, Option<Addresses>>,
    sets: Collector,
    /// Ranges that have been copied from sets.
    copied: usize,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// A set that is being resolved.
struct Open<'a> {
    entry: &'a Entry<SetSpec>,
    /// The item to look at next.
    next: usize,
    /// What the items before it hold.
    ranges: AddressRanges,
}

impl<'a> Open<'a> {
    fn new(entry: &'a Entry<SetSpec>) -> Self {
        Open { entry, next: 0, ranges: AddressRanges::default() }
    }
}

impl<'a> Resolver<'a> {
    /// Resolves every set of the spec, used or not, so that mistakes in it show.
    pub(super) fn new(specs: &'a [Entry<SetSpec>]) -> Self {
        let mut resolver = Resolver {
            specs: specs.iter().map(|entry| (&entry.name.value, entry)).collect(),
            done: HashMap::new(),
            sets: Collector::default(),
            copied: 0,
            diagnostics: Vec::new(),
        };
        for entry in specs {
            resolver.set(entry);
        }
        resolver
    }

    pub(super) fn finish(self) -> (AddressSets, Vec<Diagnostic>) {
        (self.sets.kept, self.diagnostics)
    }

    /// The sets so far.
    pub(super) fn sets(&self) -> &AddressSets {
        &self.sets.kept
    }

    /// A set, after all those that it contains. Sets may lie in each other as deep as the spec is long, so that this must not recurse.
    fn set(&mut self, entry: &'a Entry<SetSpec>) -> Option<Addresses> {
        if let Some(&known) = self.done.get(&entry.name.value) {
            return known;
        }
        let mut open = vec![Open::new(entry)];
        let mut path = HashSet::from([&entry.name.value]);
        while let Some(mut top) = open.pop() {
            if let Some(inner) = self.proceed(&mut top, &path) {
                path.insert(&inner.name.value);
                open.extend([top, Open::new(inner)]);
                continue;
            }
            let name = &top.entry.name.value;
            let content: AddressSet = top.ranges.into();
            let resolved = (!content.is_empty()).then(|| Addresses::Set(self.sets.intern(name.as_str(), content)));
            self.done.insert(name, resolved);
            path.remove(name);
        }
        self.done.get(&entry.name.value).copied().flatten()
    }

    /// Takes in what the set holds, up to a set in it that is not resolved yet. `path` has the names of the sets that are open.
    fn proceed(&mut self, top: &mut Open<'a>, path: &HashSet<&'a Name>) -> Option<&'a Entry<SetSpec>> {
        let items = match &top.entry.value {
            SetSpec::File { ranges, .. } => {
                top.ranges.append(ranges);
                return None;
            }
            SetSpec::Inline(items) => items,
        };
        while let Some(item) = items.get(top.next) {
            if let AddressPattern::Set(name) = &item.value
                && let Some(&inner) = self.specs.get(name)
                && !self.done.contains_key(name)
            {
                if !path.contains(name) {
                    return Some(inner);
                }
                let diagnostic = finding::set_of_sets::circular(name.as_str(), inner.name.place, item.place);
                self.diagnostics.push(diagnostic);
            } else {
                self.item(item, &mut top.ranges);
            }
            top.next += 1;
        }
        None
    }

    fn item(&mut self, item: &Placed<AddressPattern>, into: &mut AddressRanges) {
        match &item.value {
            AddressPattern::Range(range) => into.push(*range),
            AddressPattern::Any => self.diagnostics.push(finding::set_of_sets::star(item.place)),
            AddressPattern::Set(_) => {
                if let Some(Addresses::Set(id)) = self.pattern(&item.value, item.place) {
                    let set = self.sets.kept.get(id);
                    let before = self.copied;
                    self.copied = before.saturating_add(set.v4.ranges().len() + set.v6.ranges().len());
                    if self.copied > MOST_COPIED {
                        if before <= MOST_COPIED {
                            self.diagnostics.push(finding::set_of_sets::too_large(item.place, MOST_COPIED));
                        }
                        return;
                    }
                    into.append_set(set);
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
                Some(&entry) => self.set(entry),
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
        let mut ranges = AddressRanges::default();
        for item in items {
            self.item(item, &mut ranges);
        }
        let set: AddressSet = ranges.into();
        (!set.is_empty()).then(|| Addresses::Set(self.sets.intern(label, set)))
    }
}
