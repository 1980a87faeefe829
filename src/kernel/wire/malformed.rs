//! What can be wrong with bytes.

use std::fmt;

/// Bytes that are not what they claim to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// A message's length does not fit what is there.
    Message,
    /// An attribute's length does not fit what is there.
    Attribute,
    /// An attribute that must be there is missing or too short: its number.
    Missing(u16),
    /// An attribute that fwc does not know: the object and the number.
    Unknown(&'static str, u16),
    /// An expression that fwc does not know.
    Expression(String),
    /// Something belongs to an object that was not there before it.
    Orphan(String),
    /// A message type that does not belong here.
    Kind(u16),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Message => f.write_str("a message's length is wrong"),
            Malformed::Attribute => f.write_str("an attribute's length is wrong"),
            Malformed::Missing(kind) => write!(f, "attribute {kind} is missing or too short"),
            Malformed::Unknown(object, kind) => write!(f, "attribute {kind} of a {object} is not known"),
            Malformed::Expression(name) => write!(f, "the expression `{name}` is not known"),
            Malformed::Orphan(what) => write!(f, "{what} was not announced"),
            Malformed::Kind(kind) => write!(f, "message type {kind:#x} does not belong here"),
        }
    }
}

impl std::error::Error for Malformed {}
