//! Words, strings and signs, with their places.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anything without blanks and signs: a name, an address, a range, the lone `.` between fields.
    Word,
    /// In quotes. The token's span has the quotes in it.
    Text,
    /// `{ } ( ) , ; = & | ! < > #` and what nft puts together of them: `==`, `!=`.
    Sign,
    /// The end of a line.
    Newline,
    /// A quote without its end: all that follows.
    Open,
}

/// A token: bytes of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    /// What it is.
    pub kind: Kind,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

const SIGNS: &[u8] = b"{}(),;=&|!<>";

/// The text's tokens. Comments are left out. Every token begins and ends between characters: what ends one is ASCII.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut found = Vec::with_capacity(bytes.len() / 6);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let (kind, length) = match byte {
            b'\n' => (Some(Kind::Newline), 1),
            b'\\' if rest.get(1) == Some(&b'\n') => (None, 2),
            b' ' | b'\t' | b'\r' => (None, 1),
            b'#' => (None, until(rest, |byte| byte == b'\n')),
            b'"' => match rest.iter().skip(1).position(|&byte| byte == b'"') {
                Some(inside) => (Some(Kind::Text), inside + 2),
                None => (Some(Kind::Open), rest.len()),
            },
            b'=' | b'!' if rest.get(1) == Some(&b'=') => (Some(Kind::Sign), 2),
            byte if SIGNS.contains(&byte) => (Some(Kind::Sign), 1),
            _ => (Some(Kind::Word), until(rest, ends_a_word)),
        };
        // The caller has made sure that a place can say it.
        if let (Some(kind), Ok(start), Ok(end)) = (kind, u32::try_from(at), u32::try_from(at + length)) {
            found.push(Token { kind, start, end });
        }
        at += length;
    }
    found
}

fn ends_a_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'#') || SIGNS.contains(&byte)
}

fn until(bytes: &[u8], end: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&byte| end(byte)).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        tokens(text).iter().map(|token| &text[token.start as usize..token.end as usize]).collect()
    }

    #[test]
    fn a_line_falls_into_words_signs_and_strings() {
        let line = "ip saddr != { 10.0.0.0/8,::1-::2 } \"é # x\" a.b . c # rest\nx==y";
        let expected = [
            "ip",
            "saddr",
            "!=",
            "{",
            "10.0.0.0/8",
            ",",
            "::1-::2",
            "}",
            "\"é # x\"",
            "a.b",
            ".",
            "c",
            "\n",
            "x",
            "==",
            "y",
        ];
        assert_eq!(words(line), expected);
    }

    #[test]
    fn a_quote_without_an_end_takes_the_rest() {
        let text = "a \"b\nc";
        assert_eq!(tokens(text).last(), Some(&Token { kind: Kind::Open, start: 2, end: 6 }));
    }
}
