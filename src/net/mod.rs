//! The vocabulary of packets: addresses, ports, protocols, names.
//!
//! Each type has `FromStr` (or `parse`) as its only door, so a value that exists is valid. A text that is refused gives
//! an [`Invalid`]: what is wrong, where in the text, and what to write instead.

mod address;
mod duration;
mod endpoint;
mod interface;
mod invalid;
mod name;
mod near;
mod packet;
mod ports;
mod protocol;
mod range;

pub use address::{AddrRange, AddressRanges, AddressSet, Family};
pub use duration::Seconds;
pub use endpoint::{AddressPattern, Endpoint};
pub use interface::{Interface, InterfacePattern, Interfaces};
pub use invalid::{Invalid, Mistake};
pub use name::Name;
pub use near::nearest;
pub use packet::{PacketHeader, PacketText, TcpFlags};
pub use ports::PortSet;
pub use protocol::Protocol;
pub use range::{RangeSet, Scalar};
