//! Names that are unique and short enough.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::digits::decimal;

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
    /// All but those of series.
    taken: HashSet<Arc<str>>,
    numbers: HashMap<String, u32>,
    /// The last numbers of series, by their stems.
    series: HashMap<String, u32>,
}

/// Numbered names of one stem. While it gives them out, nobody else does.
#[derive(Debug)]
pub(super) struct Series {
    pub stem: String,
    last: u32,
    /// Numbers that would make a name that is taken.
    taken: Vec<u32>,
}

impl Series {
    pub fn next(&mut self) -> u32 {
        self.last += 1;
        while self.taken.contains(&self.last) {
            self.last += 1;
        }
        self.last
    }

    /// Appends the name with this number.
    pub fn write(&self, number: u32, text: &mut Vec<u8>) {
        text.extend_from_slice(self.stem.as_bytes());
        text.push(b'-');
        decimal(text, number);
    }
}

impl Names {
    pub fn new(longest: usize) -> Self {
        Names { longest, taken: HashSet::new(), numbers: HashMap::new(), series: HashMap::new() }
    }

    /// `stem` with `tail` behind it if it is free and fits; else the stem is cut or numbered.
    pub fn unique(&mut self, stem: &str, tail: &str) -> Arc<str> {
        let plain = format!("{stem}{tail}");
        if plain.len() <= self.longest && !self.taken.contains(plain.as_str()) && !self.is_in_series(&plain) {
            let name: Arc<str> = plain.into();
            self.taken.insert(Arc::clone(&name));
            return name;
        }
        self.numbered(stem, tail)
    }

    /// `stem` and a number, from 1.
    fn numbered(&mut self, stem: &str, tail: &str) -> Arc<str> {
        let cut = self.cut(stem, tail);
        let counted = if tail.is_empty() { Cow::Borrowed(cut) } else { Cow::Owned(format!("{cut}{tail}")) };
        let mut number = self.numbers.get(&*counted).copied().unwrap_or(0);
        let name = loop {
            number += 1;
            let name: Arc<str> = format!("{cut}-{number}{tail}").into();
            if self.taken.insert(Arc::clone(&name)) {
                break name;
            }
        };
        self.numbers.insert(counted.into_owned(), number);
        name
    }

    /// Begins to give out names that are `stem` and a number, from 1; to be given back when all are given out.
    pub fn series(&self, stem: &str) -> Series {
        let stem = self.cut(stem, "").to_string();
        let number = |name: &Arc<str>| numbered(name).filter(|&(of, _)| of == stem).map(|(_, number)| number);
        let taken = self.taken.iter().filter_map(number).collect();
        Series { last: self.numbers.get(&stem).copied().unwrap_or(0), stem, taken }
    }

    pub fn end(&mut self, series: Series) {
        self.numbers.insert(series.stem.clone(), series.last);
        self.series.insert(series.stem, series.last);
    }

    /// What a number can be put behind. Numbers count by this, so that many long stems do not try the same names again and again.
    fn cut<'s>(&self, stem: &'s str, tail: &str) -> &'s str {
        let room = self.longest.saturating_sub(NUMBER + tail.len());
        stem.char_indices().nth(room).and_then(|(end, _)| stem.get(..end)).unwrap_or(stem)
    }

    fn is_in_series(&self, name: &str) -> bool {
        numbered(name).is_some_and(|(stem, number)| self.series.get(stem).is_some_and(|&last| number <= last))
    }
}

/// The stem and number of a name that has both.
fn numbered(name: &str) -> Option<(&str, u32)> {
    let (stem, digits) = name.rsplit_once('-')?;
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    Some((stem, digits.parse().ok().filter(|_| is_plain)?))
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

    #[test]
    fn series_go_around_names_that_are_taken_and_are_taken_themselves() {
        let mut names = Names::new(28);
        names.unique("fwc-in-udp", "");
        names.unique("fwc-in-udp-2", "");
        names.unique("fwc-in-udp-04", "");
        let mut series = names.series("fwc-in-udp");
        let given: Vec<u32> = (0..3).map(|_| series.next()).collect();
        assert_eq!(given, [1, 3, 4]);
        let mut name = b"-A ".to_vec();
        series.write(4, &mut name);
        assert_eq!(name, b"-A fwc-in-udp-4");
        names.end(series);
        // The next run of the same lines: its stem is numbered behind the series, and so are its own names.
        assert_eq!(&*names.unique("fwc-in-udp", ""), "fwc-in-udp-5");
        assert_eq!(&*names.unique("fwc-in-udp-3", ""), "fwc-in-udp-3-1");
        assert_eq!(names.series("fwc-in-udp").next(), 6);
        assert_eq!(names.series("fwc-in-udp-5").next(), 1);
    }
}
