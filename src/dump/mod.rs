//! Rulesets as tools write them down and as the kernel lists them, whoever made them: one model for all.
//!
//! A [`Dump`] is what a reader makes of a text or of netlink messages: `iptables-save`, `nft -j list ruleset`, fwc's own nft text, its own
//! netlink messages, and a [`crate::ruleset::Ruleset`] too, so that all of them can be held against each other. A reader drops nothing: what it
//! does not understand becomes [`Test::Opaque`], [`Verdict::Unknown`] or an [`Unread`] line.
//!
//! Values are in host byte order. Chains are jumped to by [`ChainId`], so a jump into nowhere cannot be written down.

mod builder;
mod cycles;
pub mod ipset;
mod listing;
pub mod live;
pub mod nat;
pub mod netlink;
pub mod nft_json;
mod nft_names;
pub mod nft_text;
mod of_ruleset;
mod position;
mod translation;
mod words;
pub mod xtables;

use std::sync::Arc;

pub use crate::net::InterfacePattern;
use crate::net::{AddressSet, Family, RangeSet};
use crate::source::Place;
use crate::spec::Fate;

pub use of_ruleset::of_ruleset;
pub use position::Position;
pub use translation::{Translation, TranslationKind, Varies};

/// A whole ruleset, or as much of it as one source tells.
#[derive(Debug, Clone, Default)]
pub struct Dump {
    /// Every chain, in the order in which the source has them.
    pub chains: Vec<Chain>,
    /// The families that the source speaks for: one for an iptables-save file, both for nf_tables.
    pub families: Vec<Family>,
    /// What the reader could not make anything of. Nothing of it is in `chains`.
    pub unread: Vec<Unread>,
}

/// Something that a reader could not make anything of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Where.
    pub place: Place,
    /// Why, in words: lower case, no full stop.
    pub why: String,
}

/// A chain of a [`Dump`]: an index into [`Dump::chains`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(pub usize);

/// A chain.
#[derive(Debug, Clone)]
pub struct Chain {
    /// The table, as its tool names it: `filter` of iptables-save, `inet fwc` of nftables.
    pub table: String,
    /// The family whose packets come here; `None` is both (an `inet` table).
    pub family: Option<Family>,
    /// Its name.
    pub name: String,
    /// Where the kernel calls it; `None` for a chain that others jump to.
    pub base: Option<Base>,
    /// In order.
    pub rules: Vec<Rule>,
    /// Where it is declared.
    pub place: Place,
}

/// How a base chain is hooked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// The hook.
    pub hook: Hook,
    /// Its place among the chains of the hook: the lowest first. iptables' raw is -300, mangle -150, nat -100 (source NAT 100), filter 0.
    pub priority: i32,
    /// What kind of chain it is.
    pub kind: ChainKind,
    /// What becomes of a packet that reaches its end.
    pub policy: Fate,
}

/// A netfilter hook of the IP families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// What comes in, before routing.
    Prerouting,
    /// To this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
    /// What leaves, after routing.
    Postrouting,
}

/// The type of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainKind {
    /// Rules see every packet.
    Filter,
    /// Only the first packet of a tracked flow comes here.
    Nat,
    /// As filter; a packet whose mark or address was changed is routed again.
    Route,
}

/// A rule: where all conditions hold, the effects happen, then the verdict.
#[derive(Debug, Clone)]
pub struct Rule {
    /// All of them must hold.
    pub conditions: Vec<Condition>,
    /// What happens on the way.
    pub effects: Vec<Effect>,
    /// How it ends.
    pub verdict: Verdict,
    /// The rule's line or, for a source without lines, its line in a listing that the reader has added to the sources.
    pub place: Place,
    /// What its author wrote about it.
    pub comment: Option<Arc<str>>,
    /// By what the program that looks after it finds it; `None` for a source that does not say.
    pub position: Option<Position>,
}

