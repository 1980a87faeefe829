//! Lines of a text, found quickly.

/// Where the lines of a text start.
pub(super) struct Lines {
    /// Byte offsets, the first 0.
    starts: Vec<usize>,
    length: usize,
}

impl Lines {
    /// Looks through a text once.
    pub(super) fn of(text: &str) -> Lines {
        let ends = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1);
        Lines { starts: std::iter::once(0).chain(ends).collect(), length: text.len() }
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
        let before = text.get(self.range(line).0..byte).unwrap_or("");
        (line + 1, before.chars().count() + 1)
    }
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
}
