//! What became of a packet, as the observer's notes say.

use std::fmt;
use std::net::IpAddr;

use nix::errno::Errno;

use super::observer::{Notes, Place, Point, StateBits};
use super::{States, over_lo};
use crate::net::Interface;
use crate::packet::{Fragment, Packet};
use crate::spec::{Direction, Fate, State, Tracking};

/// What became of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The firewall decided.
    Decided(Observation),
    /// It did not get so far.
    NotSent(Reason),
}

/// What was seen of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Whether it passed the firewall.
    pub fate: Fate,
    /// Whether conntrack follows it. `None`: it was dropped before that was decided.
    pub tracking: Option<Tracking>,
    /// What conntrack said, of a packet that it looked at.
    pub state: Option<State>,
    /// The last hook at whose filter it was seen.
    pub filter: Option<Place>,
}

/// Why the firewall did not decide about a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// An address that a packet on this way cannot have.
    Address(IpAddr),
    /// It has another direction than its addresses or its interface allow.
    Direction,
    /// No interface of that name was laid.
    Interface(Interface),
    /// The kernel keeps fragments until the packet is whole.
    Held,
    /// The kernel threw it away before or between the firewall's chains: no route, or a header that it does not take.
    Undelivered,
    /// The kernel did not take it for sending.
    Refused(Errno),
    /// Conntrack calls it something else: what it says of such a packet.
    State(State),
    /// Conntrack cannot be made to know its flow.
    Flow(Errno),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Address(address) => write!(f, "a packet on this way cannot have the address {address}"),
            Reason::Direction => f.write_str("it cannot go this way by this interface"),
            Reason::Interface(name) => write!(f, "no interface `{name}` could be made"),
            Reason::Held => f.write_str("the kernel holds a fragment back until the packet is whole"),
            Reason::Undelivered => f.write_str("the kernel throws it away before the firewall decides"),
            Reason::Refused(errno) => write!(f, "the kernel does not send it: {}", errno.desc()),
            Reason::State(state) => {
                let word = match state {
                    State::New => "new",
                    State::Established => "established",
                    State::Related => "related",
                    State::Invalid => "invalid",
                };
                write!(f, "conntrack calls such a packet {word}")
            }
            Reason::Flow(errno) => write!(f, "conntrack does not take its flow: {}", errno.desc()),
        }
    }
}

/// What the notes say became of a packet.
pub(super) fn judge(packet: &Packet, notes: Option<&Notes>, tracks: bool, states: States) -> Outcome {
    let nowhere = Notes::default();
    let notes = notes.unwrap_or(&nowhere);
    let held = if packet.fragment == Fragment::Whole { Reason::Undelivered } else { Reason::Held };
    let raws: &[Place] = match packet.direction {
        _ if over_lo(packet) => &[Place::Output, Place::Prerouting],
        Direction::Out => &[Place::Output],
        Direction::In | Direction::Forward => &[Place::Prerouting],
    };
    let filters: &[Place] = match packet.direction {
        _ if over_lo(packet) => &[Place::Output, Place::Input],
        Direction::Out => &[Place::Output],
        Direction::In | Direction::Forward => &[Place::Input, Place::Forward],
    };
    let came = |place: &&Place| notes.saw(**place, Point::BeforeFilter);
    let passed = |place: &Place| notes.saw(*place, Point::End);
    let filter = filters.iter().rfind(came).copied();
    // Reassembly stands between the first stage and raw.
    let reassembles = tracks && packet.fragment != Fragment::Whole;
    let dropped_in_raw =
        !reassembles && raws.iter().any(|&place| notes.saw(place, Point::Begin) && !notes.saw(place, Point::BehindRaw));
    let fate = match filter {
        _ if dropped_in_raw => Fate::Drop,
        Some(place) if !passed(&place) => Fate::Drop,
        Some(_) if over_lo(packet) && filter == Some(Place::Output) => return Outcome::NotSent(held),
        Some(_) => Fate::Accept,
        None => return Outcome::NotSent(held),
    };
    let (tracking, state) = read_state(notes.states, tracks);
    match state {
        Some(found) if states == States::Asked && found != packet.state => Outcome::NotSent(Reason::State(found)),
        _ => Outcome::Decided(Observation { fate, tracking, state, filter }),
    }
}

fn read_state(StateBits(bits): StateBits, tracks: bool) -> (Option<Tracking>, Option<State>) {
    if !tracks {
        return (Some(Tracking::Untracked), None);
    }
    if bits & StateBits::UNTRACKED != 0 {
        return (Some(Tracking::Untracked), None);
    }
    let known = [
        (StateBits::NEW, State::New),
        (StateBits::RELATED, State::Related),
        (StateBits::ESTABLISHED, State::Established),
        (StateBits::INVALID, State::Invalid),
    ];
    match known.into_iter().find(|&(bit, _)| bits & bit != 0) {
        Some((_, state)) => (Some(Tracking::Tracked), Some(state)),
        None => (None, None),
    }
}
