//! The way of a packet: which hooks it passes, in which order, and what it meets there.
//!
//! What this host sends to itself passes output and then prerouting and input, over `lo`. Conntrack decides in output: what is tracked there
//! stays tracked, what is untracked stays untracked, and prerouting translates nothing more.

use super::nat::{self, Undo};
use super::{Fragment, Journey, Packet, Step, matches};
use crate::net::{Family, PacketHeader};
use crate::ruleset::{Action, Chain, Hook, Ruleset};
use crate::spec::{Direction, Fate, State, Tracking};

/// Leads a packet through the rules: the whole way, with translations, loopback, and the kernel's reassembly of fragments.
#[must_use]
pub fn evaluate<'a>(ruleset: &'a Ruleset, packet: &Packet) -> Journey<'a> {
    Way::new(ruleset, packet.clone(), Undo::default()).whole()
}

/// The answer to a packet that made this journey: as it sets out, with its own journey. Where the packet was translated, the answer comes from the
/// new destination and goes to the new source, and conntrack undoes both on the way.
#[must_use]
pub fn answer<'a>(ruleset: &'a Ruleset, packet: &Packet, journey: &Journey<'a>) -> (Packet, Journey<'a>) {
    let undo = Undo::of(packet, journey);
    let back = journey.arrived.mirrored();
    let journey = Way::new(ruleset, back.clone(), undo).whole();
    (back, journey)
}

/// Leads a packet once through the raw and filter chains of its direction, as it is: what the rules of these chains alone say of it. A packet over
/// `lo` takes only one half of its way, and nothing is translated: one that was says so in [`Packet::translated_from`].
#[must_use]
pub fn evaluate_as_is<'a>(ruleset: &'a Ruleset, packet: &Packet) -> Journey<'a> {
    let mut way = Way::new(ruleset, packet.clone(), Undo::default());
    let [raw, filter] = match packet.direction {
        Direction::In => [Hook::RawPrerouting, Hook::Input],
        Direction::Out => [Hook::RawOutput, Hook::Output],
        Direction::Forward => [Hook::RawPrerouting, Hook::Forward],
    };
    let fate = way.pass(raw).and_then(|()| way.pass(filter));
    way.ended(fate)
}

/// The packet was dropped.
struct Dropped;

struct Way<'a> {
    ruleset: &'a Ruleset,
    packet: Packet,
    tracking: Tracking,
    /// Conntrack has seen the packet, so `notrack` comes too late.
    settled: bool,
    undo: Undo,
    steps: Vec<Step<'a>>,
}

impl<'a> Way<'a> {
    fn new(ruleset: &'a Ruleset, packet: Packet, undo: Undo) -> Self {
        let tracking = if ruleset.tracks { Tracking::Tracked } else { Tracking::Untracked };
        Way { ruleset, packet, tracking, settled: false, undo, steps: Vec::new() }
    }

    fn whole(mut self) -> Journey<'a> {
        // Conntrack reassembles before it looks, and so before raw. What this host sends is cut up behind the last hook.
        if self.ruleset.tracks || self.packet.direction == Direction::Out {
            self.packet.fragment = Fragment::Whole;
        }
        let over_lo = self.packet.direction != Direction::Forward
            && self.packet.interface.as_ref().is_some_and(|interface| interface.as_str() == "lo");
        let fate = match self.packet.direction {
            _ if over_lo => self.send().and_then(|()| self.receive()),
            Direction::Out => self.send(),
            Direction::In | Direction::Forward => self.receive(),
        };
        self.ended(fate)
    }

    fn send(&mut self) -> Result<(), Dropped> {
        self.packet.direction = Direction::Out;
        self.pass(Hook::RawOutput)?;
        self.look();
        self.settled = true;
        self.pass(Hook::Output)?;
        self.translate(Hook::NatPostrouting);
        Ok(())
    }

    fn receive(&mut self) -> Result<(), Dropped> {
        if self.settled {
            self.packet.direction = Direction::In;
        }
        self.pass(Hook::RawPrerouting)?;
        if !self.settled {
            self.look();
            self.translate(Hook::NatPrerouting);
        }
        if self.packet.direction == Direction::In {
            // The kernel reassembles IPv4 before input, and IPv6 only behind it.
            if self.packet.family() == Family::V4 {
                self.packet.fragment = Fragment::Whole;
            }
            return self.pass(Hook::Input);
        }
        self.pass(Hook::Forward)?;
        self.translate(Hook::NatPostrouting);
        Ok(())
    }

    fn chain(&self, hook: Hook) -> Option<&'a Chain> {
        self.ruleset.chains.iter().find(|chain| chain.hook == hook)
    }

    /// Through a raw or filter chain.
    fn pass(&mut self, hook: Hook) -> Result<(), Dropped> {
        let Some(chain) = self.chain(hook) else { return Ok(()) };
        let mut step = Step::new(hook, chain.policy);
        for rule in &chain.rules {
            if !matches(self.ruleset, hook, &rule.matching, &self.packet, self.tracking) {
                continue;
            }
            match rule.action {
                Action::Notrack => {
                    if !self.settled {
                        self.tracking = Tracking::Untracked;
                        step.untracked_by = step.untracked_by.or(Some(rule));
                    }
                    continue;
                }
                Action::Drop => step.fate = Fate::Drop,
                // Only nat chains translate; see `translate`.
                Action::Accept | Action::Masquerade | Action::Snat(_) | Action::Dnat(..) | Action::Redirect(_) => {
                    step.fate = Fate::Accept;
                }
            }
            step.decided_by = Some(rule);
            break;
        }
        let fate = step.fate;
        self.steps.push(step);
        if fate == Fate::Drop { Err(Dropped) } else { Ok(()) }
    }

    /// What conntrack decides by itself: it never follows neighbour discovery and multicast listener messages, unless they
    /// are damaged, which is invalid (`nf_conntrack_icmpv6_error`).
    fn look(&mut self) {
        let never = matches!(self.packet.header, PacketHeader::Icmp(130..=136 | 143));
        if never && self.packet.family() == Family::V6 && self.packet.state != State::Invalid {
            self.tracking = Tracking::Untracked;
        }
    }

    /// Through a nat hook. Rules are asked of the first packet of a tracked flow; what they said is undone for the answer.
    fn translate(&mut self, hook: Hook) {
        if self.tracking == Tracking::Untracked {
            return;
        }
        let step = match (self.packet.state, self.chain(hook)) {
            (State::New, Some(chain)) => Some(nat::first(self.ruleset, chain, &mut self.packet)),
            _ => self.undo.carry_out(hook, &mut self.packet),
        };
        self.steps.extend(step);
    }

    fn ended(self, fate: Result<(), Dropped>) -> Journey<'a> {
        let fate = if fate.is_ok() { Fate::Accept } else { Fate::Drop };
        Journey { steps: self.steps, tracking: self.tracking, fate, arrived: self.packet }
    }
}

impl Step<'_> {
    /// A chain that ends by its policy.
    pub(super) fn new(hook: Hook, policy: Fate) -> Self {
        Step { hook, untracked_by: None, decided_by: None, fate: policy, translation: None, depends: Vec::new() }
    }
}
