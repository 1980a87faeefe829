//! Lines and columns of a text, found quickly, also where the text is one line of 60 MiB.

/// Bytes between two points where the characters so far are known.
const STEP: usize = 4096;

/// Where the lines of a text start.
pub(super) struct Lines {
    /// Byte offsets, the first 0.
    starts: Vec<usize>,
    /// Characters before each multiple of `STEP`; empty where all text is ASCII.
    characters: Vec<usize>,
    length: usize,
}

impl Lines {
    /// Looks through a text once.
    pub(super) fn of(text: &str) -> Lines {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(ends).collect();
        let mut characters = Vec::new();
        if !text.is_ascii() {
            let mut count = 0;
            characters.push(0);
            characters.extend(text.as_bytes().chunks(STEP).map(|chunk| {
                count += characters_in(chunk);
                count
            }));
        }
        Lines { starts, characters, length: text.len() }
    }

    /// The line of a byte, from 0.
    pub(super) fn line(&self, byte: usize) -> usize {
        self.starts.partition_point(|&start| start <= byte).saturating_sub(1)
    }

    /// The number of lines.
    pub(super) fn count(&self) -> usize {
        self.starts.len()
    }

    /// First byte of a line, and one past its last including the line end.
    pub(super) fn range(&self, line: usize) -> (usize, usize) {
        let start = self.starts.get(line).copied().unwrap_or(self.length);
        (start, self.starts.get(line + 1).copied().unwrap_or(self.length))
    }

    /// Line and column of a byte of `text`, both from 1, the column in characters.
    pub(super) fn position(&self, text: &str, byte: usize) -> (usize, usize) {
        let line = self.line(byte);
        let column = self.characters_before(text, byte) - self.characters_before(text, self.range(line).0);
        (line + 1, column + 1)
    }

    fn characters_before(&self, text: &str, byte: usize) -> usize {
        let byte = byte.min(self.length);
        if self.characters.is_empty() {
            return byte;
        }
        let step = byte / STEP;
        let rest = text.as_bytes().get(step * STEP..byte).unwrap_or_default();
        self.characters.get(step).copied().unwrap_or(0) + characters_in(rest)
    }
}

/// Bytes that start a character.
fn characters_in(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_agree_with_the_text() {
        let text = "größe: 1\r\n\nx";
        let lines = Lines::of(text);
        assert_eq!(lines.count(), 3);
        assert_eq!(lines.position(text, text.find('1').unwrap()), (1, 8));
        assert_eq!(lines.position(text, text.find('x').unwrap()), (3, 1));
        assert_eq!(lines.position(text, text.len()), (3, 2));
        assert_eq!(lines.range(9), (text.len(), text.len()));
    }

    #[test]
    fn columns_of_a_long_line_are_counted_in_characters() {
        let text = format!("x\n{}y", "ö".repeat(3 * STEP + 1));
        let lines = Lines::of(&text);
        assert_eq!(lines.position(&text, text.len() - 1), (2, 3 * STEP + 2));
    }
}
