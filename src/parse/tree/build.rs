//! From parser events to nodes.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::{Kind, NONE, Node, Style, Tree};
use crate::diagnostic::finding::not_yaml;
use crate::parse::report::Report;
use crate::parse::syntax;
use crate::source::{FileId, Place};

/// An alias that nothing anchors: most likely an endpoint such as `*:22` without quotes.
#[derive(Clone, Copy)]
struct Quoteless {
    start: usize,
    end: usize,
}

/// A tree that grows.
pub(super) struct Builder<'t> {
    pub(super) tree: Tree<'t>,
    /// Where the events' text begins in the file, in bytes.
    base: usize,
    /// Deepest nesting.
    deepest: usize,
    /// The open collections, each with its last child.
    open: Vec<(u32, u32)>,
    /// The node of each anchor, by the parser's number.
    anchors: Vec<u32>,
    documents: usize,
    /// Whether anything hangs on what stands elsewhere, or ends with it: an anchor, an alias, a block of text, a value that is not
    /// there, the end of the document.
    pub(super) reaches_out: bool,
    /// The latest one, not yet reported.
    quoteless: Option<Quoteless>,
    /// A tag has been reported: once a file is enough.
    tagged: bool,
}

impl<'t> Builder<'t> {
    pub(super) fn new(text: &'t str, file: FileId, deepest: usize) -> Self {
        Builder {
            tree: Tree::new(text, file),
            base: 0,
            deepest,
            open: Vec::new(),
            anchors: Vec::new(),
            documents: 0,
            reaches_out: false,
            quoteless: None,
            tagged: false,
        }
    }

