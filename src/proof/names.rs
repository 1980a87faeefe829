//! Interfaces, divided into those that rules name and the rest.

use crate::dump::InterfacePattern;

/// One class for each name, one for the other names that each pattern matches, one for all the rest.
#[derive(Debug, Clone)]
pub struct Names {
    /// A name of each class; the last class is the rest.
    examples: Vec<String>,
    /// How many of the examples are exact names.
    exact: usize,
}

/// Loopback: every space tells it apart.
pub const LOOPBACK: &str = "lo";

impl Names {
    /// From all the patterns that rules ask for.
    #[must_use]
    pub fn of(patterns: &[InterfacePattern]) -> Self {
        let mut exact: Vec<String> = patterns.iter().filter(|one| !one.prefix).map(|one| one.name.clone()).collect();
        exact.push(LOOPBACK.to_string());
        exact.sort_unstable();
        exact.dedup();
        let mut prefixes: Vec<&str> = patterns.iter().filter(|one| one.prefix).map(|one| one.name.as_str()).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        let count = exact.len();
        let mut examples = exact;
        // An example of a pattern must not match a longer one: no interface in a rule has this character in its name.
        examples
            .extend(prefixes.into_iter().filter(|prefix| !prefix.is_empty()).map(|prefix| format!("{prefix}\u{1}")));
        examples.push("\u{1}".to_string());
        Names { examples, exact: count }
    }

    /// Bits that the number of a class takes.
    #[must_use]
    pub fn bits(&self) -> u32 {
        usize::BITS - (self.examples.len() - 1).leading_zeros()
    }

    /// The classes of the names that match, as sorted intervals. Numbers behind the last class stand for the last.
    #[must_use]
    pub fn classes(&self, patterns: &[InterfacePattern]) -> Vec<(usize, usize)> {
        let last = self.examples.len() - 1;
        let end = (1usize << self.bits()) - 1;
        let matching = (0..).zip(&self.examples).filter(|(_, name)| patterns.iter().any(|one| one.matches(name)));
        matching.map(|(class, _)| (class, if class == last { end } else { class })).collect()
    }

    /// All names but the rest.
    #[must_use]
    pub fn named(&self) -> Vec<InterfacePattern> {
        let all = self.examples.iter().take(self.examples.len() - 1);
        all.map(|name| InterfacePattern { name: name.clone(), prefix: false }).collect()
    }

    /// The name of a class, made up where there is a pattern only; `None` of the rest.
    #[must_use]
    pub fn name(&self, class: usize) -> Option<String> {
        let example = self.examples.get(class).filter(|_| class + 1 < self.examples.len())?;
        Some(if class < self.exact { example.clone() } else { example.replace('\u{1}', "0") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(name: &str, prefix: bool) -> InterfacePattern {
        InterfacePattern { name: name.to_string(), prefix }
    }

    #[test]
    fn every_name_has_one_class() {
        let names = Names::of(&[pattern("eth0", false), pattern("eth", true), pattern("e", true)]);
        // eth0, lo, e*, eth*, the rest.
        assert_eq!(names.bits(), 3);
        assert_eq!(names.classes(&[pattern("eth0", false)]), [(0, 0)]);
        assert_eq!(names.classes(&[pattern("eth", true)]), [(0, 0), (3, 3)]);
        assert_eq!(names.classes(&[pattern("e", true)]), [(0, 0), (2, 2), (3, 3)]);
        assert_eq!(names.classes(&[pattern("", true)]), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 7)]);
        assert_eq!(names.name(3).as_deref(), Some("eth0"));
        assert_eq!((names.name(1).as_deref(), names.name(4), names.name(7)), (Some("lo"), None, None));
    }
}
