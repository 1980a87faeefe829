//! The YAML of one file as a tree of nodes with places.
//!
//! Built from parser events in a loop, without recursion, with limits on depth and on the number of nodes. Values are
//! never typed the YAML way: a scalar is its text.

use std::cell::Cell;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::report::Report;
use super::syntax;
use crate::diagnostic::finding::not_yaml;
use crate::source::{FileId, Place};

/// Deepest nesting. A spec needs six levels.
const DEEPEST: usize = 64;
/// Most nodes of one file: keys, values and collections.
const MOST_NODES: usize = 4_000_000;
/// Most nodes that aliases may add by being followed.
const MOST_ALIASED: usize = 1_000_000;
/// Marks the absence of a node or text.
const NONE: u32 = u32::MAX;

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Without quotes.
    Plain,
    /// In single or double quotes.
    Quoted,
    /// As a `|` or `>` block.
    Block,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scalar(Style),
    List,
    Map,
    Alias,
    /// Already reported.
    Bad,
}

/// 20 bytes each, because a spec may have millions.
#[derive(Debug, Clone, Copy)]
struct Node {
    kind: Kind,
    start: u32,
    end: u32,
    /// The next sibling.
    next: u32,
    /// List and map: the first child. Alias: its target. Scalar: its text in `texts` where that differs from the source.
    link: u32,
}

/// The tree of one file.
pub(super) struct Tree<'t> {
    text: &'t str,
    file: FileId,
    nodes: Vec<Node>,
    texts: Vec<String>,
    root: Option<u32>,
    /// Visits that are left before the aliases are taken for a bomb.
    budget: Cell<usize>,
    first_alias: Option<Place>,
}

/// A node as it is used: aliases are already followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    node: u32,
    /// Where it is used: the alias's token, or the node's own place.
    pub(super) at: Place,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape<'t> {
    /// A value.
    Scalar(&'t str, Style),
    /// Nothing, `~` or `null`.
    Null,
    /// A sequence.
    List,
    /// A mapping.
    Map,
    /// Already reported.
    Bad,
}

impl<'t> Tree<'t> {
    /// Reads a whole file. `None` after a mistake that ends the file, which is in the report then.
    pub(super) fn build(text: &'t str, file: FileId, report: &mut Report) -> Option<Tree<'t>> {
        Tree::build_within(MOST_NODES, text, file, report)
    }

    fn build_within(most_nodes: usize, text: &'t str, file: FileId, report: &mut Report) -> Option<Tree<'t>> {
        let tree = Tree {
            text,
            file,
            nodes: Vec::new(),
            texts: Vec::new(),
            root: None,
            budget: Cell::new(0),
            first_alias: None,
        };
        let mut builder =
            Builder { tree, open: Vec::new(), anchors: Vec::new(), documents: 0, quoteless: None, tagged: false };
        let options = granit_parser::options! {
            emit_comments: false,
            emit_unresolved_aliases: true,
            flow_nesting_limit: DEEPEST,
            block_nesting_limit: DEEPEST,
        };
        for event in Parser::new_from_str_with_options(text, options) {
            match event {
                Ok((event, span)) => {
                    let at = span.byte_range().unwrap_or(0..0);
                    builder.event(event, span, report)?;
                    if builder.tree.nodes.len() > most_nodes {
                        report.add_fatal(not_yaml::too_many_nodes(most_nodes, builder.at(at.start, at.end)));
                        return None;
                    }
                }
                Err(error) => {
                    builder.syntax_error(&error, report);
                    return None;
                }
            }
        }
        let tree = builder.tree;
        tree.budget.set(tree.nodes.len() + MOST_ALIASED);
        Some(tree)
    }

    /// The document's node; none in an empty file.
    pub(super) fn root(&self) -> Option<View> {
        self.root.map(|id| self.view(id))
    }

    /// The text of the whole file.
    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// Where the first alias stands, if the aliases turned out to be a bomb.
    pub(super) fn exhausted(&self) -> Option<Place> {
        (self.budget.get() == 0).then_some(self.first_alias).flatten()
    }

    /// What the node is.
    pub(super) fn shape(&self, view: View) -> Shape<'_> {
        let Some(node) = self.node(view.node) else { return Shape::Bad };
        match node.kind {
            Kind::Scalar(style) => {
                let text = self.scalar(node);
                let null = style == Style::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL");
                if null { Shape::Null } else { Shape::Scalar(text, style) }
            }
            Kind::List => Shape::List,
            Kind::Map => Shape::Map,
            Kind::Alias | Kind::Bad => Shape::Bad,
        }
    }

    /// The node's own place, also where an alias leads to it. Of a quoted scalar: inside the quotes.
    pub(super) fn own_place(&self, view: View) -> Place {
        self.node(view.node).map_or(view.at, |node| self.place(node))
    }

    /// Whether each byte of a scalar's text is the byte of the file at the same distance from its place's start.
    pub(super) fn is_verbatim(&self, view: View) -> bool {
        self.node(view.node).is_some_and(|node| node.link == NONE)
    }

    /// The items of a list.
    pub(super) fn items(&self, view: View) -> Items<'_, 't> {
        let first = self.node(view.node).filter(|node| matches!(node.kind, Kind::List | Kind::Map));
        Items { tree: self, next: first.map_or(NONE, |node| node.link) }
    }

    /// The keys of a mapping with their values.
    pub(super) fn pairs(&self, view: View) -> impl Iterator<Item = (View, View)> + '_ {
        let mut items = self.items(view);
        std::iter::from_fn(move || Some((items.next()?, items.next()?)))
    }

