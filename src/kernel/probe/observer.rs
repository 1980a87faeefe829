//! A table beside fwc's that writes down where each packet came by.
//!
//! A packet carries its number as its mark. The table's chains stand before and behind those of the firewall, and add number and stage to a
//! set; where the firewall tracks, also what conntrack said. A `ct` expression would make the kernel track, so where it does not there is none.

use std::collections::HashMap;

use nix::errno::Errno;
use nix::libc;

use crate::kernel::KernelError;
use crate::kernel::nf_tables::{INET, chain, data, element, elements, expression, message, rule, set, table};
use crate::kernel::socket::Socket;
use crate::kernel::wire::{self, Fields, Malformed, Request};

const TABLE: &str = "fwc-probe";
const STAGES: &str = "stages";
const STATES: &str = "states";
/// Entries of a set. A packet over loopback passes eight stages.
const ROOM: u32 = 1 << 20;
/// The subsystem's number, for a batch.
const NF_TABLES: u16 = 10;
/// `NFT_MSG_DELSETELEM`.
const DELETE_ELEMENTS: u16 = NF_TABLES << 8 | 14;

/// The kernel's numbers of its hooks (`NF_INET_PRE_ROUTING` and so on).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Before the route is looked up.
    Prerouting,
    /// To this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
}

/// Where on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Point {
    /// Before everything.
    Begin,
    /// Behind raw, before conntrack.
    BehindRaw,
    /// Right before filter.
    BeforeFilter,
    /// Behind everything.
    End,
}

const POINTS: [Point; 4] = [Point::Begin, Point::BehindRaw, Point::BeforeFilter, Point::End];

/// A stage with its number, hook and priority. Reassembly is at -400, raw at -300, conntrack at -200, dstnat at -100, filter at 0.
const CHAINS: [(Place, Point, i32); 9] = [
    (Place::Prerouting, Point::Begin, -450),
    (Place::Prerouting, Point::BehindRaw, -290),
    (Place::Output, Point::Begin, -450),
    (Place::Output, Point::BehindRaw, -290),
    (Place::Input, Point::BeforeFilter, -10),
    (Place::Forward, Point::BeforeFilter, -10),
    (Place::Output, Point::BeforeFilter, -10),
    (Place::Input, Point::End, 400),
    (Place::Forward, Point::End, 400),
];
/// What leaves passes this one last, too.
const OUTPUT_END: (Place, Point, i32) = (Place::Output, Point::End, 400);
/// Behind conntrack, before translation.
const STATE_PRIORITY: i32 = -190;

fn hook(place: Place) -> u32 {
    match place {
        Place::Prerouting => 0,
        Place::Input => 1,
        Place::Forward => 2,
        Place::Output => 3,
    }
}

fn stage(place: Place, point: Point) -> u32 {
    let point = POINTS.iter().position(|&known| known == point).unwrap_or(0);
    hook(place) << 8 | u32::try_from(point).unwrap_or(0)
}

/// What conntrack said of a packet, as bits of `ct state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct StateBits(pub(super) u32);

impl StateBits {
    pub(super) const INVALID: u32 = 1;
    pub(super) const ESTABLISHED: u32 = 2;
    pub(super) const RELATED: u32 = 4;
    pub(super) const NEW: u32 = 8;
    pub(super) const UNTRACKED: u32 = 64;
}

/// What was written down of one packet.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    stages: Vec<u32>,
    pub(super) states: StateBits,
}

impl Notes {
    pub(super) fn saw(&self, place: Place, point: Point) -> bool {
        self.stages.contains(&stage(place, point))
    }
}

/// The table, loaded. It vanishes with the namespace.
pub(super) struct Observer {
    socket: Socket,
    tracks: bool,
}

impl Observer {
    /// Loads the table, in the place of an earlier one. `tracks` says whether the kernel may be asked about conntrack.
    pub(super) fn load(tracks: bool) -> Result<Self, KernelError> {
        let mut observer = Observer { socket: Socket::open()?, tracks };
        let named = |kind, flags: u16| Request::netfilter(kind, flags, INET).with_text(table::NAME, TABLE);
        let create = libc::NLM_F_CREATE as u16;
        let mut batch = vec![named(message::NEW_TABLE, create), named(message::DELETE_TABLE, 0)];
        batch.push(named(message::NEW_TABLE, create));
        batch.extend([set_of(STAGES, 1), set_of(STATES, 2)]);
        for &(place, point, priority) in CHAINS.iter().chain([&OUTPUT_END]) {
            let name = format!("{place:?}-{point:?}");
            batch.push(chain_at(&name, place, priority));
            batch.push(unless_multicast(&name));
            batch.push(noting(&name, STAGES, 1, immediate(stage(place, point))));
        }
        if tracks {
            for place in [Place::Prerouting, Place::Output] {
                let name = format!("{place:?}-State");
                batch.push(chain_at(&name, place, STATE_PRIORITY));
                batch.push(unless_multicast(&name));
                batch.push(noting(&name, STATES, 2, load("ct", 0, REGISTER_2)));
            }
        }
        observer.batch("load the observer's table", batch)?;
        Ok(observer)
    }

