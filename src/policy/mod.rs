//! What a spec means: names become ids, endpoints become servers, and every contradiction is an error.

mod check;
pub mod footprint;
mod model;
mod resolve;
mod sets;

pub(crate) use check::{advice as table_advice, bytes as table_bytes, spec_nat_let_through, title};
pub use model::{Entry, EntryId, Policy, Role, Server, Sizing, Translation, TranslationKind, Transport, Written};
pub use resolve::resolve;
pub use sets::{AddressSetId, AddressSets, Addresses};
