//! A large file read in pieces, by several threads: most of the time for a spec with many services goes into its YAML.
//!
//! A piece begins with a key at the start of a line: one of the spec's own, or one of the level below, such as a service's name. So it is a document of
//! its own whose pairs belong behind those of the piece before, and what they are hangs on nothing that stands in another piece. Where it does
//! (an anchor, a tag, a block of text, a missing value, a document's end), where there is a mistake, or where a piece ends inside something (quotes, brackets, a text), nothing of it
//! counts, and the file is read as a whole: that alone reports.

use std::ops::Range;

use super::build::Builder;
use super::{DEEPEST, Kind, MOST_NODES, NONE, Node, Tree};
use crate::parse::report::Report;
use crate::source::FileId;
use crate::threads;

/// In so many lines behind a desired cut, the least indented one is taken for the start of an entry.
const LINES: usize = 200;

/// Where a piece begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// Bytes from the start of the file, at the start of a line.
    at: usize,
    /// Blanks before the key: none before the spec's own.
    indent: usize,
}

/// Where to cut a text, so that `parsers` threads have about as much to read each. It is a guess: [`build`] finds out whether it was right.
pub(super) fn cuts(text: &str, parsers: usize) -> Vec<Cut> {
    let mut cuts: Vec<Cut> = Vec::new();
    // Where the section ends that the last cut is in: the keys of the level below do not go on behind it.
    let mut end: Option<usize> = None;
    for part in 1..parsers {
        let wanted = text.len() / parsers * part;
        if let Some(at) = end.take_if(|end| *end <= wanted) {
            cuts.push(Cut { at, indent: 0 });
        }
        let Some(cut) = cut_behind(text, wanted.max(cuts.last().map_or(0, |cut| cut.at))) else { continue };
        cuts.push(cut);
        end = if cut.indent == 0 { None } else { end.or_else(|| next_section(text, cut.at)) };
    }
    cuts.extend(end.map(|at| Cut { at, indent: 0 }));
    cuts
}

/// The next key of the spec's own behind a place.
fn next_section(text: &str, from: usize) -> Option<usize> {
    text.get(from..)?.match_indices('\n').map(|(at, _)| from + at + 1).find(|&at| is_key(text, at))
}

/// Whether a key that fwc might know begins there.
fn is_key(text: &str, at: usize) -> bool {
    text.as_bytes().get(at).is_some_and(u8::is_ascii_lowercase)
}

/// The first good place for a cut in the lines behind `wanted`.
fn cut_behind(text: &str, wanted: usize) -> Option<Cut> {
    let bytes = text.as_bytes();
    let mut best: Option<Cut> = None;
    let mut at = wanted;
    for _ in 0..LINES {
        at += bytes.get(at..)?.iter().position(|&byte| byte == b'\n')? + 1;
        let indent = bytes.get(at..)?.iter().take_while(|&&byte| byte == b' ').count();
        if !is_key(text, at + indent) {
            continue;
        }
        if indent == 0 {
            return Some(Cut { at, indent });
        }
        if best.is_none_or(|best| indent < best.indent) {
            best = Some(Cut { at, indent });
        }
    }
    best
}

/// Reads the pieces between the cuts, each in a thread, and joins them. None where the file must be read as a whole.
pub(super) fn build<'t>(text: &'t str, file: FileId, cuts: &[Cut]) -> Option<Tree<'t>> {
    if cuts.is_empty() {
        return None;
    }
    let ends = cuts.iter().map(|cut| cut.at).chain([text.len()]);
    let starts = [Cut { at: 0, indent: 0 }].into_iter().chain(cuts.iter().copied());
    let pieces: Vec<(Cut, usize)> = starts.zip(ends).collect();
    let trees = threads::each(&pieces, |(cut, end)| Some((cut, read(text, file, cut.at..end)?)));
    let mut trees = trees.into_iter();
    let (_, mut whole) = trees.next()??;
    for piece in trees {
        let (cut, piece) = piece?;
        whole.join(piece, cut.indent)?;
    }
    (whole.nodes.len() <= MOST_NODES).then(|| whole.finished())
}

