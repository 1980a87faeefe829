//! Where the mistakes of one run are collected.

use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::too_many;
use crate::source::Place;

/// Mistakes that are kept. More help nobody, and each costs memory.
const MOST: usize = 1_000;
/// Longest message or help in characters. A refused value may be megabytes long.
const LONGEST: usize = 400;

/// The mistakes so far.
#[derive(Default)]
pub(super) struct Report {
    found: Vec<Diagnostic>,
    /// The first one that was not kept.
    beyond: Option<Place>,
    /// A file could not be read as a whole, so there is no spec to go on with.
    pub(super) broken: bool,
}

impl Report {
    /// Whether further mistakes are only counted as "more".
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= MOST
    }

    /// Counts a mistake at `place` that will not be kept.
    pub(super) fn skip(&mut self, place: Place) {
        self.beyond.get_or_insert(place);
    }

    /// Takes a mistake in.
    pub(super) fn add(&mut self, mut diagnostic: Diagnostic) {
        if self.is_full() {
            self.beyond = self.beyond.or(diagnostic.labels.first().map(|label| label.place));
            return;
        }
        clip(&mut diagnostic.message);
        clip(&mut diagnostic.help);
        self.found.push(diagnostic);
    }

    /// Takes a mistake in that leaves nothing of its file to go on with.
    pub(super) fn add_fatal(&mut self, diagnostic: Diagnostic) {
        self.broken = true;
        self.add(diagnostic);
    }

    /// The mistakes in the order of their places, each once: an anchored value is read again for each alias.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        if let Some(place) = self.beyond {
            self.found.push(too_many::report(MOST, place));
        }
        crate::diagnostic::sort(&mut self.found);
        self.found.dedup_by(|a, b| a.finding == b.finding && a.labels == b.labels && a.help == b.help);
        self.found
    }
}

/// Cuts the middle out of a long text.
fn clip(text: &mut String) {
    if text.len() <= LONGEST {
        return;
    }
    let head: String = text.chars().take(LONGEST * 3 / 4).collect();
    let mut tail: Vec<char> = text.chars().rev().take(LONGEST / 4).collect();
    tail.reverse();
    *text = format!("{head} ... {}", String::from_iter(tail));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::finding::word;
    use crate::source::Sources;

    #[test]
    fn a_flood_is_cut_and_said_to_be_cut() {
        let mut sources = Sources::default();
        let file = sources.add("a", "abc");
        let mut report = Report::default();
        for start in 0..3_000 {
            let place = Place { file, start, end: start + 1 };
            report.add(Diagnostic::new(&word::FINDING, "x".repeat(10_000), "y").at(place, ""));
        }
        let found = report.finish();
        assert_eq!(found.len(), MOST + 1);
        assert_eq!(found.last().unwrap().finding.code, too_many::FINDING.code);
        assert!(found.iter().all(|diagnostic| diagnostic.message.len() < 2 * LONGEST));
    }
}
