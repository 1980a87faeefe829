//! The words of a line, with quotes taken off.

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// What it says.
    pub text: String,
    /// Whether it stood in quotes: then it is never an option.
    pub quoted: bool,
}

impl Word {
    /// Whether it begins an option or negates one.
    pub fn is_option(&self) -> bool {
        !self.quoted && (self.text == "!" || (self.text.len() > 1 && self.text.starts_with('-')))
    }
}

/// Cuts a line as iptables-restore does: blanks divide, double quotes keep together, a backslash takes the next character as it is.
/// `None`: a quote is not closed.
pub(super) fn cut(line: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = line.chars().peekable();
    loop {
        while rest.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            rest.next();
        }
        if rest.peek().is_none() {
            return Some(words);
        }
        let (mut text, mut quoted, mut open) = (String::new(), false, false);
        while let Some(&character) = rest.peek() {
            if character.is_ascii_whitespace() && !open {
                break;
            }
            rest.next();
            match character {
                '"' => {
                    open = !open;
                    quoted = true;
                }
                '\\' if quoted => text.extend(rest.next()),
                other => text.push(other),
            }
        }
        if open {
            return None;
        }
        words.push(Word { text, quoted });
    }
}
