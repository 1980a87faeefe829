//! fwc's own nft text, as it writes it and as nft lists it again.
//!
//! It reads what fwc writes (`crate::backend::nft`), not all of nft. What it does not know is told as [`Unread`], or stands in its rule as
//! [`crate::dump::Test::Opaque`] and [`crate::dump::Verdict::Unknown`]: from the first word that is not understood to the end of the rule.

mod conditions;
mod cursor;
mod lexer;
mod names;
mod rules;
mod selectors;
mod sets;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use self::cursor::Cursor;
use self::lexer::Kind;
use self::sets::Known;
use self::tables::Table;
use super::{Chain, ChainId, Dump, Unread};
use crate::net::Family;
use crate::source::{FileId, Place};

/// Reads a text. Places are in `file`, which is to be this text.
#[must_use]
pub fn read(file: FileId, text: &str) -> Dump {
    let Ok(end) = u32::try_from(text.len()) else {
        let unread = vec![Unread {
            place: Place { file, start: 0, end: u32::MAX },
            why: "longer than a text can be".to_string(),
        }];
        return Dump { chains: Vec::new(), families: Family::BOTH.to_vec(), unread };
    };
    let tokens = lexer::tokens(text);
    let mut unread = Vec::new();
    // It swallows what stands behind it, so all of that is in doubt.
    if let Some(open) = tokens.last().filter(|token| token.kind == Kind::Open) {
        let place = Place { file, start: open.start, end };
        unread.push(Unread { place, why: "the quote has no end".to_string() });
    }
    let mut reader = Text { cursor: Cursor::new(file, text, &tokens), tables: Vec::new(), unread };
    reader.statements();
    reader.finish()
}

/// A text while it is read.
struct Text<'t> {
    cursor: Cursor<'t>,
    tables: Vec<Table>,
    unread: Vec<Unread>,
}

impl Text<'_> {
    /// Tells what was not understood, from a token to the last one that was taken.
    fn unread(&mut self, from: usize, why: &str) {
        self.unread.push(Unread { place: self.cursor.place(from), why: why.to_string() });
    }

    /// The same for the statement that begins here, and goes on behind it.
    fn unread_statement(&mut self, why: &str) {
        let from = self.cursor.at();
        self.cursor.pass_statement();
        self.unread(from, why);
    }

    /// Reads the rules: by now every set and chain is known.
    fn finish(mut self) -> Dump {
        let mut chains = Vec::new();
        for table in std::mem::take(&mut self.tables) {
            let first = chains.len();
            let ids = |(index, chain): (usize, &tables::ChainText)| (chain.name.clone(), ChainId(first + index));
            let chain_ids: HashMap<String, ChainId> = table.chains.iter().enumerate().map(ids).collect();
            let sets: HashMap<String, Known> = table.sets.into_iter().map(sets::Set::close).collect();
            for chain in table.chains {
                let base = chain.base();
                let known = rules::Known { sets: &sets, chains: &chain_ids };
                let rules = chain.rules.iter().map(|&at| rules::rule(&mut self.cursor, at, &known)).collect();
                let (table, family) = (table.name.clone(), table.family);
                chains.push(Chain { table, family, name: chain.name, base, rules, place: chain.place });
            }
        }
        let mut dump = Dump { chains, families: Family::BOTH.to_vec(), unread: self.unread };
        dump.break_cycles();
        dump
    }
}

/// Behind `counter`: what it has counted, which counts for nothing here.
fn counter(cursor: &mut Cursor) {
    let from = cursor.at();
    let mut figure = |word| cursor.take(&[word]) && cursor.word().is_some_and(|word| word.parse::<u64>().is_ok());
    if !(figure("packets") && figure("bytes")) {
        cursor.go(from);
    }
}
