//! Reading nodes as what they should be: mappings with known keys, lists, values. Each mistake is reported where it is
//! found, and reading goes on.

use std::collections::{HashMap, hash_map};
use std::fmt;
use std::str::FromStr;

use super::report::Report;
use super::syntax;
use super::tree::{Shape, Style, Tree, View};
use crate::diagnostic::finding::{
    self, empty, given_twice, missing_key, not_yaml, number, unknown_key, word, wrong_shape,
};
use crate::diagnostic::nearest;
use crate::hash::Seeded;
use crate::net::{AddressPattern, Invalid, Name, PortSet};
use crate::source::{Place, Placed};

/// Longest value in bytes: 65,535 ports fit.
const LONGEST_VALUE: usize = 512 * 1024;
/// What sysctls of conntrack take at most.
const MOST: u32 = 2_147_483_647;

/// What a whole run has seen, to its first place.
pub(super) type Seen = HashMap<Given, Place, Seeded>;

/// What a spec may hold once, in whichever of its files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Given {
    /// A section and a name in it.
    Entry(&'static str, Name),
    /// A section and a key of it.
    Key(&'static str, &'static str),
}

/// One file being read.
pub(super) struct Reader<'t, 'r> {
    pub(super) tree: &'t Tree<'t>,
    pub(super) report: &'r mut Report,
    pub(super) seen: &'r mut Seen,
    /// The keys that the unknown keys of the latest mapping were probably meant to be: they are not reported as missing.
    pub(super) meant: Vec<&'static str>,
}

/// Whose keys are read, for messages.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    /// `service`, or `` `policy` ``.
    pub(super) what: &'static str,
    /// Its name where it has one.
    pub(super) name: Option<&'a str>,
    /// The token that introduces it.
    pub(super) place: Place,
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, "{} `{name}`", self.what),
            None => f.write_str(self.what),
        }
    }
}

/// A key that the language knows, with its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) key: Place,
    pub(super) value: View,
}

impl Field {
    /// The key as messages call it; what stands for an item has a name with a blank.
    pub(super) fn title(&self) -> String {
        if self.name.contains(' ') { self.name.to_string() } else { format!("`{}`", self.name) }
    }

    /// The field as the owner of the keys below it.
    pub(super) fn owner(&self, what: &'static str) -> Owner<'static> {
        Owner { what, name: None, place: self.key }
    }
}

impl<'t> Reader<'t, '_> {
    /// The values of a mapping in the order of `keys`. `None` if it is no mapping.
    pub(super) fn fields<const N: usize>(
        &mut self,
        owner: &Owner<'_>,
        view: View,
        keys: &[&'static str; N],
    ) -> Option<[Option<Field>; N]> {
        if !self.is_mapping(owner, view, keys) {
            return None;
        }
        let mut found = [const { None }; N];
        self.meant.clear();
        for (key, value) in self.tree.pairs(view) {
            let Some(text) = self.key(key) else { continue };
            let known = keys.iter().zip(found.iter_mut()).find(|(known, _)| **known == text);
            match known {
                Some((&name, slot @ None)) => *slot = Some(Field { name, key: key.at, value }),
                Some((_, Some(Field { key: first, .. }))) => {
                    let help = "keep one of the two; a list holds several values";
                    self.report.add(given_twice::report(&format!("`{text}`"), help, *first, key.at));
                }
                None => self.unknown_key(text, owner, keys, key.at),
            }
        }
        Some(found)
    }

    fn unknown_key(&mut self, key: &str, owner: &Owner<'_>, known: &[&'static str], place: Place) {
        if self.report.is_full() {
            return self.report.skip(place);
        }
        self.meant.extend(nearest(key, known.iter().copied()));
        let diagnostic = match key {
            "<<" => unknown_key::merge_key(place),
            _ => unknown_key::report(key, &owner.to_string(), known, place),
        };
        self.report.add(diagnostic);
    }