/// What a rule does besides its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The packet is not tracked.
    Notrack,
    /// Sets the packet's or the connection's mark.
    Mark(String),
    /// Anything that changes neither the packet's way nor what later rules see: `log`, `counter`, `TCPMSS`.
    Harmless(String),
    /// Anything else, as written: a helper, synproxy, a set that packets are added to.
    Other(String),
}

/// What becomes of the packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The next rule.
    Continue,
    /// Ends this base chain; the packet goes on to the next.
    Accept,
    /// Ends the packet.
    Drop,
    /// Ends the packet, and tells the sender.
    Reject,
    /// Back to the chain that jumped here; in a base chain, its policy.
    Return,
    /// Through a chain, and back.
    Jump(ChainId),
    /// To a chain; its end is the end of this one.
    Goto(ChainId),
    /// Translates, and ends the chain.
    Translate(Translation),
    /// Something that is not followed, as written: `queue`, an unknown target.
    Unknown(String),
}

/// A condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Whether the test must fail. A packet that lacks what is asked for (ports of a later fragment, an address of the other family) meets
    /// neither the test nor its negation. In a hook without such an interface, the interface has an empty name.
    pub negated: bool,
    /// What is asked.
    pub test: Test,
}

impl Condition {
    /// A condition that is not negated.
    #[must_use]
    pub fn is(test: Test) -> Self {
        Condition { negated: false, test }
    }

    /// A condition that is negated.
    #[must_use]
    pub fn not(test: Test) -> Self {
        Condition { negated: true, test }
    }
}

/// Which end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}

/// Which of a packet's interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// The one it came in on: known in prerouting, input and forward.
    In,
    /// The one it goes out by: known in forward, output and postrouting.
    Out,
}

/// What can be asked of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Test {
    /// Its family.
    Family(Family),
    /// An address among these. A packet of a family of which the set has no address does not meet it; for the negation, the packet
    /// must be of a family of which the set has addresses.
    Address(Side, Arc<AddressSet>),
    /// Whether an address is this host's own (`fib daddr type local`, `addrtype --dst-type LOCAL`).
    Local(Side),
    /// The protocol in the IP header, or of an IPv6 packet's last header.
    Protocol(RangeSet<u8>),
    /// A port, of a TCP, UDP, UDP-Lite, SCTP or DCCP packet that has its header.
    Port(Side, RangeSet<u16>),
    /// ICMP (V4) or ICMPv6 (V6) of these types and codes, of a packet that has its header.
    Icmp(Family, RangeSet<u8>, RangeSet<u8>),
    /// TCP flags: those of `mask` are exactly `value`.
    TcpFlags {
        /// Which flags are looked at.
        mask: u8,
        /// Which of them are set.
        value: u8,
    },
    /// An interface with one of these names.
    Interface(Way, Vec<InterfacePattern>),
    /// Which part of an IP packet it is.
    Fragment(Parts),
    /// What conntrack says.
    State(States),
    /// Whether the flow's destination (or source) has been translated: `ct status dnat`, `--ctstate DNAT`.
    Translated(Side),
    /// The flow's destination before any translation. Only a tracked packet has one.
    OriginalDestination(Arc<AddressSet>),
    /// The flow's destination port before any translation. Only a tracked packet has one.
    OriginalPort(RangeSet<u16>),
    /// Several things at once, looked up in a set.
    Keys(Vec<Selector>, Arc<Keys>),
    /// At least one of these holds. Never empty.
    AnyOf(Vec<Condition>),
    /// No packet meets it.
    Never,
    /// Not understood, as written.
    Opaque {
        /// The words. Where they are the same, the same is asked.
        text: Arc<str>,
        /// Whether the same packet may be answered differently the next time: a rate limit, a mark, a set that packets are added to.
        volatile: bool,
    },
}

/// The elements of a set whose keys have several fields, or are interfaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Keys {
    /// One value for each selector.
    pub elements: Vec<Vec<Value>>,
}

/// A field of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// An address of this family.
    Address(Family, Side),
    /// The protocol.
    Protocol,
    /// A port.
    Port(Side),
    /// An interface.
    Interface(Way),
    /// The destination before a translation, of this family.
    OriginalDestination(Family),
}