/// Reads one piece, if it is nothing but a document without mistakes.
fn read(text: &str, file: FileId, part: Range<usize>) -> Option<Tree<'_>> {
    // A piece may lie a level below the root that it is joined to.
    let (mut builder, mut report) = (Builder::new(text, file, DEEPEST - 1), Report::default());
    builder.read(part, MOST_NODES, &mut report)?;
    let is_plain = !builder.reaches_out && report.finish().is_empty();
    is_plain.then_some(builder.tree)
}

impl<'t> Tree<'t> {
    /// Puts the pairs of a piece behind those of the mapping that they belong to: the root, or the value of its last key.
    fn join(&mut self, piece: Tree<'t>, indent: usize) -> Option<()> {
        let root = self.root?;
        let owner = if indent == 0 { root } else { self.last_child(root)? };
        let last = self.last_child(owner)?;
        if self.block_indent(owner)? != indent || piece.block_indent(piece.root?)? != indent {
            return None;
        }
        let (nodes, texts) = (u32::try_from(self.nodes.len()).ok()?, u32::try_from(self.texts.len()).ok()?);
        let moved = |link: u32, by: u32| if link == NONE { Some(NONE) } else { link.checked_add(by) };
        let first = piece.node(piece.root?)?.link;
        self.nodes.get_mut(last as usize)?.next = moved(first, nodes)?;
        self.nodes.reserve(piece.nodes.len());
        for node in piece.nodes {
            let by = if matches!(node.kind, Kind::Scalar(_)) { texts } else { nodes };
            self.nodes.push(Node { next: moved(node.next, nodes)?, link: moved(node.link, by)?, ..node });
        }
        self.texts.extend(piece.texts);
        Some(())
    }

    fn last_child(&self, owner: u32) -> Option<u32> {
        let mut last = self.node(owner).filter(|node| node.kind == Kind::Map)?.link;
        while let Some(next) = self.node(last).map(|node| node.next).filter(|&next| next != NONE) {
            last = next;
        }
        (last != NONE).then_some(last)
    }

