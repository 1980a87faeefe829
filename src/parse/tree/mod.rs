//! The YAML of one file as a tree of nodes with places.
//!
//! `build` makes it from parser events in a loop, without recursion, with limits on depth and on the number of nodes; `pieces` has a large file read by
//! several threads. Values are never typed the YAML way: a scalar is its text.

mod build;
mod pieces;

use std::cell::Cell;

use super::parsers;
use super::report::Report;
use crate::source::{FileId, Place};
use build::Builder;

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
        let cuts = pieces::cuts(text, parsers(text));
        pieces::build(text, file, &cuts).or_else(|| Tree::build_within(MOST_NODES, text, file, report))
    }

    fn build_within(most_nodes: usize, text: &'t str, file: FileId, report: &mut Report) -> Option<Tree<'t>> {
        Some(Builder::new(text, file, DEEPEST).run(0..text.len(), most_nodes, report)?.finished())
    }

    fn new(text: &'t str, file: FileId) -> Self {
        let budget = Cell::new(0);
        Tree { text, file, nodes: Vec::new(), texts: Vec::new(), root: None, budget, first_alias: None }
    }

    /// Everything is in it.
    fn finished(self) -> Self {
        self.budget.set(self.nodes.len() + MOST_ALIASED);
        self
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
