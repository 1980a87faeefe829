//! Names for sets and chains.

use std::collections::HashSet;

/// The names that are taken.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
}

/// The kernel allows 255 bytes; a name that long reads badly enough, and leaves room for a number.
const LONGEST: usize = 100;

impl Names {
    /// A name that nobody else has: the one wished for, or with a number from 2 behind it. What nft would not read as a name becomes `_`.
    pub(super) fn unique(&mut self, wish: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let base: String = wish.chars().map(|c| if plain(c) { c } else { '_' }).take(LONGEST).collect();
        let mut name = base.clone();
        let mut number = 2;
        while !self.taken.insert(name.clone()) {
            name = format!("{base}_{number}");
            number += 1;
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_wishes_get_numbers() {
        let mut names = Names::default();
        assert_eq!(names.unique("a_v4"), "a_v4");
        assert_eq!(names.unique("a_v4"), "a_v4_2");
        assert_eq!(names.unique("on_eth0.5"), "on_eth0_5");
        assert_eq!(names.unique("on_eth0@5"), "on_eth0_5_2");
    }
}
