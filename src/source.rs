//! Texts and places in them.
//!
//! Everything that a person wrote keeps its [`Place`], so that a diagnostic can point at the exact token.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

/// Which text a place is in: an index into [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

impl FileId {
    /// Its place among the texts of [`Sources::iter`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A span of bytes in one text, end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The text.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Place {
    /// The part of this place that `range` (bytes, relative to its start) covers.
    ///
    /// Used for a mistake inside a scalar. Falls back to the whole place when the range does not fit,
    /// as with escapes in a quoted scalar.
    #[must_use]
    pub fn part(self, range: &std::ops::Range<usize>) -> Place {
        let (Ok(from), Ok(to)) = (u32::try_from(range.start), u32::try_from(range.end)) else {
            return self;
        };
        let (start, end) = (self.start.saturating_add(from), self.start.saturating_add(to));
        if start < end && end <= self.end { Place { start, end, ..self } } else { self }
    }
}

/// A value with the place where it was written. Places never count in equality.
#[derive(Debug, Clone, Copy)]
pub struct Placed<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub place: Place,
}

impl<T> Placed<T> {
    /// Ties a value to its place.
    pub fn new(value: T, place: Place) -> Self {
        Placed { value, place }
    }

    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Placed<U> {
        Placed::new(change(self.value), self.place)
    }
}

impl<T: PartialEq> PartialEq for Placed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Placed<T> {}

/// The texts that make a spec up, kept apart from the files that they were read from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    /// The folder to which paths in the spec are relative.
    pub folder: String,
    /// The spec's files, in the order read.
    pub specs: Vec<Source>,
    /// The files of its sets.
    pub sets: Vec<Source>,
}

/// One text: a spec file, a set file, standard input, or a packet given on the command line.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The name that a person knows it by: the path as given, `<stdin>`, …
    pub name: String,
    /// Its content.
    pub text: Text,
}

/// The content of a text, which may be large: clones share it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Text(#[serde(serialize_with = "content")] Arc<String>);

fn content<S: Serializer>(text: &Arc<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl Text {
    /// The content.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes, copied if somebody else has the text as well.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        Arc::unwrap_or_clone(self.0).into_bytes()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text(Arc::new(text))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text::from(text.to_string())
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({}, {} bytes)", self.name, self.text.len())
    }
}

/// All texts that one run has read.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Takes a text in and gives its id. Texts are at most 4 GiB: the reader's limits are far below.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Text>) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(Source { name: name.into(), text: text.into() });
        id
    }

    /// The text behind an id.
    #[must_use]
    pub fn get(&self, id: FileId) -> Option<&Source> {
        self.files.get(id.0 as usize)
    }

    /// All texts, in the order in which they were read.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.files.iter()
    }

    /// The text at a place; empty where the place is not in the text.
    #[must_use]
    pub fn at(&self, place: Place) -> &str {
        self.get(place.file).and_then(|source| source.text.get(place.start as usize..place.end as usize)).unwrap_or("")
    }

    /// A place that covers a whole text.
    #[must_use]
    pub fn whole(&self, file: FileId) -> Place {
        let end = self.get(file).map_or(0, |source| source.text.len());
        Place { file, start: 0, end: u32::try_from(end).unwrap_or(u32::MAX) }
    }

    /// `name:line:column` of a place, counted from 1, columns in characters.
    #[must_use]
    pub fn position(&self, place: Place) -> Position<'_> {
        let Some(source) = self.get(place.file) else {
            return Position { name: "", line: 0, column: 0 };
        };
        let before = source.text.get(..place.start as usize).unwrap_or("");
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Position {
            name: &source.name,
            line: before.bytes().filter(|&byte| byte == b'\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
        }
    }
}

/// A place as a person reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position<'a> {
    /// The text's name.
    pub name: &'a str,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.name, self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_one_in_characters() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", "größe: 1\nports: 2\n");
        let at = sources.text_place(file, "2");
        assert_eq!(sources.position(at).to_string(), "a.yaml:2:8");
        let one = sources.text_place(file, "1");
        assert_eq!(sources.position(one).column, 8);
    }

    #[test]
    fn a_part_that_does_not_fit_is_the_whole() {
        let mut sources = Sources::default();
        let file = sources.add("a", "abcdef");
        let place = Place { file, start: 1, end: 4 };
        assert_eq!(sources.at(place.part(&(1..2))), "c");
        assert_eq!(place.part(&(1..9)), place);
        assert_eq!(place.part(&(2..2)), place);
    }

    impl Sources {
        fn text_place(&self, file: FileId, needle: &str) -> Place {
            let start = self.get(file).unwrap().text.rfind(needle).unwrap();
            let start = u32::try_from(start).unwrap();
            Place { file, start, end: start + u32::try_from(needle.len()).unwrap() }
        }
    }
}