    /// Whether it is a mapping with something in it; reports what it is otherwise.
    pub(super) fn is_mapping(&mut self, owner: &Owner<'_>, view: View, keys: &[&str]) -> bool {
        match self.tree.shape(view) {
            Shape::Map if self.tree.pairs(view).next().is_some() => return true,
            Shape::Map | Shape::Null => self.report.add(empty::report(&owner.to_string(), owner.place)),
            Shape::Bad => {}
            shape => {
                let help = match (owner.name, keys.first()) {
                    (Some(name), _) if keys.contains(&name) => {
                        format!("`{name}` is a key of a {0}: indent it below the {0}'s name", owner.what)
                    }
                    (_, Some(first)) => format!("write its keys below it, as in `{first}: ...`"),
                    (_, None) => "write each entry below it, as in `name: ...`".to_string(),
                };
                let place = self.tree.own_place(view);
                self.report.add(wrong_shape::report(&owner.to_string(), "a mapping", noun(shape), help, place));
            }
        }
        false
    }

    /// The text of a key.
    pub(super) fn key(&mut self, key: View) -> Option<&'t str> {
        let place = self.tree.own_place(key);
        match self.tree.shape(key) {
            Shape::Scalar(text, Style::Plain | Style::Quoted) => Some(text),
            Shape::Bad => None,
            Shape::Null => {
                self.report.add(not_yaml::syntax("a key is missing here", "write `key: value`", place));
                None
            }
            shape => {
                let help = "write `key: value`, and quote a value that starts with a bracket";
                self.report.add(
                    self.unquoted_endpoint(key)
                        .unwrap_or_else(|| wrong_shape::report("a key", "one word", noun(shape), help, place)),
                );
                None
            }
        }
    }

    /// Inside brackets, `[2001:db8::5]:53` is a mapping with a list as its key.
    fn unquoted_endpoint(&self, key: View) -> Option<crate::diagnostic::Diagnostic> {
        let place = self.tree.own_place(key);
        let end = place.end as usize;
        let start = syntax::bracketed_endpoint(self.tree.text(), end)?;
        let end = end + syntax::word_length(self.tree.text(), end);
        let whole = Place { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()?, ..place };
        Some(not_yaml::quoteless(self.tree.text().get(start..end)?, whole))
    }

    /// Notes that something is given, and reports it if it was before. `what` is what to call it then.
    pub(super) fn once(&mut self, given: Given, what: impl FnOnce() -> String, place: Place) -> bool {
        let help = match given {
            Given::Entry(..) => "remove one of the two, or give one another name",
            Given::Key(..) => "keep one of the two",
        };
        match self.seen.entry(given) {
            hash_map::Entry::Vacant(unseen) => {
                unseen.insert(place);
                true
            }
            hash_map::Entry::Occupied(first) => {
                self.report.add(given_twice::report(&what(), help, *first.get(), place));
                false
            }
        }
    }

    /// The field, or a report that it is missing. `example` is what to add.
    pub(super) fn required(
        &mut self,
        field: Option<Field>,
        owner: &Owner<'_>,
        key: &str,
        example: &str,
    ) -> Option<Field> {
        if field.is_none() && !self.meant.contains(&key) {
            let help = format!("add `{key}: {example}`");
            self.report.add(missing_key::report(&owner.to_string(), &format!("`{key}`"), help, owner.place));
        }
        field
    }

    /// The text of a single value.
    pub(super) fn text(&mut self, field: &Field) -> Option<(&'t str, Style)> {
        let place = self.tree.own_place(field.value);
        let what = || field.title();
        let one = "one value";
        match self.tree.shape(field.value) {
            Shape::Scalar(text, style @ (Style::Plain | Style::Quoted)) if text.len() <= LONGEST_VALUE => {
                return Some((text, style));
            }
            Shape::Scalar(text, Style::Block) if text.len() <= LONGEST_VALUE => {
                self.report.add(wrong_shape::report(&what(), one, "a block of text", "write it on one line", place));
            }
            Shape::Scalar(text, _) => {
                let found = format!("a text of {} bytes", text.len());
                self.report.add(wrong_shape::report(&what(), one, &found, "write a shorter one", place));
            }
            Shape::Null => self.report.add(empty::report(&what(), field.key)),
            Shape::List => {
                self.report.add(wrong_shape::report(&what(), one, "a list", "write the value without brackets", place));
            }
            Shape::Map => self.mapping_for_a_value(field, place),
            Shape::Bad => {}
        }
        None
    }

    /// A mapping where a value belongs: mostly a value that ends in `:` or holds `: `.
    fn mapping_for_a_value(&mut self, field: &Field, place: Place) {
        let first = self.tree.pairs(field.value).next();
        if let Some(diagnostic) = first.and_then(|(key, _)| self.unquoted_endpoint(key)) {
            return self.report.add(diagnostic);
        }
        let shapes = first.map(|(key, value)| (self.tree.shape(key), self.tree.shape(value)));
        let help = match shapes {
            Some((Shape::Scalar(key, Style::Plain), Shape::Null)) if syntax::is_address_like(key) => {
                let place = Place { end: place.end + 1, ..place };
                return self.report.add(not_yaml::quoteless(&format!("{key}:"), place));
            }
            Some((Shape::Scalar(key, Style::Plain), Shape::Scalar(value, _)))
                if syntax::is_address_like(key) && value.parse::<PortSet>().is_ok() =>
            {
                format!("write {key}:{value}, without a blank")
            }
            _ => "write one value without keys below it; quote a value that holds `: `".to_string(),
        };
        self.report.add(wrong_shape::report(&field.title(), "one value", "a mapping", help, place));
    }

    /// A single value.
    pub(super) fn value<T: FromStr<Err = Invalid>>(&mut self, field: &Field) -> Option<Placed<T>> {
        let (text, _) = self.text(field)?;
        match text.parse() {
            Ok(value) => Some(Placed::new(value, field.value.at)),
            Err(mistake) => {
                self.invalid(mistake, field.value);
                None
            }
        }
    }

    /// Reports a refused text at its node.
    pub(super) fn invalid(&mut self, mut mistake: Invalid, view: View) {
        if !self.tree.is_verbatim(view) {
            mistake.range = 0..0;
        }
        self.report.add(finding::invalid(&mistake, self.tree.own_place(view)));
    }

    /// One value or a list of them. Empty if all are refused.
    pub(super) fn values<T, L>(&mut self, field: &Field) -> L
    where
        T: FromStr<Err = Invalid>,
        L: FromIterator<Placed<T>>,
    {
        if self.tree.shape(field.value) != Shape::List {
            return self.value(field).into_iter().collect();
        }
        let mut items = self.tree.items(field.value).peekable();
        if items.peek().is_none() {
            self.report.add(empty::report(&field.title(), field.key));
        }
        items.filter_map(|value| self.value(&Field { key: value.at, value, ..*field })).collect()
    }

    /// A `from`: `None` where it is `*`, anyone.
    pub(super) fn sources(&mut self, field: &Field) -> Option<Placed<Vec<Placed<AddressPattern>>>> {
        let items: Vec<Placed<AddressPattern>> = self.values(field);
        let anyone = matches!(items.as_slice(), [Placed { value: AddressPattern::Any, .. }]);
        (!anyone).then(|| Placed::new(items, field.value.at))
    }

    /// `true` or `false`. A word that other YAML readers take for one of them is reported and taken as meant, so that it
    /// causes no second report.
    pub(super) fn truth(&mut self, field: &Field) -> Option<Placed<bool>> {
        let (text, style) = self.text(field)?;
        let value = match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        if value.is_none() || style != Style::Plain {
            let meant = match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" | "1" => Some(true),
                "false" | "no" | "off" | "n" | "0" => Some(false),
                _ => None,
            };
            let place = self.tree.own_place(field.value);
            self.report.add(wrong_shape::not_a_bool(&field.title(), text, meant, place));
            return meant.map(|meant| Placed::new(meant, field.value.at));
        }
        value.map(|value| Placed::new(value, field.value.at))
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, field: &Field, words: &[(&'static str, T)]) -> Option<Placed<T>> {
        let (text, _) = self.text(field)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let place = self.tree.own_place(field.value);
            self.report.add(word::report(&field.title(), text, &words, place));
        }
        found.map(|&(_, meaning)| Placed::new(meaning, field.value.at))
    }

    /// A number from 1 to 2147483647, which is what sysctls of conntrack take.
    pub(super) fn number(&mut self, field: &Field) -> Option<Placed<u32>> {
        let (text, _) = self.text(field)?;
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        let number = text.parse().ok().filter(|number| plain && (1..=MOST).contains(number));
        if number.is_none() {
            let place = self.tree.own_place(field.value);
            self.report.add(number::report(&field.title(), text, MOST, place));
        }
        number.map(|number| Placed::new(number, field.value.at))
    }
}

/// What a shape is called.
pub(super) fn noun(shape: Shape<'_>) -> &'static str {
    match shape {
        Shape::Scalar(..) => "a single value",
        Shape::Null => "empty",
        Shape::List => "a list",
        Shape::Map | Shape::Bad => "a mapping",
    }
}