/// The value or range of values of one field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// First and last of addresses, ports or protocols, as numbers.
    Numbers(u128, u128),
    /// An interface.
    Interface(InterfacePattern),
}

/// Which parts of IP packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Parts {
    /// Packets that are no fragment.
    pub whole: bool,
    /// First fragments: offset 0, and more to come.
    pub first: bool,
    /// Fragments with an offset above 0: they have no header behind the IP header.
    pub later: bool,
}

impl Parts {
    /// Fragments with an offset above 0.
    pub const LATER: Parts = Parts { whole: false, first: false, later: true };
    /// First fragments.
    pub const FIRST: Parts = Parts { whole: false, first: true, later: false };
    /// Any fragment.
    pub const FRAGMENT: Parts = Parts { whole: false, first: true, later: true };
}

/// Which answers of conntrack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct States {
    /// The first packet of a flow.
    pub new: bool,
    /// A packet of a flow that has been seen in both directions.
    pub established: bool,
    /// A packet that belongs to another flow.
    pub related: bool,
    /// A packet that conntrack can make nothing of.
    pub invalid: bool,
    /// A packet that is not tracked.
    pub untracked: bool,
}

impl Dump {
    /// The chain behind an id.
    #[must_use]
    pub fn chain(&self, id: ChainId) -> Option<&Chain> {
        self.chains.get(id.0)
    }

    /// The base chains of a hook that packets of this family pass, in the order in which they pass them.
    #[must_use]
    pub fn at(&self, hook: Hook, family: Family) -> Vec<(&Chain, Base)> {
        let here = |chain: &Chain| chain.base.filter(|base| base.hook == hook);
        let mut found: Vec<(&Chain, Base)> = self
            .chains
            .iter()
            .filter(|chain| chain.family.is_none_or(|only| only == family))
            .filter_map(|chain| here(chain).map(|base| (chain, base)))
            .collect();
        found.sort_by_key(|(_, base)| base.priority);
        found
    }

    /// Every rule, with its chain.
    pub fn rules(&self) -> impl Iterator<Item = (&Chain, &Rule)> {
        self.chains.iter().flat_map(|chain| chain.rules.iter().map(move |rule| (chain, rule)))
    }

    /// Whether anything in it makes the kernel track the packets of a family: a look at conntrack, or NAT.
    #[must_use]
    pub fn tracks(&self, family: Family) -> bool {
        self.rules().filter(|(chain, _)| chain.family.is_none_or(|only| only == family)).any(|(_, rule)| {
            matches!(rule.verdict, Verdict::Translate(_))
                || rule.conditions.iter().any(|condition| condition.test.looks_at_conntrack())
        })
    }
}

impl Test {
    /// Whether the kernel must track to answer it.
    #[must_use]
    pub fn looks_at_conntrack(&self) -> bool {
        match self {
            Test::State(_) | Test::Translated(_) | Test::OriginalDestination(_) | Test::OriginalPort(_) => true,
            Test::Keys(selectors, _) => {
                selectors.iter().any(|selector| matches!(selector, Selector::OriginalDestination(_)))
            }
            Test::AnyOf(all) => all.iter().any(|condition| condition.test.looks_at_conntrack()),
            Test::Opaque { text, .. } => text.starts_with("ct ") || text.contains("conntrack"),
            _ => false,
        }
    }

    /// Whether the answer hangs on what happened to the packet before, so that it may be another in each chain.
    #[must_use]
    pub fn depends_on_tracking(&self) -> bool {
        match self {
            Test::AnyOf(all) => all.iter().any(|condition| condition.test.depends_on_tracking()),
            Test::Opaque { volatile, .. } => *volatile,
            other => other.looks_at_conntrack(),
        }
    }

    /// Whether it is understood.
    #[must_use]
    pub fn is_understood(&self) -> bool {
        match self {
            Test::Opaque { .. } => false,
            Test::AnyOf(all) => all.iter().all(|condition| condition.test.is_understood()),
            _ => true,
        }
    }
}
