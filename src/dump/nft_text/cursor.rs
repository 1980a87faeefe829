//! A way through the tokens.

use super::lexer::{Kind, Token};
use crate::source::{FileId, Place};

/// Where the reader is in the text.
pub(super) struct Cursor<'t> {
    file: FileId,
    text: &'t str,
    tokens: &'t [Token],
    at: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(file: FileId, text: &'t str, tokens: &'t [Token]) -> Self {
        Cursor { file, text, tokens, at: 0 }
    }

    /// How many tokens are behind.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Back to (or on to) a token.
    pub(super) fn go(&mut self, at: usize) {
        self.at = at;
    }

    /// A token further on.
    pub(super) fn skip(&mut self) {
        self.at += 1;
    }

    /// The kind of the next token.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.tokens.get(self.at).map(|token| token.kind)
    }

    /// The next token as written; empty at the end.
    pub(super) fn peek(&self) -> &'t str {
        self.written(self.at)
    }

    /// A token as written, by its number.
    fn written(&self, at: usize) -> &'t str {
        let span = self.tokens.get(at).map(|token| token.start as usize..token.end as usize);
        span.and_then(|span| self.text.get(span)).unwrap_or("")
    }

    /// Takes these words and signs, if they are the next. A string is neither.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        let there = words.iter().enumerate().all(|(index, word)| {
            let at = self.at + index;
            self.tokens.get(at).is_some_and(|token| token.kind != Kind::Text) && self.written(at) == *word
        });
        if there {
            self.at += words.len();
        }
        there
    }

    /// Takes a word, if it is the next.
    pub(super) fn word(&mut self) -> Option<&'t str> {
        (self.kind() == Some(Kind::Word)).then(|| self.next())
    }

    /// Takes a string, if it is the next, and gives what is in the quotes.
    pub(super) fn string(&mut self) -> Option<&'t str> {
        (self.kind() == Some(Kind::Text)).then(|| self.next().trim_matches('"'))
    }

    fn next(&mut self) -> &'t str {
        let written = self.peek();
        self.at += 1;
        written
    }

    /// Past the ends of lines.
    pub(super) fn lines(&mut self) {
        while self.kind() == Some(Kind::Newline) {
            self.at += 1;
        }
    }

    /// Past the ends of lines and statements.
    pub(super) fn separators(&mut self) {
        while self.ends_statement() && self.kind().is_some() && !self.is_sign("}") {
            self.at += 1;
        }
    }

    /// Whether this sign is the next token.
    pub(super) fn is_sign(&self, sign: &str) -> bool {
        self.kind() == Some(Kind::Sign) && self.peek() == sign
    }

    /// Whether the statement ends here: a line's end, `;`, the block's `}` or the end of the text.
    pub(super) fn ends_statement(&self) -> bool {
        match self.kind() {
            None | Some(Kind::Newline) => true,
            Some(Kind::Sign) => matches!(self.peek(), ";" | "}"),
            _ => false,
        }
    }

    /// To the end of the statement, past blocks in it.
    pub(super) fn pass_statement(&mut self) {
        let mut depth = 0_usize;
        while self.kind().is_some() && (depth > 0 || !self.ends_statement()) {
            if self.is_sign("{") {
                depth += 1;
            } else if self.is_sign("}") {
                depth -= 1;
            }
            self.at += 1;
        }
    }

    /// The place from a token to the last one that was taken.
    pub(super) fn place(&self, from: usize) -> Place {
        let start = self.tokens.get(from).map(|token| token.start);
        let end = self.at.checked_sub(1).and_then(|last| self.tokens.get(last)).map(|token| token.end);
        let last = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        let start = start.unwrap_or(last);
        Place { file: self.file, start, end: end.unwrap_or(start).max(start) }
    }

    /// What stands at such a place, each run of blanks as one.
    pub(super) fn words(&self, from: usize) -> String {
        let place = self.place(from);
        let written = self.text.get(place.start as usize..place.end as usize).unwrap_or("");
        written.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}
