//! The lines of a run, before it is known in which chains they stand.
//!
//! A line is written as soon as it is known. What is kept of it is its text and what the keys say of it, which is less than the line.

use std::mem;
use std::ops::Range;

use super::address::{Address, Span};
use super::line::{Detail, Line, Ports, Target};
use super::split::{KEYS, Key};
use super::text::Writer;

/// Bytes of a line, roughly.
const LENGTH: usize = 96;

/// Lines by their numbers, from 0.
pub(super) struct Lines<'a, A> {
    writer: Writer<A>,
    ends: Vec<Ends>,
    protocols: Vec<Option<u8>>,
    /// By key.
    spans: [Spans<A>; KEYS.len()],
    /// Lines with lists of ports, by their numbers.
    listed: Vec<Listed<'a, A>>,
    /// The ports of those.
    ports: Vec<(u16, u16)>,
    other_than_icmp: bool,
}

/// Where the text of a line ends: its conditions, its comment, and all of it. It begins where that of the line before ends.
#[derive(Clone, Copy, Default)]
struct Ends {
    conditions: usize,
    comment: usize,
    all: usize,
}

/// What a key says of lines, by their numbers. The last of them may be missing where they have not the key.
pub(super) struct Spans<A>(Vec<Span<A>>);

impl<A: Address> Spans<A> {
    /// Stands for nothing: it ends before it begins.
    const NONE: Span<A> = (A::MAX, A::MIN);

    fn set(&mut self, number: usize, span: Option<Span<A>>) {
        let Some(span) = span else { return };
        self.0.resize(number, Self::NONE);
        self.0.push(span);
    }

    pub fn get(&self, number: u32) -> Option<Span<A>> {
        self.0.get(number as usize).copied().filter(|&(first, last)| first <= last)
    }
}

/// A line with lists of ports, but for them and its target.
struct Listed<'a, A> {
    number: u32,
    line: Line<'static, 'a, A>,
    target: Target,
    source_ports: Range<usize>,
    destination_ports: Range<usize>,
}

impl<'a, A: Address> Lines<'a, A> {
    pub fn new() -> Self {
        Lines {
            writer: Writer::new(),
            ends: Vec::new(),
            protocols: Vec::new(),
            spans: KEYS.map(|_| Spans(Vec::new())),
            listed: Vec::new(),
            ports: Vec::new(),
            other_than_icmp: false,
        }
    }

    /// Makes room for the lines of another run, of so many rules.
    pub fn clear_for(&mut self, rules: usize) {
        self.writer.text.clear();
        self.writer.text.reserve(rules * LENGTH);
        self.ends.clear();
        self.ends.reserve(rules);
        self.protocols.clear();
        self.protocols.reserve(rules);
        self.spans.iter_mut().for_each(|spans| spans.0.clear());
        self.listed.clear();
        self.ports.clear();
        self.other_than_icmp = false;
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all their texts.
    pub fn length(&self) -> usize {
        self.writer.text.len()
    }

    /// The numbers of all.
    pub fn numbers(&self) -> Range<u32> {
        0..self.len() as u32
    }

    /// By number.
    pub fn protocols(&self) -> &[Option<u8>] {
        &self.protocols
    }

    pub fn are_icmp(&self) -> bool {
        !self.other_than_icmp
    }

    pub fn spans(&self, key: Key) -> &Spans<A> {
        &self.spans[key as usize]
    }

    /// Adds a line with the next number.
    pub fn push(&mut self, line: &Line<'_, 'a, A>) {
        let number = self.len();
        if line.source_ports.len() > 1 || line.destination_ports.len() > 1 {
            let (source_ports, destination_ports) = (self.keep(line.source_ports), self.keep(line.destination_ports));
            let (number, target) = (number as u32, line.target.clone());
            let line = line.without_ports();
            self.listed.push(Listed { number, line, target, source_ports, destination_ports });
        }
        self.writer.conditions(line);
        let conditions = self.writer.text.len();
        self.writer.comment(line.comment);
        let comment = self.writer.text.len();
        self.writer.target(line.target);
        self.ends.push(Ends { conditions, comment, all: self.writer.text.len() });
        self.protocols.push(line.protocol);
        for (key, spans) in KEYS.into_iter().zip(&mut self.spans) {
            spans.set(number, key.span(line));
        }
        self.other_than_icmp |= !matches!(line.detail, Detail::Icmp(_));
    }

    fn keep(&mut self, ports: Ports) -> Range<usize> {
        let start = self.ports.len();
        self.ports.extend_from_slice(ports);
        start..self.ports.len()
    }

    /// Appends the text of a line behind its chain's name.
    pub fn write(&self, number: u32, with_comment: bool, text: &mut Vec<u8>) {
        let Some((start, ends)) = self.place(number) else { return };
        let piece = |place| self.writer.text.get::<Range<usize>>(place).unwrap_or_default();
        if with_comment {
            text.extend_from_slice(piece(start..ends.all));
        } else {
            text.extend_from_slice(piece(start..ends.conditions));
            text.extend_from_slice(piece(ends.comment..ends.all));
        }
    }

    fn place(&self, number: u32) -> Option<(usize, Ends)> {
        let number = number as usize;
        let before = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        Some((before.all, *self.ends.get(number)?))
    }

    /// Whether any of these has a list of ports.
    pub fn have_list(&self, numbers: &[u32]) -> bool {
        !self.listed.is_empty() && numbers.iter().any(|&number| self.listed(number).is_some())
    }

    fn listed(&self, number: u32) -> Option<&Listed<'a, A>> {
        let at = self.listed.binary_search_by_key(&number, |listed| listed.number).ok()?;
        self.listed.get(at)
    }