    /// Forgets all packets.
    pub(super) fn clear(&mut self) -> Result<(), KernelError> {
        let empty = |name: &str| {
            Request::netfilter(DELETE_ELEMENTS, 0, INET)
                .with_text(elements::TABLE, TABLE)
                .with_text(elements::SET, name)
        };
        self.batch("empty the observer's sets", vec![empty(STAGES), empty(STATES)])
    }

    /// What was written down, by the packets' numbers.
    pub(super) fn read(&mut self) -> Result<HashMap<u32, Notes>, KernelError> {
        let mut all: HashMap<u32, Notes> = HashMap::new();
        for (number, stage) in self.pairs(STAGES)? {
            all.entry(number).or_default().stages.push(stage);
        }
        if self.tracks {
            for (number, state) in self.pairs(STATES)? {
                all.entry(number).or_default().states.0 |= state;
            }
        }
        Ok(all)
    }

    fn pairs(&mut self, name: &str) -> Result<Vec<(u32, u32)>, KernelError> {
        let asked = "read the observer's sets";
        let malformed = |why| KernelError::Malformed { asked, why };
        let request = Request::netfilter(message::GET_ELEMENTS, 0, INET)
            .with_text(elements::TABLE, TABLE)
            .with_text(elements::SET, name);
        self.socket.dump(asked, &request, Vec::new, |found: &mut Vec<(u32, u32)>, message| {
            let fields = Fields::of(message.attributes()).map_err(malformed)?;
            for item in wire::attributes(fields.get(elements::ELEMENTS).unwrap_or(&[])) {
                found.push(pair(item.map_err(malformed)?.value).map_err(malformed)?);
            }
            Ok(())
        })
    }

    fn batch(&mut self, asked: &'static str, requests: Vec<Request>) -> Result<(), KernelError> {
        let first = self.socket.reserve(u32::try_from(requests.len() + 2).unwrap_or(u32::MAX));
        // In these two the family's place is AF_UNSPEC, and the subsystem stands in the last two bytes, in network order.
        let mark = |kind| Request::with_header(kind, libc::NLM_F_REQUEST as u16, &[0, 0, 0, NF_TABLES as u8]);
        let all = std::iter::once(mark(message::BATCH_BEGIN)).chain(requests).chain([mark(message::BATCH_END)]);
        let bytes: Vec<u8> = all
            .zip(first..)
            .flat_map(|(request, sequence)| request.flagged(libc::NLM_F_REQUEST as u16).finish(sequence))
            .collect();
        self.socket.send(&[&bytes]).map_err(|errno| KernelError::Call { doing: "send to netlink", errno })?;
        let mut refused = None;
        self.socket.drain(asked, |answer| {
            let errno = answer.status().map(|status| Errno::from_raw(status.saturating_neg()));
            refused = refused.or(errno.filter(|&errno| errno as i32 != 0));
            Ok(false)
        })?;
        refused.map_or(Ok(()), |errno| Err(KernelError::Refused { asked, errno }))
    }
}

fn pair(item: &[u8]) -> Result<(u32, u32), Malformed> {
    let key = Fields::of(item)?.get(element::KEY).ok_or(Malformed::Missing(element::KEY))?;
    let value = Fields::of(key)?.get(data::VALUE).ok_or(Malformed::Missing(data::VALUE))?;
    let word = |at: usize| value.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    match (word(0), word(4)) {
        (Some(number), Some(second)) => Ok((u32::from_ne_bytes(number), u32::from_ne_bytes(second))),
        _ => Err(Malformed::Missing(data::VALUE)),
    }
}

/// A set of two words a key, to which rules add.
fn set_of(name: &str, id: u32) -> Request {
    // NFT_SET_EVAL; NFTA_SET_KEY_TYPE 4, NFTA_SET_KEY_LEN 5, NFTA_SET_DESC 9 with NFTA_SET_DESC_SIZE 1.
    Request::netfilter(message::NEW_SET, libc::NLM_F_CREATE as u16, INET)
        .with_text(set::TABLE, TABLE)
        .with_text(set::NAME, name)
        .with_be32(set::FLAGS, 0x20)
        .with_be32(4, 0)
        .with_be32(set::KEY_LENGTH, 8)
        .with_nested(9, |description| description.with_be32(1, ROOM))
        .with_be32(set::ID, id)
}

