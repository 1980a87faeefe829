//! The text of a set file: one address, prefix or range a line.

use super::parsers;
use super::report::Report;
use crate::diagnostic::finding::set_file;
use crate::net::{AddrRange, AddressRanges, Invalid, Mistake};
use crate::source::{FileId, Place};
use crate::threads;

/// Bad lines of one file that are reported one by one.
const MOST_SHOWN: usize = 20;
/// Most ranges of one file, so that memory stays bounded.
const MOST_RANGES: usize = 5_000_000;
/// Longest line in bytes.
const LONGEST_LINE: usize = 256;

/// What a set file holds.
pub(super) struct Content {
    /// Its ranges, in the file's order.
    pub(super) ranges: AddressRanges,
    bad: Vec<(Invalid, usize)>,
    more_bad: usize,
    first_not_shown: usize,
    /// Where the file became too long.
    too_long: Option<usize>,
}

impl Content {
    /// Whether there is anything to report.
    pub(super) fn is_good(&self) -> bool {
        self.bad.is_empty() && self.too_long.is_none()
    }

    /// Reports the bad lines. `from` is the token that names the file.
    pub(super) fn report(&self, file: FileId, from: Place, report: &mut Report) {
        let place = |start: usize, end: usize| {
            let cut = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
            Place { file, start: cut(start), end: cut(end) }
        };
        for (invalid, start) in &self.bad {
            let place = place(start + invalid.range.start, start + invalid.range.end);
            report.add(set_file::line(invalid, place, from));
        }
        if self.more_bad > 0 {
            let place = place(self.first_not_shown, self.first_not_shown + 1);
            report.add(set_file::more(self.more_bad, place, from));
        }
        if let Some(start) = self.too_long {
            report.add(set_file::too_many(MOST_RANGES, place(start, start + 1), from));
        }
    }
}

/// Reads the lines.
pub(super) fn read(text: &str) -> Content {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    in_parts(body).unwrap_or_else(|| lines(body, text.len() - body.len()))
}

/// Reads a large file by several threads, if there is nothing to report: where something stands is for one reader to say.
fn in_parts(text: &str) -> Option<Content> {
    let parts = parsers(text);
    let mut rest = text;
    let mut parts: Vec<&str> = (1..parts)
        .filter_map(|part| {
            let wanted = (text.len() / parts * part).checked_sub(text.len() - rest.len())?;
            let end = wanted + rest.as_bytes().get(wanted..)?.iter().position(|&byte| byte == b'\n')? + 1;
            let (head, tail) = rest.split_at_checked(end)?;
            rest = tail;
            Some(head)
        })
        .collect();
    if parts.is_empty() {
        return None;
    }
    parts.push(rest);
    let contents = threads::each(&parts, |part| lines(part, 0));
    let is_good = contents.iter().all(Content::is_good);
    let all = contents.into_iter().reduce(|mut all, more| {
        all.ranges.append(&more.ranges);
        all
    });
    all.filter(|all| is_good && all.ranges.len() <= MOST_RANGES)
}

/// Reads the lines of a text that begins at `offset` in its file, in bytes.
fn lines(text: &str, mut offset: usize) -> Content {
    let ranges = AddressRanges::default();
    let mut content = Content { ranges, bad: Vec::new(), more_bad: 0, first_not_shown: 0, too_long: None };
    for line in text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        let value = line.split('#').next().unwrap_or("").trim_end();
        let bare = value.trim_start();
        if bare.is_empty() {
            continue;
        }
        let start = start + value.len() - bare.len();
        match item(bare) {
            Ok(_) if content.ranges.len() == MOST_RANGES => {
                content.too_long = Some(start);
                break;
            }
            Ok(range) => content.ranges.push(range),
            Err(invalid) if content.bad.len() < MOST_SHOWN => content.bad.push((invalid, start)),
            Err(_) => {
                if content.more_bad == 0 {
                    content.first_not_shown = start;
                }
                content.more_bad += 1;
            }
        }
    }
    content
}

fn item(text: &str) -> Result<AddrRange, Invalid> {
    if text.len() > LONGEST_LINE {
        return Err(Invalid::whole(
            Mistake::Address,
            text,
            format!("the line has {} bytes, and no address is longer than {LONGEST_LINE}", text.len()),
            "write one address, prefix or a-b range a line",
        ));
    }
    text.parse()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn comments_blanks_and_line_ends() {
        let content =
            read("\u{feff}# head\r\n192.0.2.1 # why\r\n\r\n\t192.0.2.0/24\n192.0.2.1-192.0.2.9\n2001:db8::/32");
        assert!(content.is_good());
        let mut expected = AddressRanges::default();
        for range in ["192.0.2.1", "192.0.2.0/24", "192.0.2.1-192.0.2.9", "2001:db8::/32"] {
            expected.push(range.parse().unwrap());
        }
        assert_eq!(content.ranges, expected);
    }

    #[test]
    fn large_files_are_read_in_parts_that_are_the_whole() {
        let line = |at: u32| match at % 3 {
            0 => format!("{} # {at}\n", Ipv4Addr::from_bits(at)),
            1 => format!("2001:db8::{at:x}\n"),
            _ => format!("{0}-{0}\r\n", Ipv4Addr::from_bits(at)),
        };
        let text: String = (1..20_000).map(line).collect();
        let whole = lines(&text, 0);
        assert!(in_parts(&text).is_none_or(|parts| parts.ranges == whole.ranges));
        assert_eq!((read(&text).ranges, whole.ranges.len()), (whole.ranges, 19_999));
        let bad = format!("{text}nonsense\n");
        assert!(in_parts(&bad).is_none());
        assert_eq!(read(&bad).bad.first().map(|(_, start)| *start), Some(text.len()));
    }

    #[test]
    fn bad_lines_are_placed_and_counted() {
        let text = format!("192.0.2.1\n  192.0.2.300\n{}", "x\n".repeat(30));
        let content = read(&text);
        let (first, start) = &content.bad[0];
        assert_eq!(&text[start + first.range.start..start + first.range.end], "192.0.2.300");
        assert_eq!((content.bad.len(), content.more_bad), (20, 11));
        assert!(text[content.first_not_shown..].starts_with("x\n"));
        assert!(!read(&"1".repeat(1_000_000)).is_good());
    }
}
