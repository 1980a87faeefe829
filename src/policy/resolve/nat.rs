//! NAT rules.

use std::net::{IpAddr, Ipv4Addr};

use super::addresses::Resolver;
use super::entries::servers;
use crate::diagnostic::finding::{family_mismatch, nat_shape};
use crate::net::{AddressPattern, Endpoint, Family};
use crate::policy::model::{Server, Translation, TranslationKind, Transport};
use crate::policy::sets::Addresses;
use crate::source::{Place, Placed};
use crate::spec::Nat;

pub(super) fn translations(nat: &[Placed<Nat>], resolver: &mut Resolver<'_>) -> Vec<Translation> {
    nat.iter()
        .enumerate()
        .filter_map(|(index, item)| {
            let kind = translation(&item.value, index + 1, resolver)?;
            Some(Translation { place: item.place, kind })
        })
        .collect()
}

fn translation(item: &Nat, number: usize, resolver: &mut Resolver<'_>) -> Option<TranslationKind> {
    match item {
        Nat::Masquerade { out, from } => {
            let from = sources(from.as_ref(), number, resolver)?;
            Some(TranslationKind::Masquerade { out: out.value.clone(), from })
        }
        Nat::Snat { out, from, to } => {
            let sources = sources(from.as_ref(), number, resolver)?;
            let Some(address) = to.value.as_host() else {
                let diagnostic = nat_shape::report(to.place, "snat goes to one address", "write a single address");
                resolver.diagnostics.push(diagnostic);
                return None;
            };
            exists(address, to.place, resolver)?;
            let family = Family::of(address);
            if let Some(from) = from.as_ref().filter(|_| !resolver.sets().has(sources, family)) {
                let report = family_mismatch::report("the new source", family, to.place, "`from`", from.place);
                resolver.diagnostics.push(report);
                return None;
            }
            Some(TranslationKind::Snat { out: out.value.clone(), from: sources, to: address })
        }
        Nat::Dnat { listen, protocols, to } => {
            let listen = servers(listen, protocols, resolver);
            let (address, port) = target(to, resolver)?;
            exists(address, to.place, resolver)?;
            check_port(&listen, port.is_some(), to.place, resolver)?;
            check_family(&listen, Family::of(address), to.place, resolver)?;
            (!listen.is_empty()).then_some(TranslationKind::Dnat { listen, to: address, port })
        }
        Nat::Redirect { listen, protocols, to } => {
            let listen = servers(listen, protocols, resolver);
            let Some(port) = to.value.as_single() else {
                let diagnostic = nat_shape::report(to.place, "redirect goes to one port", "write a single port");
                resolver.diagnostics.push(diagnostic);
                return None;
            };
            check_port(&listen, true, to.place, resolver)?;
            (!listen.is_empty()).then_some(TranslationKind::Redirect { listen, port })
        }
    }
}

fn sources(
    from: Option<&Placed<Vec<Placed<AddressPattern>>>>,
    number: usize,
    resolver: &mut Resolver<'_>,
) -> Option<Addresses> {
    match from {
        None => Some(Addresses::Any),
        Some(from) => resolver.list(&format!("nat-{number}-from"), &from.value),
    }
}

fn target(to: &Placed<Endpoint>, resolver: &mut Resolver<'_>) -> Option<(IpAddr, Option<u16>)> {
    let address = match &to.value.address {
        AddressPattern::Range(range) => range.as_host(),
        _ => None,
    };
    let port = to.value.ports.as_ref().map(crate::net::PortSet::as_single);
    match (address, port) {
        (Some(address), None) => Some((address, None)),
        (Some(address), Some(Some(port))) => Some((address, Some(port))),
        _ => {
            let message = "dnat goes to one address and at most one port";
            let diagnostic = nat_shape::report(to.place, message, "write ADDR or ADDR:PORT");
            resolver.diagnostics.push(diagnostic);
            None
        }
    }
}

/// A packet can have the new address. Conntrack does not follow flows to groups.
fn exists(address: IpAddr, to: Place, resolver: &mut Resolver<'_>) -> Option<()> {
    let group = address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST);
    if !address.is_unspecified() && !group {
        return Some(());
    }
    let message = format!("{address} is not the address of one host");
    resolver.diagnostics.push(nat_shape::report(
        to,
        message,
        "write the address of the host that packets go to or come from",
    ));
    None
}

fn check_port(listen: &[Server], has_port: bool, place: Place, resolver: &mut Resolver<'_>) -> Option<()> {
    let plain = listen.iter().find(|server| matches!(server.transport, Transport::Plain(_)));
    let Some(server) = plain.filter(|_| has_port) else { return Some(()) };
    let protocol = server.transport.protocol();
    let message = format!("{protocol} has no ports, so it cannot be translated to one");
    resolver.diagnostics.push(nat_shape::report(place, message, "write the address alone"));
    None
}

/// `*` in `listen` stands for the family of the new destination; an explicit address must be of it.
fn check_family(listen: &[Server], family: Family, to: Place, resolver: &mut Resolver<'_>) -> Option<()> {
    let other = listen
        .iter()
        .find(|server| !(resolver.sets().has(server.addresses, family) && server.transport.exists_in(family)));
    let Some(server) = other else { return Some(()) };
    let report = family_mismatch::report("the new destination", family, to, "`listen`", server.place);
    resolver.diagnostics.push(report);
    None
}