    /// Adds these once more, with one line for each port.
    pub fn push_single_ports(&mut self, numbers: &[u32]) {
        let (listed, ports) = (mem::take(&mut self.listed), mem::take(&mut self.ports));
        let each = |place: &Range<usize>| {
            let ports = ports.get(place.clone()).unwrap_or_default();
            // No port at all is any.
            ports.chunks(1).chain(ports.is_empty().then_some(ports))
        };
        for &number in numbers {
            let Ok(at) = listed.binary_search_by_key(&number, |listed| listed.number) else {
                self.push_again(number);
                continue;
            };
            let Some(Listed { line, target, source_ports, destination_ports, .. }) = listed.get(at) else { continue };
            for source_ports in each(source_ports) {
                for destination_ports in each(destination_ports) {
                    self.push(&Line { source_ports, destination_ports, target, ..*line });
                }
            }
        }
        (self.listed, self.ports) = (listed, ports);
    }

    fn push_again(&mut self, number: u32) {
        let Some((start, ends)) = self.place(number) else { return };
        let new = self.len();
        let moved = self.writer.text.len() - start;
        self.writer.text.extend_from_within(start..ends.all);
        let Ends { conditions, comment, all } = ends;
        self.ends.push(Ends { conditions: conditions + moved, comment: comment + moved, all: all + moved });
        self.protocols.push(self.protocols.get(number as usize).copied().flatten());
        for spans in &mut self.spans {
            spans.set(new, spans.get(number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::{Comment, Side};
    use super::*;

    fn written(lines: &Lines<u32>, numbers: Range<u32>, with_comment: bool) -> Vec<String> {
        let text = |number| {
            let mut text = Vec::new();
            lines.write(number, with_comment, &mut text);
            String::from_utf8(text).unwrap()
        };
        numbers.map(text).collect()
    }

    #[test]
    fn lists_become_a_line_for_each_port_and_other_lines_stay_as_they_are() {
        let target = Target::Jump("x".into());
        let to = |end| Side::Range((0x0a00_0001, end));
        let web = Line { protocol: Some(6), comment: Comment::Words("web"), ..Line::new(&target) };
        let mut lines = Lines::new();
        lines.push(&Line { source_ports: &[(1, 9), (80, 80)], destination_ports: &[(7, 7), (9, 9)], ..web });
        lines.push(&Line { destination: to(0x0a00_0001), destination_ports: &[(53, 53)], ..web });
        lines.push(&Line { destination: to(0x0a00_0002), destination_ports: &[(53, 53), (99, 99)], ..web });
        assert!(lines.have_list(&[1, 2]) && !lines.have_list(&[1]));
        lines.push_single_ports(&[0, 1, 2]);
        let comment = " -m comment --comment \"fwc: web\"";
        assert_eq!(
            written(&lines, 3..lines.len() as u32, true),
            [
                format!(" -p tcp -m tcp --sport 1:9 --dport 7{comment} -j x\n"),
                format!(" -p tcp -m tcp --sport 1:9 --dport 9{comment} -j x\n"),
                format!(" -p tcp -m tcp --sport 80 --dport 7{comment} -j x\n"),
                format!(" -p tcp -m tcp --sport 80 --dport 9{comment} -j x\n"),
                format!(" -d 10.0.0.1 -p tcp -m tcp --dport 53{comment} -j x\n"),
                format!(" -p tcp -m tcp --dport 53 -m iprange --dst-range 10.0.0.1-10.0.0.2{comment} -j x\n"),
                format!(" -p tcp -m tcp --dport 99 -m iprange --dst-range 10.0.0.1-10.0.0.2{comment} -j x\n"),
            ]
        );
        assert_eq!(written(&lines, 7..8, false), [" -d 10.0.0.1 -p tcp -m tcp --dport 53 -j x\n"]);
        let spans = |key| (0..10).map(|number| lines.spans(key).get(number)).collect::<Vec<_>>();
        let (one, two) = (Some((0x0a00_0001, 0x0a00_0001)), Some((0x0a00_0001, 0x0a00_0002)));
        assert_eq!(spans(Key::Destination), [None, one, two, None, None, None, None, one, two, two]);
        let ports = [(7, 9), (53, 53), (53, 99), (7, 7), (9, 9), (7, 7), (9, 9), (53, 53), (53, 53), (99, 99)];
        assert_eq!(spans(Key::DestinationPorts), ports.map(Some));
        assert_eq!(lines.protocols(), [Some(6); 10]);
    }
}
