//! What a transaction is made of.

use crate::source::Place;

/// Complete nfnetlink messages, 4-aligned, back to back, without the batch's begin and end.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    /// The messages, sequence numbers 0 and no acknowledgement asked for.
    pub bytes: Vec<u8>,
    /// One part a message, in the order of the messages.
    pub index: Vec<Part>,
}

/// One message.
#[derive(Debug, Clone)]
pub struct Part {
    /// Where it starts in the bytes.
    pub offset: usize,
    /// What it is about.
    pub subject: Subject,
}

/// What a message is about, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// As in `chain input`, `set web_v4`, `rule 3 of chain input (fwc: web)`.
    pub what: String,
    /// Where the spec asked for it.
    pub place: Option<Place>,
}