    /// Reads a part of the text. `None` after a mistake that ends the file.
    pub(super) fn run(mut self, part: Range<usize>, most_nodes: usize, report: &mut Report) -> Option<Tree<'t>> {
        self.read(part, most_nodes, report)?;
        Some(self.tree)
    }

    /// The same for whoever has more questions about what was read.
    pub(super) fn read(&mut self, part: Range<usize>, most_nodes: usize, report: &mut Report) -> Option<()> {
        self.base = part.start;
        let options = granit_parser::options! {
            emit_comments: false,
            emit_unresolved_aliases: true,
            flow_nesting_limit: self.deepest,
            block_nesting_limit: self.deepest,
        };
        for event in Parser::new_from_str_with_options(self.tree.text.get(part)?, options) {
            match event {
                Ok((event, span)) => {
                    let at = self.range(&span);
                    self.event(event, span, report)?;
                    if self.tree.nodes.len() > most_nodes {
                        report.add_fatal(not_yaml::too_many_nodes(most_nodes, self.at(at.start, at.end)));
                        return None;
                    }
                }
                Err(error) => {
                    self.syntax_error(&error, report);
                    return None;
                }
            }
        }
        Some(())
    }

    /// Where an event stands in the file.
    fn range(&self, span: &Span) -> Range<usize> {
        let range = span.byte_range().unwrap_or(0..0);
        range.start + self.base..range.end + self.base
    }

    /// Takes an event in. `None` after a mistake that ends the file.
    fn event(&mut self, event: Event<'_>, span: Span, report: &mut Report) -> Option<()> {
        let range = self.range(&span);
        self.report_quoteless(report);
        self.refuse_tag(&event, &span, report);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    report.add_fatal(not_yaml::second_document(self.at(range.start, range.end)));
                    return None;
                }
            }
            Event::Scalar(value, style, anchor, _) => {
                self.reaches_out |= range.is_empty() || matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let id = self.scalar(&value, style, range.start, range.end);
                self.attach(id, anchor);
            }
            Event::SequenceStart(_, anchor, _) => self.start(Kind::List, range.start, range.end, anchor),
            Event::MappingStart(_, anchor, _) => self.start(Kind::Map, range.start, range.end, anchor),
            Event::SequenceEnd | Event::MappingEnd => self.finish(range.start, range.end),
            Event::DocumentEnd => self.reaches_out |= range.end > range.start,
            Event::Alias(target) => {
                self.reaches_out = true;
                let link = self.anchors.get(target).copied().unwrap_or(NONE);
                let place = self.at(range.start, range.end);
                self.tree.first_alias.get_or_insert(place);
                let id = self.push(Kind::Alias, range.start, range.end, link);
                self.attach(id, 0);
            }
            Event::UnresolvedAlias(_) => {
                self.quoteless = Some(Quoteless { start: range.start, end: range.end });
                let id = self.push(Kind::Bad, range.start, range.end, NONE);
                self.attach(id, 0);
            }
            _ => {}
        }
        Some(())
    }

    fn at(&self, start: usize, end: usize) -> Place {
        let cut = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Place { file: self.tree.file, start: cut(start), end: cut(end) }
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize, link: u32) -> u32 {
        let place = self.at(start, end);
        let id = u32::try_from(self.tree.nodes.len()).unwrap_or(NONE);
        self.tree.nodes.push(Node { kind, start: place.start, end: place.end, next: NONE, link });
        id
    }

    fn scalar(&mut self, value: &str, style: ScalarStyle, start: usize, end: usize) -> u32 {
        let source = self.tree.text;
        let raw = source.get(start..end).unwrap_or("");
        let (style, inner) = match style {
            ScalarStyle::Plain => (Style::Plain, 0),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => (Style::Quoted, 1),
            ScalarStyle::Literal | ScalarStyle::Folded => (Style::Block, 0),
        };
        let bare = source.get(start + inner..end.saturating_sub(inner));
        // The parser gives `~` for a value that is not there.
        if bare == Some(value) && (inner == 0 || !value.is_empty()) || raw.is_empty() {
            return self.push(Kind::Scalar(style), start + inner, end - inner, NONE);
        }
        let link = u32::try_from(self.tree.texts.len()).unwrap_or(NONE);
        self.tree.texts.push(value.to_string());
        self.push(Kind::Scalar(style), start, end, link)
    }

    fn start(&mut self, kind: Kind, start: usize, end: usize, anchor: usize) {
        let id = self.push(kind, start, end, NONE);
        self.attach(id, anchor);
        self.open.push((id, NONE));
    }

    /// Makes a node the next child of the innermost open collection, or the root.
    fn attach(&mut self, id: u32, anchor: usize) {
        if anchor > 0 {
            self.reaches_out = true;
            if self.anchors.len() <= anchor {
                self.anchors.resize(anchor + 1, NONE);
            }
            if let Some(slot) = self.anchors.get_mut(anchor) {
                *slot = id;
            }
        }
        let Some((parent, last)) = self.open.last_mut() else {
            self.tree.root.get_or_insert(id);
            return;
        };
        let (owner, first) = if *last == NONE { (*parent, true) } else { (*last, false) };
        *last = id;
        if let Some(node) = self.tree.nodes.get_mut(owner as usize) {
            if first {
                node.link = id;
            } else {
                node.next = id;
            }
        }
    }

    /// Ends the innermost collection. In flow style it reaches to its bracket; in block style, where it has no token
    /// of its own, its place is that of its first child.
    fn finish(&mut self, start: usize, end: usize) {
        let Some((id, _)) = self.open.pop() else { return };
        let Some(node) = self.tree.node(id) else { return };
        let first_child = self.tree.node(node.link).copied();
        let flow = end > start;
        let flow_end = self.at(start, end).end;
        if let Some(node) = self.tree.nodes.get_mut(id as usize) {
            match first_child {
                _ if flow => node.end = flow_end,
                Some(child) => (node.start, node.end) = (child.start, child.end),
                None => {}
            }
        }
    }

    fn refuse_tag(&mut self, event: &Event<'_>, span: &Span, report: &mut Report) {
        if event.tag().is_none() || self.tagged {
            return;
        }
        self.tagged = true;
        let range = self.range(span.tag_span().as_ref().unwrap_or(span));
        let token = self.tree.text.get(range.clone()).unwrap_or("");
        report.add(not_yaml::tag(token, self.at(range.start, range.end)));
    }

    fn report_quoteless(&mut self, report: &mut Report) {
        if let Some(Quoteless { start, end }) = self.quoteless.take() {
            let token = self.tree.text.get(start..end).unwrap_or("");
            report.add(not_yaml::quoteless(token, self.at(start, end)));
        }
    }

    fn syntax_error(&mut self, error: &ScanError, report: &mut Report) {
        let offset = (error.marker().byte_offset().unwrap_or(0) + self.base).min(self.tree.text.len());
        // `*:80,443` is read as an alias `*:80` and something that cannot follow it: one mistake, not two.
        if let Some(Quoteless { start, end }) = self.quoteless.take_if(|alias| alias.end == offset) {
            let end = end + syntax::word_length(self.tree.text, end);
            let token = self.tree.text.get(start..end).unwrap_or("");
            report.add_fatal(not_yaml::quoteless(token, self.at(start, end)));
            return;
        }
        self.report_quoteless(report);
        report.add_fatal(syntax::explain(error.kind(), self.tree.text, offset, self.tree.file));
    }
}
