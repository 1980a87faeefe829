//! The NAT rules among the rules that are live on this host: which packets each could match, and where it leads them.
//!
//! Rules count wherever they stand, also in chains that nothing jumps to, and in tables that are dormant or have no NAT hook yet: it takes one
//! command to wake them. What is not understood counts as NAT where the kernel would take NAT: in a chain of type nat or one that others jump to,
//! of a table with a NAT hook.

mod matching;

use std::collections::BTreeSet;

pub use matching::NatMatch;

use super::live::{Live, Ruleset};
use super::netlink::action::may_translate;
use super::{Base, Chain, ChainKind, Hook, Position, Rule, Translation, TranslationKind, Verdict};
use crate::net::{AddrRange, AddressSet, RangeSet};
use crate::policy::footprint::{Footprint, NatHook, NewAddress, Target};

/// One live NAT rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatRule {
    /// The program that looks after it, where it is one of legacy iptables.
    pub legacy: Option<&'static str>,
    /// Its table, as its program names it: `ip nat`, or `nat` of legacy iptables.
    pub table: String,
    /// Its chain's name.
    pub chain: String,
    /// Where in the chain.
    pub position: Option<Position>,
    /// What it does; `None` where that is not understood.
    pub kind: Option<TranslationKind>,
    /// For people, as in `ip nat POSTROUTING handle 4: oifname "eth0" masquerade`.
    pub text: String,
    /// Which packets.
    pub matching: NatMatch,
    /// The hooks at which it can be met.
    pub hooks: &'static [NatHook],
    /// Where the packets go then. `None` where the rule leaves the destination alone.
    pub target: Option<Target>,
}

impl NatRule {
    /// What the rule could match. A condition that is not understood only makes it match less.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        let NatMatch { family, protocol, source, destination, source_ports, destination_ports, never, .. } =
            self.matching.clone();
        Footprint {
            hooks: if never { &[] } else { self.hooks },
            family,
            protocols: protocol,
            source,
            destination,
            source_ports,
            destination_ports,
        }
    }
}

/// All NAT rules of a host but fwc's own, in the order of its listings.
#[must_use]
pub fn rules(live: &Live) -> Vec<NatRule> {
    live.rulesets.iter().flat_map(of_ruleset).collect()
}

fn of_ruleset(ruleset: &Ruleset) -> Vec<NatRule> {
    let chains = &ruleset.dump.chains;
    let is_nat = |chain: &&Chain| chain.base.is_some_and(|base| base.kind == ChainKind::Nat);
    let hooked: BTreeSet<&str> = chains.iter().filter(is_nat).map(|chain| chain.table.as_str()).collect();
    let mut found = Vec::new();
    for chain in chains {
        // nf_tables and x_tables take NAT in chains of type nat only, and below them (`nft_chain_validate_dependency`).
        let open = chain.base.is_none_or(|base| base.kind == ChainKind::Nat) && hooked.contains(chain.table.as_str());
        for rule in &chain.rules {
            match &rule.verdict {
                Verdict::Translate(does) => {
                    found.push(nat_rule(ruleset, chain, rule, Some(does.kind), &does.to_string(), target(does)));
                }
                Verdict::Unknown(words) if open && may_translate(words) => {
                    let words = words.strip_prefix("xt target ").unwrap_or(words);
                    found.push(nat_rule(ruleset, chain, rule, None, words, Some(Target::unknown())));
                }
                _ => {}
            }
        }
    }
    found
}

fn nat_rule(
    ruleset: &Ruleset,
    chain: &Chain,
    rule: &Rule,
    kind: Option<TranslationKind>,
    does: &str,
    target: Option<Target>,
) -> NatRule {
    let matching = NatMatch::of(chain.family, &rule.conditions);
    let program = ruleset.legacy.map(|program| format!("{program} ")).unwrap_or_default();
    let at = rule.position.map(|position| format!(" {position}")).unwrap_or_default();
    NatRule {
        legacy: ruleset.legacy,
        table: chain.table.clone(),
        chain: chain.name.clone(),
        position: rule.position,
        kind,
        text: format!("{program}{} {}{at}: {matching}{does}", chain.table, chain.name),
        matching,
        hooks: hooks(chain.base, kind),
        target,
    }
}

