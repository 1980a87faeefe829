//! What to say about text that is not YAML: the parser's reasons in the words of somebody who writes a spec.

use granit_parser::ErrorKind;

use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::not_yaml;
use crate::source::{FileId, Place};

/// The diagnostic for an error of the YAML parser at byte `offset`.
pub(super) fn explain(kind: &ErrorKind, text: &str, offset: usize, file: FileId) -> Diagnostic {
    if let Some((start, end)) = unquoted(kind, text, offset) {
        return not_yaml::quoteless(text.get(start..end).unwrap_or(""), place(file, start, end));
    }
    let (start, end) = token(text, offset);
    let word = text.get(start..end).unwrap_or("");
    let (message, help) = words(kind, word);
    not_yaml::syntax(message, help, place(file, start, end))
}

/// The bytes of a value that only lacks its quotes.
fn unquoted(kind: &ErrorKind, text: &str, offset: usize) -> Option<(usize, usize)> {
    let end = offset + word_length(text, offset);
    let word = text.get(offset..end)?;
    match kind {
        ErrorKind::UnexpectedCharacter { character: '@' | '`' | '%' } => Some((offset, end)),
        ErrorKind::MissingAnchorOrAliasName if word.starts_with('*') => Some((offset, end)),
        // `2001:db8::` at the end of a line: the last colon makes a key of it.
        ErrorKind::MappingValueNotAllowed if word == ":" => {
            let line_ends = text.get(end..)?.split('\n').next()?.trim().is_empty();
            let before = text.get(..offset)?;
            let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
            (line_ends && is_address_like(text.get(start..offset)?)).then_some((start, end))
        }
        _ => bracketed_endpoint(text, offset).map(|start| (start, end)),
    }
}

/// Whether a text consists of what addresses and endpoints consist of.
pub(super) fn is_address_like(text: &str) -> bool {
    text.contains(['.', ':']) && text.bytes().all(|byte| byte.is_ascii_hexdigit() || b".:/[]-,".contains(&byte))
}

/// Bytes of the word that starts or goes on at `offset`: up to a blank, a closing bracket, or a comma before a blank.
pub(super) fn word_length(text: &str, offset: usize) -> usize {
    let rest = text.get(offset..).unwrap_or("");
    let word = rest.split(|c: char| c.is_whitespace() || matches!(c, ']' | '}')).next().unwrap_or("");
    word.trim_end_matches(',').len()
}

/// The start of `[2001:db8::5]` where the text goes on with `:` right behind it at `offset`.
pub(super) fn bracketed_endpoint(text: &str, offset: usize) -> Option<usize> {
    let before = text.get(..offset)?;
    let digits = text.get(offset..)?.strip_prefix(':')?;
    if !before.ends_with(']') || !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    before.rfind(['[', '\n']).filter(|&at| before.get(at..).is_some_and(|found| found.starts_with('[')))
}

fn place(file: FileId, start: usize, end: usize) -> Place {
    let cut = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
    Place { file, start: cut(start), end: cut(end) }
}

/// The bytes to point at: the character at `offset`, or the last one before it that can be seen.
fn token(text: &str, offset: usize) -> (usize, usize) {
    let after = text.get(offset..).unwrap_or("");
    if let Some(character) = after.chars().next().filter(|character| *character == '\t' || !character.is_whitespace()) {
        return (offset, offset + character.len_utf8());
    }
    let before = text.get(..offset).unwrap_or("").trim_end();
    let last = before.chars().next_back().map_or(0, char::len_utf8);
    (before.len() - last, before.len())
}

fn words(kind: &ErrorKind, word: &str) -> (String, &'static str) {
    use ErrorKind as K;
    let (message, help) = match kind {
        K::UnexpectedCharacter { character: '\0' } => ("the text has a NUL byte", "remove it: a spec is plain text"),
        K::UnexpectedCharacter { character } => {
            let shown = character.escape_default();
            return (format!("`{shown}` cannot stand here"), "remove it, or put the value in double quotes");
        }
        K::TabInBlockIndentation | K::TabInIndentation | K::TabNotAllowed | K::TabAtBlockScalarStart => {
            ("a tab cannot indent a line", "indent with spaces")
        }
        K::MappingValueNotAllowed | K::InvalidColonPlacement | K::MappingKeyNotAllowed | K::InvalidSimpleKey => (
            "this `:` makes a key where none can be",
            "put a value that holds `: ` in double quotes; otherwise check how this line and the one before are indented",
        ),
        K::UnclosedFlowCollection { open } => {
            let help = if *open == '[' { "close the list with `]`" } else { "close the mapping with `}`" };
            return (format!("`{open}` is never closed"), help);
        }
        K::UnclosedQuotedScalar => ("this quote is never closed", "close it on the same line"),
        K::MismatchedFlowCollectionEnd { open, close } => {
            let help = if *open == '[' { "close the list with `]` first" } else { "close the mapping with `}` first" };
            return (format!("`{open}` is not closed before the next `{close}`"), help);
        }
        K::MisplacedFlowCollectionEnd => {
            return (format!("`{word}` closes nothing"), "remove it, or add the bracket that it closes");
        }
        K::RecursionLimitExceeded => ("the brackets or indents are nested too deep", "a spec needs six levels at most"),
        K::ExpectedFlowMappingSeparator | K::ExpectedFlowSequenceSeparator => (
            "a comma or a closing bracket is missing before this",
            "write a comma between items; quote a value with blanks",
        ),
        K::ExpectedBlockMappingKey | K::ExpectedBlockSequenceEntry | K::InvalidIndentation | K::SimpleKeyExpected => (
            "this line does not fit the ones before it",
            "indent the keys of one mapping and the items of one list alike, each key with `: ` behind it",
        ),
        K::BlockSequenceEntryNotAllowed => {
            ("a list item cannot start here", "start the list on a line of its own, or write [a, b]")
        }
        K::InvalidTrailingSingleQuotedScalar | K::InvalidTrailingDoubleQuotedScalar => {
            ("text goes on behind the closing quote", "put the whole value in the quotes")
        }
        K::UnknownQuotedScalarEscape => {
            ("this escape does not exist", "write the character itself, or use single quotes")
        }
        K::MultipleDocumentsUnsupported | K::ExpectedDocumentStart => (
            "text goes on behind the end of the document",
            "write one spec a file, as one mapping from the first line on",
        ),
        other => return (other.to_string(), "compare this line with the examples in the documentation"),
    };
    (message.to_string(), help)
}
