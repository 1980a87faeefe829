//! What is translated.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Reader;
use super::flow::{is_host, numbers, protocol};
use crate::dump::{
    Condition, Hook, InterfacePattern, Side, States, Test, Translation, TranslationKind as Kind, Varies, Way,
};
use crate::net::Family;
use crate::policy::{Addresses, Server, TranslationKind, Transport};
use crate::proof::bdd::{Result, Set};
use crate::proof::way::Path;

impl Reader<'_> {
    /// What the items of `nat` do to the first packet of a tracked flow: the first item that is about it. Destination NAT in prerouting to what comes
    /// in, source NAT in postrouting to what is let out.
    pub(super) fn translations(
        &self,
        path: Path,
        reach: &Set,
        accepted: &Set,
        untracked: &Set,
    ) -> Result<BTreeMap<(Hook, Translation), Set>> {
        let new = self.state(States { new: true, ..States::default() }, untracked)?;
        let mut open = BTreeMap::from([
            (Hook::Prerouting, if path == Path::Out { self.space.engine.none() } else { reach.and(&new)? }),
            (Hook::Postrouting, if path == Path::In { self.space.engine.none() } else { accepted.and(&new)? }),
        ]);
        let mut found: BTreeMap<(Hook, Translation), Set> = BTreeMap::new();
        for item in &self.policy.nat {
            let (hook, translation, about) = self.item(&item.kind)?;
            let Some(left) = open.get_mut(&hook) else { continue };
            let set = about.and(left)?;
            *left = left.minus(&set)?;
            let known = found.remove(&(hook, translation.clone())).unwrap_or_else(|| self.space.engine.none());
            found.insert((hook, translation), known.or(&set)?);
        }
        Ok(found)
    }

    /// Where an item of `nat` has its place, what it does, and to which packets.
    pub(super) fn item(&self, kind: &TranslationKind) -> Result<(Hook, Translation, Set)> {
        let one = |to: IpAddr| Some((to, to));
        let port = |port: u16| Some((port, port));
        let does = |kind, address, ports| Translation { kind, address, ports, varies: Varies::default() };
        Ok(match kind {
            TranslationKind::Dnat { listen, to, port: new } => {
                let set = self.listening(listen)?.and(&self.space.family(Family::of(*to))?)?;
                (Hook::Prerouting, does(Kind::Dnat, one(*to), new.and_then(port)), set)
            }
            TranslationKind::Redirect { listen, port: new } => {
                (Hook::Prerouting, does(Kind::Redirect, None, port(*new)), self.listening(listen)?)
            }
            TranslationKind::Masquerade { out, from } => {
                (Hook::Postrouting, does(Kind::Masquerade, None, None), self.leaving(out.as_str(), *from)?)
            }
            TranslationKind::Snat { out, from, to } => {
                let set = self.leaving(out.as_str(), *from)?.and(&self.space.family(Family::of(*to))?)?;
                (Hook::Postrouting, does(Kind::Snat, one(*to), None), set)
            }
        })
    }

    /// Packets to one of these endpoints. `*`, prefixes and sets mean this host's addresses.
    pub(super) fn listening(&self, listen: &[Server]) -> Result<Set> {
        let lists = listen.iter().map(|server| {
            let mut list = vec![protocol(server.transport.protocol())];
            list.extend(self.among(Side::Destination, server.addresses));
            if let Transport::Ports(_, ports) = &server.transport {
                list.push(Condition::is(Test::Port(Side::Destination, numbers(ports))));
            }
            if !is_host(server) {
                list.push(Condition::is(Test::Local(Side::Destination)));
            }
            list
        });
        self.any(&lists.collect::<Vec<_>>())
    }

    /// Packets that leave by an interface, from these sources.
    pub(super) fn leaving(&self, out: &str, from: Addresses) -> Result<Set> {
        self.space.interface(Way::Out, &[InterfacePattern::exact(out)])?.and(&self.addresses(Side::Source, from)?)
    }
}