    /// How far the keys of a mapping are indented; none unless it is in block style.
    fn block_indent(&self, owner: u32) -> Option<usize> {
        let owner = self.node(owner).filter(|node| node.kind == Kind::Map)?;
        let first = self.node(owner.link).filter(|first| first.start == owner.start)?;
        let before = self.text.get(..first.start as usize)?;
        let line = before.rfind('\n').map_or(before, |at| before.get(at + 1..).unwrap_or(before));
        line.bytes().all(|byte| byte == b' ').then_some(line.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::View;
    use super::*;
    use crate::source::Sources;

    fn tree(text: &str, cuts: Option<&[Cut]>) -> Option<String> {
        let file = Sources::default().add("a", text);
        let mut report = Report::default();
        let tree = match cuts {
            Some(cuts) => build(text, file, cuts)?,
            None => Tree::build_within(MOST_NODES, text, file, &mut report)?,
        };
        assert_eq!(report.finish().len(), 0, "{text}");
        Some(tree.root().map_or_else(String::new, |root| shown(&tree, root)))
    }

    /// A node with all below it.
    fn shown(tree: &Tree<'_>, view: View) -> String {
        let below: Vec<String> = tree.items(view).map(|item| shown(tree, item)).collect();
        let (shape, verbatim, place) = (tree.shape(view), tree.is_verbatim(view), tree.own_place(view));
        format!("{shape:?} {verbatim} {}-{} {}-{} {below:?}", view.at.start, view.at.end, place.start, place.end)
    }

    /// Cuts at all lines that begin with a key.
    fn possible(text: &str) -> Vec<Cut> {
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        let cut = |at: usize| Cut { at, indent: text[at..].bytes().take_while(|&byte| byte == b' ').count() };
        starts.map(cut).filter(|cut| is_key(text, cut.at + cut.indent)).collect()
    }

    fn services(count: usize) -> String {
        (0..count).map(|at| format!("  s{at}:\n    listen: \"192.0.2.1:{}\"\n    stateless: true\n", at + 1)).collect()
    }

    #[test]
    fn large_sections_are_cut_between_entries_and_joined() {
        let many = services(2_000);
        let clients = many.replace("listen", "to");
        for text in [
            format!("services:\n{many}"),
            format!("# A comment.\npolicy: {{input: drop}}\nservices:\n{many}\nclients:\n{clients}\ntests: []\n"),
            format!("---\nservices:\n{}icmp:\n  ping: true\n", many.replace("\n  s", "\n\n  # A comment.\n  s")),
        ] {
            for parsers in 2..9 {
                let cuts = cuts(&text, parsers);
                assert!(cuts.len() >= parsers - 1, "{cuts:?}");
                assert!(tree(&text, Some(&cuts)) == tree(&text, None), "{parsers}: {cuts:?}");
            }
        }
    }

    #[test]
    fn what_reaches_into_another_piece_is_read_as_a_whole() {
        for (text, cuttable) in [
            ("a:\n  b: 1\n  c: 2\nd: 3\n", true),
            ("a:\n  b: &x 1\n  c: 2\n", false),
            ("a:\n  b: 1\n  c: *:80\n", false),
            ("a:\n  b: !t 1\n  c: 2\n", false),
            ("a:\n  b: \"1\n  c: 2\"\n", false),
            ("a: {\n  b: 1,\n  c: 2}\n", false),
            ("a: {\n  b: 1}\n  c: 2\n", false),
            ("a: |\n  b: 1\n  c: 2\n", false),
            ("a: b\n  c: 2\n", false),
            ("a: |\nb: 1\n", false),
            ("a:\n  ? b\n  c: 2\n", false),
            ("a:\n  b: 1\n...\n  c: 2\n", false),
            ("a:\n  b: 1\n---\nc: 2\n", false),
            ("a:\n   b: 1\n  c: 2\n", false),
            ("a:\n- b\n  c: 2\n", false),
            ("a:\n  c: 2\n", false),
        ] {
            let last = possible(text).pop().expect("a key");
            let pieces = tree(text, Some(&[last]));
            assert_eq!(pieces.is_some(), cuttable, "{text}");
            if cuttable {
                assert_eq!(pieces, tree(text, None), "{text}");
            }
        }
    }

    #[test]
    fn pieces_are_no_deeper_than_the_whole_may_be() {
        for depth in DEEPEST - 6..DEEPEST + 6 {
            let nested: String = (2..depth).map(|level| format!("{}k:\n", " ".repeat(level))).collect();
            let text = format!("a:\n  b: 1\n  c:\n {}{}v: 1\n", nested.replace("\n", "\n "), " ".repeat(depth));
            let last = possible(&text).into_iter().find(|cut| text[cut.at..].starts_with("  c:")).expect("a cut");
            let file = Sources::default().add("a", text.as_str());
            let whole = Tree::build_within(MOST_NODES, &text, file, &mut Report::default());
            assert!(build(&text, file, &[last]).is_none() || whole.is_some(), "{depth}");
        }
    }

    fn line() -> impl Strategy<Value = String> {
        const BITS: &[&str] = &[
            "a:",
            "b: 1",
            "c: [x, y]",
            "d: {e: f}",
            "- g",
            "- h: i",
            "\"j\": 'k'",
            "l: |",
            "m: >-",
            "n: \"o",
            "p\"",
            "q: [",
            "]",
            "r: {",
            "}",
            "# s",
            "t: &u v",
            "w: *u",
            "? x",
            ": y",
            "...",
            "---",
            "z",
            "",
            "%YAML 1.2",
            "a: # b",
            "c:  ",
            "d: e # f",
            "~: ~",
            "'g':",
            "h: !i j",
            "k: 'l",
            "m'",
        ];
        (0usize..5, prop::sample::select(BITS)).prop_map(|(indent, bit)| format!("{}{bit}\n", " ".repeat(indent)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn pieces_that_are_joined_are_the_whole(lines in prop::collection::vec(line(), 1..14), chosen in any::<u16>()) {
            let text: String = lines.concat();
            let all = possible(&text).into_iter().enumerate();
            let cuts: Vec<Cut> = all.filter(|(at, _)| chosen >> (at % 16) & 1 == 1).map(|(_, cut)| cut).collect();
            if let Some(joined) = tree(&text, Some(&cuts)) {
                prop_assert_eq!(Some(joined), tree(&text, None), "{}", text);
            }
        }
    }
}