fn chain_at(name: &str, place: Place, priority: i32) -> Request {
    Request::netfilter(message::NEW_CHAIN, libc::NLM_F_CREATE as u16, INET)
        .with_text(chain::TABLE, TABLE)
        .with_text(chain::NAME, name)
        .with_nested(chain::HOOK, |request| {
            // NFTA_HOOK_PRIORITY is 2.
            request.with_be32(chain::HOOK_NUMBER, hook(place)).with(2, &priority.to_be_bytes())
        })
        .with_text(chain::TYPE, "filter")
}

/// A rule that looks away from IPv6 multicast: the kernel's own listener reports, sent while a packet is under way, may carry its mark.
fn unless_multicast(chain: &str) -> Request {
    // NFT_META_NFPROTO is 15; NFTA_CMP register 1, operation 2 (0 is equal), data 3; NFTA_PAYLOAD register 1, base 2 (1 is the network
    // header), offset 3, length 4; a verdict stands in register 0.
    let equals = |value: u8| {
        move |list: Request| {
            list.with_nested(1, |item| {
                item.with_text(expression::NAME, "cmp").with_nested(expression::DATA, |fields| {
                    let fields = fields.with_be32(1, REGISTER_1).with_be32(2, 0);
                    fields.with_nested(3, |inner| inner.with(data::VALUE, &[value]))
                })
            })
        }
    };
    let first_byte_of_destination = |list: Request| {
        list.with_nested(1, |item| {
            item.with_text(expression::NAME, "payload").with_nested(expression::DATA, |fields| {
                fields.with_be32(1, REGISTER_1).with_be32(2, 1).with_be32(3, 24).with_be32(4, 1)
            })
        })
    };
    let accept = |list: Request| {
        list.with_nested(1, |item| {
            item.with_text(expression::NAME, "immediate").with_nested(expression::DATA, |fields| {
                // NFTA_DATA_VERDICT 2 with NFTA_VERDICT_CODE 1: NF_ACCEPT.
                fields.with_be32(1, 0).with_nested(2, |inner| inner.with_nested(2, |code| code.with_be32(1, 1)))
            })
        })
    };
    rule_in(chain).with_nested(rule::EXPRESSIONS, |list| {
        let list = equals(libc::NFPROTO_IPV6 as u8)(load("meta", 15, REGISTER_1)(list));
        accept(equals(0xff)(first_byte_of_destination(list)))
    })
}

fn rule_in(chain: &str) -> Request {
    Request::netfilter(message::NEW_RULE, (libc::NLM_F_CREATE | libc::NLM_F_APPEND) as u16, INET)
        .with_text(rule::TABLE, TABLE)
        .with_text(rule::CHAIN, chain)
}

/// `NFT_REG32_00` and the one behind it.
const REGISTER_1: u32 = 8;
const REGISTER_2: u32 = 9;

/// A rule that adds the packet's number, and what `second` loads, to a set.
fn noting(chain: &str, set: &str, id: u32, second: impl FnOnce(Request) -> Request) -> Request {
    rule_in(chain).with_nested(rule::EXPRESSIONS, |list| {
        // NFT_META_MARK is 3, with the destination register in attribute 1 and the key in 2.
        let list = load("meta", 3, REGISTER_1)(list);
        second(list).with_nested(1, |item| {
            // NFTA_DYNSET: set 1, its id 2, operation 3 (0 adds), key 4.
            item.with_text(expression::NAME, "dynset").with_nested(expression::DATA, |fields| {
                fields.with_text(1, set).with_be32(2, id).with_be32(3, 0).with_be32(4, REGISTER_1)
            })
        })
    })
}

/// `meta` has its register in attribute 1 and its key in 2, `ct` as well (`NFTA_CT_DREG` 1, `NFTA_CT_KEY` 2).
fn load(name: &'static str, key: u32, register: u32) -> impl FnOnce(Request) -> Request {
    move |list: Request| {
        list.with_nested(1, |item| {
            item.with_text(expression::NAME, name)
                .with_nested(expression::DATA, |fields| fields.with_be32(1, register).with_be32(2, key))
        })
    }
}

/// A constant, in the processor's own order as the mark is.
fn immediate(value: u32) -> impl FnOnce(Request) -> Request {
    move |list: Request| {
        list.with_nested(1, |item| {
            item.with_text(expression::NAME, "immediate").with_nested(expression::DATA, |fields| {
                // NFTA_IMMEDIATE_DREG 1, NFTA_IMMEDIATE_DATA 2.
                fields.with_be32(1, REGISTER_2).with_nested(2, |inner| inner.with(data::VALUE, &value.to_ne_bytes()))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_a_number_of_its_own() {
        let all: std::collections::HashSet<u32> = [Place::Prerouting, Place::Input, Place::Forward, Place::Output]
            .iter()
            .flat_map(|&place| POINTS.iter().map(move |&point| stage(place, point)))
            .collect();
        assert_eq!(all.len(), 16);
    }
}
