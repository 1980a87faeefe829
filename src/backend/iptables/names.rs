//! Names that are unique and short enough.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::text::decimal;

/// Bytes of a chain's name (`XT_EXTENSION_MAXNAMELEN` - 1 of the kernel).
pub(super) const CHAIN: usize = 28;
/// Bytes of an ipset's name (`IPSET_MAXNAMELEN` - 1 of the kernel).
pub(super) const IPSET: usize = 31;

/// Bytes that are kept for a number: a dash and six digits.
const NUMBER: usize = 7;

/// Gives each name out once.
#[derive(Debug)]
pub(super) struct Names {
    longest: usize,
    taken: HashSet<Arc<str>>,
    numbers: HashMap<String, u32>,
}

impl Names {
    pub fn new(longest: usize) -> Self {
        Names { longest, taken: HashSet::new(), numbers: HashMap::new() }
    }

    /// `stem` with `tail` behind it if it is free and fits; else the stem is cut or numbered.
    pub fn unique(&mut self, stem: &str, tail: &str) -> Arc<str> {
        let plain = format!("{stem}{tail}");
        if plain.len() <= self.longest && !self.taken.contains(plain.as_str()) {
            return Self::take(&mut self.taken, plain);
        }
        self.numbered(stem, tail)
    }

    /// `stem` and a number, from 1.
    pub fn numbered(&mut self, stem: &str, tail: &str) -> Arc<str> {
        let room = self.longest.saturating_sub(NUMBER + tail.len());
        // Numbers count by what is left of the stem, so that many long stems do not try the same names again and again.
        let cut = stem.char_indices().nth(room).and_then(|(end, _)| stem.get(..end)).unwrap_or(stem);
        let counted = if tail.is_empty() { Cow::Borrowed(cut) } else { Cow::Owned(format!("{cut}{tail}")) };
        let mut number = self.numbers.get(&*counted).copied().unwrap_or(0);
        let name = loop {
            number += 1;
            let mut name = String::with_capacity(self.longest);
            [cut, "-"].into_iter().for_each(|part| name.push_str(part));
            decimal(&mut name, number);
            name.push_str(tail);
            let name: Arc<str> = name.into();
            if self.taken.insert(Arc::clone(&name)) {
                break name;
            }
        };
        match self.numbers.get_mut(&*counted) {
            Some(last) => *last = number,
            None => drop(self.numbers.insert(counted.into_owned(), number)),
        }
        name
    }

    fn take(taken: &mut HashSet<Arc<str>>, name: String) -> Arc<str> {
        let name: Arc<str> = name.into();
        taken.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_short() {
        let mut names = Names::new(15);
        let given = [
            names.unique("fwc-a", "-4"),
            names.unique("fwc-a", "-4"),
            names.unique("fwc-a-1", "-4"),
            names.unique("fwc-much-too-long", "-4"),
            names.unique("fwc-much-too-long-too", "-4"),
            names.numbered("fwc-a", ""),
        ];
        let words: Vec<&str> = given.iter().map(|name| &**name).collect();
        assert_eq!(words, ["fwc-a-4", "fwc-a-1-4", "fwc-a--1-4", "fwc-mu-1-4", "fwc-mu-2-4", "fwc-a-1"]);
    }
}