/// Where a rule can be met. A chain that others jump to is met wherever its kind of NAT is allowed.
fn hooks(base: Option<Base>, kind: Option<TranslationKind>) -> &'static [NatHook] {
    use NatHook::{Input, Output, Postrouting, Prerouting};
    match (base.map(|base| base.hook), kind) {
        (Some(Hook::Prerouting), _) => &[Prerouting],
        (Some(Hook::Output), _) => &[Output],
        (Some(Hook::Postrouting), _) | (None, Some(TranslationKind::Masquerade)) => &[Postrouting],
        (Some(Hook::Input), _) => &[Input],
        (None, Some(TranslationKind::Snat)) => &[Postrouting, Input],
        (None, Some(TranslationKind::Dnat | TranslationKind::Redirect)) => &[Prerouting, Output],
        // There is no NAT where packets are forwarded, so nothing is known of this one.
        (Some(Hook::Forward), _) | (None, Some(TranslationKind::Netmap) | None) => NatHook::ALL,
    }
}

/// Where a translation leads flows, if it changes the destination.
fn target(does: &Translation) -> Option<Target> {
    match does.kind {
        TranslationKind::Masquerade | TranslationKind::Snat => return None,
        TranslationKind::Netmap => return Some(Target::unknown()),
        TranslationKind::Dnat | TranslationKind::Redirect => {}
    }
    let address = match does.address {
        _ if does.kind == TranslationKind::Redirect => NewAddress::ThisHost,
        _ if does.varies.address => NewAddress::OneOf(AddressSet::all()),
        None => NewAddress::Kept,
        Some((a, b)) => {
            NewAddress::OneOf(AddrRange::between(a, b).map_or_else(AddressSet::all, |r| [r].into_iter().collect()))
        }
    };
    let ports = does.ports.map(|(first, last)| RangeSet::range(first, last));
    Some(Target { address, ports: if does.varies.port { Some(RangeSet::all()) } else { ports } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::Dump;
    use crate::source::{Place, Sources};
    use crate::spec::Fate;

    fn found(kind: Option<ChainKind>, verdict: Verdict) -> Vec<NatRule> {
        let mut sources = Sources::default();
        let place = Place { file: sources.add("nothing", ""), start: 0, end: 0 };
        let base = |kind| Base { hook: Hook::Output, priority: 0, kind, policy: Fate::Accept };
        let position = Some(Position::Handle(7));
        let rule = Rule { conditions: Vec::new(), effects: Vec::new(), verdict, place, comment: None, position };
        let chain = |name: &str, kind: Option<ChainKind>, rules| Chain {
            table: "ip t".to_string(),
            family: None,
            name: name.to_string(),
            base: kind.map(base),
            rules,
            place,
        };
        let chains = vec![chain("hooked", Some(ChainKind::Nat), Vec::new()), chain("c", kind, vec![rule])];
        of_ruleset(&Ruleset { dump: Dump { chains, ..Dump::default() }, legacy: None })
    }

    #[test]
    fn what_is_not_known_is_nat_where_nat_can_be() {
        let unknown = |words: &str| Verdict::Unknown(words.to_string());
        for (kind, hooks) in [(Some(ChainKind::Nat), &[NatHook::Output][..]), (None, NatHook::ALL)] {
            let [rule] = &found(kind, unknown("xt target FULLCONENAT"))[..] else { panic!("{kind:?}") };
            assert_eq!((rule.kind, rule.hooks), (None, hooks));
            assert_eq!((rule.text.as_str(), &rule.target), ("ip t c handle 7: FULLCONENAT", &Some(Target::unknown())));
            for harmless in ["queue", "synproxy name s", "vmap @ports", "xt target NFQUEUE", "verdict Some(9)"] {
                assert_eq!(found(kind, unknown(harmless)), [], "{harmless}");
            }
        }
        assert_eq!(found(Some(ChainKind::Filter), unknown("fullcone")), []);
        assert_eq!(found(Some(ChainKind::Nat), Verdict::Accept), []);
    }
}
