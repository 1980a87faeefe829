//! What a spec means: names become ids, endpoints become servers, and every contradiction is an error.

mod model;
mod sets;

pub use model::{Entry, EntryId, Policy, Role, Server, Sizing, Translation, TranslationKind, Transport};
pub use sets::{AddressSetId, AddressSets, Addresses};
