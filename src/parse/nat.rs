//! The rules of `nat`.

use super::entries::server;
use super::keys;
use super::reader::{Field, Owner, Reader};
use crate::diagnostic::finding::{missing_key, wrong_shape};
use crate::net::{AddrRange, AddressPattern, Endpoint, Interface, Invalid, Mistake, PortSet};
use crate::source::Placed;
use crate::spec::Nat;

/// An item of `nat`: a mapping of one key, its kind.
pub(super) fn item(r: &mut Reader<'_, '_>, item: &Field) -> Option<Placed<Nat>> {
    let owner = Owner { what: "a `nat` item", name: None, place: item.value.at };
    let kinds = r.fields(&owner, item.value, &keys::NAT)?;
    let mut given: Vec<Field> = kinds.into_iter().flatten().collect();
    given.sort_by_key(|field| field.key);
    if let [first, second, ..] = given.as_slice() {
        r.report.add(wrong_shape::two_kinds((first.name, first.key), (second.name, second.key)));
    } else if given.is_empty() {
        let help = "write `- masquerade: {out: eth0}`, or `snat`, `dnat`, `redirect`";
        r.report.add(missing_key::report("a `nat` item", "kind of rule", help, owner.place));
    }
    let mut rules: Vec<Placed<Nat>> = given.iter().filter_map(|field| rule(r, field)).collect();
    rules.pop().filter(|_| rules.is_empty())
}

fn rule(r: &mut Reader<'_, '_>, field: &Field) -> Option<Placed<Nat>> {
    let nat = match field.name {
        "masquerade" => masquerade(r, field),
        "snat" => snat(r, field),
        "dnat" => dnat(r, field),
        _ => redirect(r, field),
    };
    nat.map(|nat| Placed::new(nat, field.key))
}

fn masquerade(r: &mut Reader<'_, '_>, field: &Field) -> Option<Nat> {
    let owner = field.owner("`masquerade`");
    let [out, from] = r.fields(&owner, field.value, &keys::MASQUERADE)?;
    let out = outgoing(r, out, &owner);
    let from = from.and_then(|field| r.sources(&field));
    Some(Nat::Masquerade { out: out?, from })
}

fn snat(r: &mut Reader<'_, '_>, field: &Field) -> Option<Nat> {
    let owner = field.owner("`snat`");
    let [out, from, to] = r.fields(&owner, field.value, &keys::SNAT)?;
    let out = outgoing(r, out, &owner);
    let from = from.and_then(|field| r.sources(&field));
    let to = r.required(to, &owner, "to", "203.0.113.9").and_then(|field| {
        let help = "write the one address that packets leave with";
        checked(r, &field, Mistake::Address, "one address", help, |to: &AddrRange| to.as_host().is_some())
    });
    Some(Nat::Snat { out: out?, from, to: to? })
}

fn dnat(r: &mut Reader<'_, '_>, field: &Field) -> Option<Nat> {
    let owner = field.owner("`dnat`");
    let [listen, protocol, to] = r.fields(&owner, field.value, &keys::DNAT)?;
    let (listen, protocols) = server(r, (listen, protocol), &owner, "listen", "203.0.113.5:8443");
    let to = r.required(to, &owner, "to", "10.0.0.8:443").and_then(|field| {
        let help = "write the one address that packets go to, and at most one port: 10.0.0.8:443";
        checked(r, &field, Mistake::Address, "one address and port", help, |to: &Endpoint| {
            let host = matches!(&to.address, AddressPattern::Range(range) if range.as_host().is_some());
            host && to.ports.as_ref().is_none_or(|ports| ports.as_single().is_some())
        })
    });
    Some(Nat::Dnat { listen, protocols, to: to? })
}

fn redirect(r: &mut Reader<'_, '_>, field: &Field) -> Option<Nat> {
    let owner = field.owner("`redirect`");
    let [listen, protocol, to] = r.fields(&owner, field.value, &keys::REDIRECT)?;
    let (listen, protocols) = server(r, (listen, protocol), &owner, "listen", "203.0.113.5:8080");
    let to = r.required(to, &owner, "to", "80").and_then(|field| {
        let help = "write the one port of this host that packets go to";
        checked(r, &field, Mistake::Port, "one port", help, |to: &PortSet| to.as_single().is_some())
    });
    Some(Nat::Redirect { listen, protocols, to: to? })
}

fn outgoing(r: &mut Reader<'_, '_>, out: Option<Field>, owner: &Owner<'_>) -> Option<Placed<Interface>> {
    let field = r.required(out, owner, "out", "eth0")?;
    r.value(&field)
}

/// A value that must be of a narrower kind than its type says: `wanted`.
fn checked<T: std::str::FromStr<Err = Invalid>>(
    r: &mut Reader<'_, '_>,
    field: &Field,
    mistake: Mistake,
    wanted: &str,
    help: &str,
    fits: impl Fn(&T) -> bool,
) -> Option<Placed<T>> {
    let value = r.value::<T>(field)?;
    if fits(&value.value) {
        return Some(value);
    }
    let (text, _) = r.text(field)?;
    r.invalid(Invalid::whole(mistake, text, format!("`{text}` is not {wanted}"), help), field.value);
    None
}
