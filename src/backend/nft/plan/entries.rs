//! Rules of entries: a class of them is a lookup, and its endpoints are the elements.

use super::addresses::Where;
use super::classes::{Class, classes};
use super::literal;
use super::sorted::{Base, Kind, Restriction, Staged};
use super::{Draft, Planner, verdict};
use crate::backend::nft::program::{self, Condition, Selector, Side, Verdict};
use crate::net::Family;
use crate::ruleset::{Hook, Leg};

impl Planner<'_> {
    /// Sets and rules for what becomes elements in one stage.
    pub(super) fn entries(&mut self, draft: &mut Draft, staged: &mut Staged) {
        let mut guarded = Vec::new();
        for class in classes(self.policy_sets, staged) {
            let rules = self.class(draft.hook, &class);
            let target = if class.base.guarded { &mut guarded } else { &mut draft.rules };
            target.extend(rules);
        }
        if !guarded.is_empty() {
            self.guard(draft, guarded);
        }
    }

    /// A chain for replies: TCP connection requests leave it at once.
    fn guard(&mut self, draft: &mut Draft, accepting: Vec<program::Rule>) {
        let wish = match draft.hook {
            Hook::Input => "client_replies",
            Hook::Forward => "forward_replies",
            _ => "service_replies",
        };
        let name = self.chain_names.unique(wish);
        let mut rules = vec![plain(vec![Condition::BareSyn(true)], Verdict::Return, Some("fwc: no reply"))];
        rules.extend(accepting);
        draft.regular.push(program::Chain { name: name.clone(), base: None, rules });
        draft.rules.push(plain(Vec::new(), Verdict::Jump(name), None));
    }

    /// The rules of one class: one for each shape of its keys, family and kind of set.
    fn class(&mut self, hook: Hook, class: &Class<'_>) -> Vec<program::Rule> {
        let base = class.base;
        let mut rules = Vec::new();
        for keyed in self.keyed(hook, class) {
            let lookup = Condition::In(keyed.selectors.clone(), keyed.set);
            for conditions in self.before_lookup(hook, base, class.restriction(), keyed.family) {
                let mut conditions = conditions;
                let local = literal::locality(base.locality);
                // A counting lookup comes last, so that it counts what is accepted and nothing else; one that does not count is cheaper than
                // a look into the routing table.
                if keyed.counted {
                    conditions.extend(local);
                    conditions.push(lookup.clone());
                } else {
                    conditions.push(lookup.clone());
                    conditions.extend(local);
                }
                if let Some(family) = keyed.family
                    && !conditions.iter().any(|condition| condition.family().is_some())
                {
                    conditions.insert(0, Condition::Family(family));
                }
                let (verdict, place) = (verdict(base.action), class.place());
                rules.push(program::Rule { conditions, counter: false, verdict, comment: None, place });
            }
        }
        rules
    }

    /// What a class asks for, as conditions: several ways where addresses stand in two sets.
    fn before_lookup(
        &mut self,
        hook: Hook,
        base: Base,
        restriction: &Restriction,
        family: Option<Family>,
    ) -> Vec<Vec<Condition>> {
        let (server, peer) = sides(base.leg);
        let ways = |planner: &mut Self, side, addresses| match family {
            Some(family) => planner.ways(Where::Header(side), addresses, family),
            None => vec![None],
        };
        let servers = ways(self, server, restriction.server);
        let peers = ways(self, peer, restriction.peer);
        let mut all = Vec::new();
        for (server_way, peer_way) in servers.iter().flat_map(|s| peers.iter().map(move |p| (s, p))) {
            let mut conditions: Vec<Condition> =
                literal::interfaces(hook, &restriction.interfaces).into_iter().collect();
            if base.tracked {
                conditions.push(Condition::State(program::ConntrackState::New));
            }
            if let (Kind::Fragments, Some(family)) = (base.kind, family) {
                conditions.push(Condition::LaterFragment(family));
            }
            conditions.extend([peer_way, server_way].into_iter().flatten().cloned());
            if let Some(ports) = &restriction.peer_ports {
                conditions.push(Condition::Ports(None, peer, ports.ranges().to_vec()));
            }
            all.push(conditions);
        }
        all
    }
}

/// The set that holds a class's keys of one shape, and who may be in it.
pub(super) struct Keyed {
    pub(super) set: program::SetId,
    pub(super) selectors: Vec<Selector>,
    pub(super) counted: bool,
    /// The family that the rule is for; `None` is both.
    pub(super) family: Option<Family>,
}

/// The sides of server and peer.
pub(super) fn sides(leg: Leg) -> (Side, Side) {
    match leg {
        Leg::Request => (Side::Destination, Side::Source),
        Leg::Reply => (Side::Source, Side::Destination),
    }
}

fn plain(conditions: Vec<Condition>, verdict: Verdict, comment: Option<&str>) -> program::Rule {
    program::Rule { conditions, counter: false, verdict, comment: comment.map(str::to_string), place: None }
}