    fn node(&self, id: u32) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    fn place(&self, node: &Node) -> Place {
        Place { file: self.file, start: node.start, end: node.end }
    }

    fn scalar(&self, node: &Node) -> &str {
        match self.texts.get(node.link as usize) {
            Some(text) => text,
            None => self.text.get(node.start as usize..node.end as usize).unwrap_or(""),
        }
    }

    fn view(&self, id: u32) -> View {
        let Some(node) = self.node(id) else {
            return View { node: id, at: Place { file: self.file, start: 0, end: 0 } };
        };
        let target = if node.kind == Kind::Alias { node.link } else { id };
        View { node: target, at: self.place(node) }
    }
}

/// The children of a collection, each of which costs a visit.
pub(super) struct Items<'a, 't> {
    tree: &'a Tree<'t>,
    next: u32,
}

impl Iterator for Items<'_, '_> {
    type Item = View;

    fn next(&mut self) -> Option<View> {
        let node = self.tree.node(self.next)?;
        let left = self.tree.budget.get();
        self.tree.budget.set(left.saturating_sub(1));
        if left == 0 {
            return None;
        }
        let view = self.tree.view(self.next);
        self.next = node.next;
        Some(view)
    }
}

/// An alias that nothing anchors: most likely an endpoint such as `*:22` without quotes.
#[derive(Clone, Copy)]
struct Quoteless {
    start: usize,
    end: usize,
}

struct Builder<'t> {
    tree: Tree<'t>,
    /// The open collections, each with its last child.
    open: Vec<(u32, u32)>,
    /// The node of each anchor, by the parser's number.
    anchors: Vec<u32>,
    documents: usize,
    /// The latest one, not yet reported.
    quoteless: Option<Quoteless>,
    /// A tag has been reported: once a file is enough.
    tagged: bool,
}

impl Builder<'_> {
    /// Takes an event in. `None` after a mistake that ends the file.
    fn event(&mut self, event: Event<'_>, span: Span, report: &mut Report) -> Option<()> {
        let range = span.byte_range().unwrap_or(0..0);
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
                let id = self.scalar(&value, style, range.start, range.end);
                self.attach(id, anchor);
            }
            Event::SequenceStart(_, anchor, _) => self.start(Kind::List, range.start, range.end, anchor),
            Event::MappingStart(_, anchor, _) => self.start(Kind::Map, range.start, range.end, anchor),
            Event::SequenceEnd | Event::MappingEnd => self.finish(range.start, range.end),
            Event::Alias(target) => {
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
        let range = span.tag_span().and_then(|tag| tag.byte_range()).or_else(|| span.byte_range()).unwrap_or(0..0);
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
        let offset = error.marker().byte_offset().unwrap_or(0).min(self.tree.text.len());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Sources;

    fn build(most_nodes: usize, text: &str) -> Option<usize> {
        let file = Sources::default().add("a", text);
        let mut report = Report::default();
        let tree = Tree::build_within(most_nodes, text, file, &mut report);
        assert_eq!(tree.is_none(), report.broken);
        tree.map(|tree| tree.nodes.len())
    }

    #[test]
    fn nodes_are_limited() {
        assert_eq!(build(6, "a: [b, c, {}]"), Some(6));
        assert_eq!(build(5, "a: [b, c, {}]"), None);
    }

    #[test]
    fn aliases_are_followed_once_and_cost_visits() {
        let text = "a: &a [x, y]\nb: *a\n";
        let file = Sources::default().add("a", text);
        let mut report = Report::default();
        let tree = Tree::build(text, file, &mut report).unwrap();
        let root = tree.root().unwrap();
        let (_, second) = tree.pairs(root).nth(1).unwrap();
        assert_eq!(tree.items(second).count(), 2);
        assert_eq!(tree.shape(second), Shape::List);
        assert_eq!(second.at.start as usize, text.find('*').unwrap());
        assert!(tree.exhausted().is_none());
        tree.budget.set(1);
        assert_eq!(tree.items(second).count(), 1);
        assert!(tree.exhausted().is_some());
    }

    #[test]
    fn places_of_quoted_scalars_are_inside_the_quotes() {
        let text = "a: \"b\\x63\"\nd: 'ef'\ng:\n";
        let file = Sources::default().add("a", text);
        let tree = Tree::build(text, file, &mut Report::default()).unwrap();
        let values: Vec<View> = tree.pairs(tree.root().unwrap()).map(|(_, value)| value).collect();
        let [escaped, plain, missing] = values.as_slice() else { panic!() };
        assert_eq!(tree.shape(*escaped), Shape::Scalar("bc", Style::Quoted));
        assert!(!tree.is_verbatim(*escaped));
        let place = tree.own_place(*plain);
        assert_eq!(&text[place.start as usize..place.end as usize], "ef");
        assert_eq!(tree.shape(*missing), Shape::Null);
    }
}
