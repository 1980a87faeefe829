//! The bits of each field, and their order.

use super::Field;
use crate::dump::{Side, Way};
use crate::proof::bdd::{Bits, Engine, Result};

/// The bits of each field. Their order decides how large the diagrams become: what has few values comes first, so that the sets of endpoints
/// below are shared by all of them, and an endpoint's address and port stand together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) family: Bits,
    pub(super) part: Bits,
    pub(super) protocol: Bits,
    pub(super) state: Bits,
    pub(super) translated_destination: Bits,
    pub(super) translated_source: Bits,
    pub(super) came_untracked: Bits,
    pub(super) local_destination: Bits,
    pub(super) local_source: Bits,
    pub(super) flags: Bits,
    pub(super) icmp_type: Bits,
    pub(super) icmp_code: Bits,
    pub(super) incoming: Bits,
    pub(super) outgoing: Bits,
    pub(super) destination: Bits,
    pub(super) destination_port: Bits,
    pub(super) source: Bits,
    pub(super) source_port: Bits,
    pub(super) original: Bits,
    pub(super) original_port: Bits,
}

impl Layout {
    /// The bits of an engine that has none yet. Addresses, ports and names of interfaces take as many as their classes need.
    pub(super) fn of(engine: &Engine, address: u32, port: u32, name: u32) -> Result<Layout> {
        Ok(Layout {
            family: engine.add(1)?,
            part: engine.add(2)?,
            protocol: engine.add(8)?,
            state: engine.add(2)?,
            translated_destination: engine.add(1)?,
            translated_source: engine.add(1)?,
            came_untracked: engine.add(1)?,
            local_destination: engine.add(1)?,
            local_source: engine.add(1)?,
            flags: engine.add(8)?,
            icmp_type: engine.add(8)?,
            icmp_code: engine.add(8)?,
            incoming: engine.add(name)?,
            outgoing: engine.add(name)?,
            destination: engine.add(address)?,
            destination_port: engine.add(port)?,
            source: engine.add(address)?,
            source_port: engine.add(port)?,
            original: engine.add(address)?,
            original_port: engine.add(port)?,
        })
    }

    /// Those of a field.
    pub(super) fn bits(&self, field: Field) -> Bits {
        match field {
            Field::Address(Side::Source) => self.source,
            Field::Address(Side::Destination) => self.destination,
            Field::Port(Side::Source) => self.source_port,
            Field::Port(Side::Destination) => self.destination_port,
            Field::OriginalAddress => self.original,
            Field::OriginalPort => self.original_port,
            Field::Protocol => self.protocol,
            Field::IcmpType => self.icmp_type,
            Field::IcmpCode => self.icmp_code,
        }
    }

    /// Those of the interface.
    pub(super) fn interface(&self, way: Way) -> Bits {
        match way {
            Way::In => self.incoming,
            Way::Out => self.outgoing,
        }
    }
}
