//! The tests of a spec, held against its rules.
//!
//! [`run`] is pure: a policy and its rules in, a [`TestResult`] for each test out. A test with `reply: true` has two legs, and both are held against
//! what it asserts.

use super::{Journey, Packet, answer, evaluate};
use crate::net::{Family, PacketHeader, TcpFlags};
use crate::policy::Policy;
use crate::ruleset::{Leg, Ruleset};
use crate::spec::{Direction, Fate, Test, Tracking};

/// A test with what became of its packets.
#[derive(Debug, Clone)]
pub struct TestResult<'a> {
    /// Its number in the spec, from 1.
    pub number: usize,
    /// What was written.
    pub test: &'a Test,
    /// Why no packet can be what the test says; it fails then whatever the rules do.
    pub impossible: Option<Impossible>,
    /// The packet and, with `reply: true`, its answer.
    pub legs: Vec<LegResult<'a>>,
}

impl TestResult<'_> {
    /// Whether everything is as the test says.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.impossible.is_none() && self.legs.iter().all(LegResult::passed)
    }
}

/// One of a test's packets.
#[derive(Debug, Clone)]
pub struct LegResult<'a> {
    /// Whether it is the packet as written or its answer.
    pub leg: Leg,
    /// As it sets out.
    pub packet: Packet,
    /// What it met.
    pub journey: Journey<'a>,
    /// Where `expect` says otherwise: what it says.
    pub expected_fate: Option<Fate>,
    /// Where `tracking` says otherwise: what it says.
    pub expected_tracking: Option<Tracking>,
}

impl LegResult<'_> {
    /// Whether everything is as the test says.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.expected_fate.is_none() && self.expected_tracking.is_none()
    }
}

/// Why a test is about nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Impossible {
    /// `reply: true` of a packet that nothing answers: an ICMP error, a reply, a reset.
    Unanswered,
    /// `direction: forward` over `lo`.
    ForwardedLoopback,
}

/// Runs all tests of a policy.
#[must_use]
pub fn run<'a>(policy: &'a Policy, ruleset: &'a Ruleset) -> Vec<TestResult<'a>> {
    (1..).zip(&policy.tests).map(|(number, test)| one(ruleset, number, test)).collect()
}

fn one<'a>(ruleset: &'a Ruleset, number: usize, test: &'a Test) -> TestResult<'a> {
    let packet = Packet::of_test(test);
    let journey = evaluate(ruleset, &packet);
    let back = replies(test).then(|| answer(ruleset, &packet, &journey));
    let impossible = impossible(test, &packet);
    let legs = std::iter::once((Leg::Request, packet, journey)).chain(back.map(|(p, j)| (Leg::Reply, p, j)));
    TestResult { number, test, impossible, legs: legs.map(|(leg, p, j)| held(test, leg, p, j)).collect() }
}

fn held<'a>(test: &Test, leg: Leg, packet: Packet, journey: Journey<'a>) -> LegResult<'a> {
    let expected_fate = test.expect.map(|expect| expect.value).filter(|&fate| fate != journey.fate);
    let expected_tracking = test.tracking.map(|tracking| tracking.value).filter(|&said| said != journey.tracking);
    LegResult { leg, packet, journey, expected_fate, expected_tracking }
}

/// Whether a test is about the answer, too.
fn replies(test: &Test) -> bool {
    test.reply.is_some_and(|reply| reply.value)
}

fn impossible(test: &Test, packet: &Packet) -> Option<Impossible> {
    let is_lo = packet.interface.as_ref().is_some_and(|interface| interface.as_str() == "lo");
    if is_lo && packet.direction == Direction::Forward {
        return Some(Impossible::ForwardedLoopback);
    }
    (replies(test) && !is_answered(packet)).then_some(Impossible::Unanswered)
}

/// Whether something can come back.
#[must_use]
pub fn is_answered(packet: &Packet) -> bool {
    match packet.header {
        PacketHeader::Icmp(kind) => kind == if packet.family() == Family::V4 { 8 } else { 128 },
        PacketHeader::Tcp(_, _, TcpFlags(bits)) => bits & RESET == 0,
        PacketHeader::Ports(..) | PacketHeader::Plain(_) => true,
    }
}

/// RST in the header's 13th byte.
const RESET: u8 = 4;
